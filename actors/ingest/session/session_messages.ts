/** The messages that the session machine hears and the effects that it has, in one place for its parts and its shell. */
import type { HeadraceError } from "../../../protocols/errors.ts";
import type { HelloFrame, LostFrame, NodeFrame, OpenFrame, RecordsFrame } from "../../../protocols/wire/frames.ts";
import type { ChannelBounds, ProducerOwner, RecordBatch, WelcomeOutcome } from "../../log/log.ts";
import type { AppendItem, PartitionReply } from "../../partition/partition.ts";
import type { AppendQuota, Permissions } from "../session.ts";
import type { ArrivedFrame } from "./arrived_frame.ts";
import type { RecordsRoom } from "./records_budget.ts";
import type { FittedRead } from "./records_fitting.ts";
import type { Beginning, Subscription, SubscriptionRead } from "./subscription_machine.ts";

/** One partition of one stream, as frames name it. */
export interface About {
  readonly stream: string;
  readonly partition: number;
}

interface OfSubscription {
  readonly subscription: number;
  readonly partition: number;
}

interface OfRead extends OfSubscription {
  readonly room: RecordsRoom;
}

interface ChainCall {
  readonly requestId: number;
  readonly producerId: string;
  readonly owner?: string;
}

export type SessionMessage =
  | { readonly type: "connected" }
  /** Frames that arrived together. Their appends go out at the end, without a `flush` (N3). */
  | { readonly type: "frames"; readonly frames: readonly ArrivedFrame[] }
  | ArrivedFrame
  | { readonly type: "authenticated"; readonly permissions: Permissions | undefined }
  | { readonly type: "welcomed"; readonly outcome: WelcomeOutcome }
  | { readonly type: "welcome_failed"; readonly error: HeadraceError }
  | { readonly type: "flush" }
  | PartitionReply
  | ({ readonly type: "advanced" } & OfSubscription)
  /** Another node owns a partition of a subscription. */
  | ({ readonly type: "owned_elsewhere"; readonly address: string } & OfSubscription)
  /** The owner changed of a partition that `watch_owner` named. */
  | ({ readonly type: "owner_changed" } & About)
  /** A partition of a subscription is about to be handed over. */
  | ({ readonly type: "moves_soon" } & OfSubscription)
  | ({ readonly type: "began" } & OfRead & Beginning)
  | ({ readonly type: "read"; readonly bounds: ChannelBounds } & OfRead & FittedRead)
  /** There is no room for the next record of the partition. */
  | ({ readonly type: "read_crowded"; readonly leastBytes: number } & OfRead)
  | ({ readonly type: "read_failed"; readonly isRetriable: boolean } & OfRead)
  | { readonly type: "sent_records"; readonly subscription: number; readonly wireBytes: number }
  /** Records have left this process: their room is free. */
  | { readonly type: "flushed_records"; readonly room: RecordsRoom }
  /** There is room for the large record that this connection waits for. */
  | { readonly type: "records_room" }
  /** This connection has waited for room for a second: another one may have to give way. */
  | { readonly type: "records_overdue" }
  /** The client takes none of the records sent to it, and other connections wait for their room. */
  | { readonly type: "give_way" }
  | { readonly type: "hello_overdue" }
  | { readonly type: "grant_ended" }
  | { readonly type: "stopping" }
  | { readonly type: "disconnected" };

/** Batches as they were read: a partition knows these again, and the values and texts that it holds of them. */
export interface ReadBatches {
  readonly channel: Subscription["channel"];
  readonly batches: readonly RecordBatch[];
}

export type SessionEffect =
  | { readonly type: "send"; readonly frame: NodeFrame }
  /** Answered by `sent_records` at once, and by `flushed_records` once they have left. */
  | {
      readonly type: "send_records";
      readonly frame: RecordsFrame;
      readonly room: RecordsRoom;
      /** The batches of the frame. Absent: the frame has none. */
      readonly read?: ReadBatches;
    }
  | { readonly type: "close"; readonly code: number; readonly reason: string }
  /** Ends the connection at once: the client reads nothing, so it would see no reason. */
  | { readonly type: "abandon" }
  | { readonly type: "wait"; readonly delayMs: number; readonly message: SessionMessage }
  | { readonly type: "authenticate"; readonly token: string | undefined }
  | { readonly type: "welcome_producer"; readonly hello: HelloFrame; readonly owner: ProducerOwner | undefined }
  /** Counts an append against the client's quota. */
  | { readonly type: "meter"; readonly quota: AppendQuota; readonly events: number; readonly sizeBytes: number }
  /** The client has sent a frame that no credit bounds (N7). */
  | { readonly type: "charge"; readonly cost: number }
  /** Asks for a `flush` once all frames of this turn are taken (N3). */
  | { readonly type: "flush_soon" }
  | ({ readonly type: "append"; readonly items: readonly AppendItem[] } & About)
  | ({ readonly type: "open_chain"; readonly frame: OpenFrame } & ChainCall)
  | ({ readonly type: "declare_lost"; readonly frame: LostFrame } & ChainCall)
  /** Asks for `owner_changed` at each change of a partition's owner, until `unwatch_owner`. */
  | ({ readonly type: "watch_owner" | "unwatch_owner" } & About)
  | { readonly type: "listen"; readonly subscription: Subscription }
  | { readonly type: "unlisten"; readonly subscription: number }
  | { readonly type: "read"; readonly subscription: Subscription; readonly read: SubscriptionRead };

/** Most frames have no effect at once: they share this list. */
export const NOTHING: readonly SessionEffect[] = [];

export const sendAll = (frames: readonly NodeFrame[]): readonly SessionEffect[] =>
  frames.map((frame) => ({ type: "send", frame }));
