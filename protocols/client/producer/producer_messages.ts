/** The messages and the effects of the producer's machine. */
import type { HeadraceError } from "../../errors.ts";
import type { Event } from "../../event.ts";
import type { Sequence, Sequences } from "../../sequence.ts";
import type { AppendFrame, ClientFrame, StreamDescription, WireLimits, WireVerdict } from "../../wire/frames.ts";
import type { LinkEffect, LinkMessage } from "../link.ts";

export interface ProducerBatch {
  /** The shell's number of this batch. */
  readonly id: number;
  readonly stream: string;
  readonly partition: number;
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
  | { readonly kind: "start" }
  | { readonly kind: "batch"; readonly batch: ProducerBatch }
  /** Opens a chain, whether or not it has a batch to send. */
  | { readonly kind: "open"; readonly stream: string; readonly partition: number }
  /** An append took `wireBytes` on the wire, where `estimatedBytes` of credit were set aside. */
  | {
      readonly kind: "sent";
      readonly link: string;
      readonly frame: AppendFrame;
      readonly wireBytes: number;
      readonly estimatedBytes: number;
    }
  | { readonly kind: "stop" };

export type ProducerEffect =
  | LinkEffect
  | { readonly kind: "send"; readonly link: string; readonly frame: Exclude<ClientFrame, AppendFrame> }
  /** Answered by `sent`. */
  | {
      readonly kind: "send_append";
      readonly link: string;
      readonly frame: AppendFrame;
      readonly estimatedBytes: number;
    }
  | {
      readonly kind: "welcomed";
      readonly producerEpoch: number | undefined;
      readonly streams: Readonly<Record<string, StreamDescription>>;
      readonly limits: WireLimits;
    }
  | {
      readonly kind: "opened";
      readonly stream: string;
      readonly partition: number;
      readonly lastSequence: Sequence | undefined;
      readonly position: Event | undefined;
    }
  | {
      readonly kind: "open_refused";
      readonly stream: string;
      readonly partition: number;
      readonly error: HeadraceError;
    }
  | {
      readonly kind: "acked";
      readonly stream: string;
      readonly partition: number;
      readonly batches: readonly SettledBatch[];
      readonly verdicts: readonly WireVerdict[];
    }
  /**
   * The node will never take this batch, or what follows the first events of it: those are stored, but for the
   * verdicts.
   */
  | {
      readonly kind: "refused";
      readonly batch: SettledBatch;
      readonly error: HeadraceError;
      readonly storedCount: number;
      readonly verdicts: readonly WireVerdict[];
    }
  | { readonly kind: "in_doubt"; readonly batches: readonly SettledBatch[]; readonly error: HeadraceError }
  | {
      readonly kind: "lost";
      readonly stream: string;
      readonly partition: number;
      readonly from: Sequence | undefined;
      readonly to: Sequence;
    }
  | {
      readonly kind: "moved";
      readonly stream: string;
      readonly partition: number;
      readonly address: string | undefined;
    }
  /** The machine has ended and sends nothing more. */
  | { readonly kind: "stopped"; readonly error: HeadraceError | undefined };

/** A batch whose outcome is known. `sequences` are those of the whole batch; undefined where it was never numbered. */
export interface SettledBatch {
  readonly id: number;
  readonly sequences: Sequences | undefined;
  /** False where no connection took the batch: then it is certainly not in the log. */
  readonly wasSent: boolean;
}
