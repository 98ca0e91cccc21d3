/** The messages and the effects of the producer's machine. */
import type { HeadraceError } from "../../errors.ts";
import type { Event } from "../../event.ts";
import type { PartitionPlace } from "../../position.ts";
import type { Sequence, Sequences } from "../../sequence.ts";
import type { AppendFrame, ClientFrame, StreamDescription, WireLimits, WireVerdict } from "../../wire/frames.ts";
import type { LinkEffect, LinkMessage } from "../link.ts";

export interface ProducerBatch extends PartitionPlace {
  /** The shell's number of this batch. */
  readonly id: number;
  readonly events: Uint8Array;
  readonly count: number;
  /** Absent for a plain producer, whose machine counts on from the last stored sequence. */
  readonly sequences?: Sequences;
  readonly schemaVersion?: number;
  readonly traceparent?: string;
  readonly position?: Event;
}

export type ProducerMessage =
  | LinkMessage
  | { readonly type: "start" }
  | { readonly type: "batch"; readonly batch: ProducerBatch }
  /** Opens a chain, whether or not it has a batch to send. */
  | (PartitionPlace & { readonly type: "open" })
  /** An append took `wireBytes` on the wire, where `estimatedBytes` of credit were set aside. */
  | {
      readonly type: "sent";
      readonly link: string;
      readonly frame: AppendFrame;
      readonly wireBytes: number;
      readonly estimatedBytes: number;
    }
  | { readonly type: "stop" };

export type ProducerEffect =
  | LinkEffect
  | { readonly type: "send"; readonly link: string; readonly frame: Exclude<ClientFrame, AppendFrame> }
  /** Answered by `sent`. */
  | {
      readonly type: "send_append";
      readonly link: string;
      readonly frame: AppendFrame;
      readonly estimatedBytes: number;
    }
  | {
      readonly type: "welcomed";
      readonly producerEpoch: number | undefined;
      readonly streams: Readonly<Record<string, StreamDescription>>;
      readonly limits: WireLimits;
    }
  | (PartitionPlace & {
      readonly type: "opened";
      readonly lastSequence: Sequence | undefined;
      readonly position: Event | undefined;
    })
  | (PartitionPlace & { readonly type: "open_refused"; readonly error: HeadraceError })
  | (PartitionPlace & {
      readonly type: "acked";
      readonly batches: readonly SettledBatch[];
      readonly verdicts: readonly WireVerdict[];
    })
  /** The node will never take this batch, or what follows its first events: those are stored, but for verdicts. */
  | {
      readonly type: "refused";
      readonly batch: SettledBatch;
      readonly error: HeadraceError;
      readonly storedCount: number;
      readonly verdicts: readonly WireVerdict[];
    }
  | { readonly type: "in_doubt"; readonly batches: readonly SettledBatch[]; readonly error: HeadraceError }
  | (PartitionPlace & { readonly type: "lost"; readonly from: Sequence | undefined; readonly to: Sequence })
  | (PartitionPlace & { readonly type: "moved"; readonly address: string | undefined })
  /** The machine has ended and sends nothing more. */
  | { readonly type: "stopped"; readonly error: HeadraceError | undefined };

/** A batch whose outcome is known. `sequences` are those of the whole batch; undefined where it was never numbered. */
export interface SettledBatch {
  readonly id: number;
  readonly sequences: Sequences | undefined;
  /** False where no connection took the batch: then it is certainly not in the log. */
  readonly wasSent: boolean;
}
