/** The messages that the session machine hears and the effects that it has, in one place for its parts and its shell. */

import type { HeadraceError, RejectedError } from "../../../protocols/errors.ts";
import type { Offset, Position } from "../../../protocols/position.ts";
import type {
  ClientFrame,
  HelloFrame,
  LostFrame,
  NodeFrame,
  OpenFrame,
  RecordsFrame,
} from "../../../protocols/wire/frames.ts";
import type { ChannelBounds, ProducerOwner, ReadResult, WelcomeOutcome } from "../../log/log.ts";
import type { AppendItem, PartitionReply } from "../../partition/partition.ts";
import type { AppendQuota, Permissions } from "../session.ts";
import type { RecordsRoom } from "./records_budget.ts";
import type { Subscription, SubscriptionRead } from "./subscription_machine.ts";

export type SessionMessage =
  | { readonly type: "connected" }
  | { readonly type: "frame"; readonly frame: ClientFrame; readonly wireBytes: number }
  | { readonly type: "malformed"; readonly error: RejectedError }
  | { readonly type: "authenticated"; readonly permissions: Permissions | undefined }
  | { readonly type: "welcomed"; readonly outcome: WelcomeOutcome }
  | { readonly type: "welcome_failed"; readonly error: HeadraceError }
  | { readonly type: "flush" }
  | PartitionReply
  | { readonly type: "advanced"; readonly subscription: number; readonly partition: number }
  /** Another node owns a partition of a subscription. */
  | {
      readonly type: "owned_elsewhere";
      readonly subscription: number;
      readonly partition: number;
      readonly address: string;
    }
  /** The owner changed of a partition that `watch_owner` named. */
  | { readonly type: "owner_changed"; readonly stream: string; readonly partition: number }
  /** A partition of a subscription is about to be handed over. */
  | { readonly type: "moves_soon"; readonly subscription: number; readonly partition: number }
  | {
      readonly type: "began";
      readonly subscription: number;
      readonly partition: number;
      readonly at: Position | undefined;
      readonly firstOffset: Offset;
      readonly endOffset: Offset;
      readonly room: RecordsRoom;
    }
  | {
      readonly type: "read";
      readonly subscription: number;
      readonly partition: number;
      /** The records, cut to the room. */
      readonly result: ReadResult;
      readonly bounds: ChannelBounds;
      readonly room: RecordsRoom;
      /** Bytes that the log answered, before the cut. */
      readonly broughtBytes: number;
      /** The last batch was cut: it has more records. */
      readonly isCut: boolean;
    }
  /** There is no room for the next record of the partition. */
  | {
      readonly type: "read_crowded";
      readonly subscription: number;
      readonly partition: number;
      readonly room: RecordsRoom;
      readonly leastBytes: number;
    }
  | {
      readonly type: "read_failed";
      readonly subscription: number;
      readonly partition: number;
      readonly isRetriable: boolean;
      readonly room: RecordsRoom;
    }
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

export type SessionEffect =
  | { readonly type: "send"; readonly frame: NodeFrame }
  /** Answered by `sent_records` at once, and by `flushed_records` once they have left. */
  | { readonly type: "send_records"; readonly frame: RecordsFrame; readonly room: RecordsRoom }
  | { readonly type: "close"; readonly code: number; readonly reason: string }
  /** Ends the connection at once: the client reads nothing, so it would see no reason. */
  | { readonly type: "abandon" }
  | { readonly type: "wait"; readonly delayMs: number; readonly message: SessionMessage }
  | { readonly type: "authenticate"; readonly token: string | undefined }
  | { readonly type: "welcome_producer"; readonly hello: HelloFrame; readonly owner: ProducerOwner | undefined }
  | { readonly type: "count"; readonly what: "traceparent_dropped" }
  /** Counts an append against the client's quota. */
  | { readonly type: "meter"; readonly quota: AppendQuota; readonly events: number; readonly sizeBytes: number }
  /** The client has sent a frame that no credit bounds (N7). */
  | { readonly type: "charge"; readonly cost: number }
  /** Asks for a `flush` once all frames of this turn are taken (N3). */
  | { readonly type: "flush_soon" }
  | {
      readonly type: "append";
      readonly stream: string;
      readonly partition: number;
      readonly items: readonly AppendItem[];
    }
  | {
      readonly type: "open_chain";
      readonly requestId: number;
      readonly frame: OpenFrame;
      readonly producerId: string;
      readonly owner?: string;
    }
  | {
      readonly type: "declare_lost";
      readonly requestId: number;
      readonly frame: LostFrame;
      readonly producerId: string;
      readonly owner?: string;
    }
  /** Asks for `owner_changed` at each change of a partition's owner, until `unwatch_owner`. */
  | { readonly type: "watch_owner" | "unwatch_owner"; readonly stream: string; readonly partition: number }
  | { readonly type: "listen"; readonly subscription: Subscription }
  | { readonly type: "unlisten"; readonly subscription: number }
  | {
      readonly type: "read";
      readonly subscription: Subscription;
      readonly read: SubscriptionRead;
    };

/** Most frames have no effect at once: they share this list. */
export const NOTHING: readonly SessionEffect[] = [];
