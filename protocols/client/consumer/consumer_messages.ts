/** The messages and the effects of the consumer's machine. */
import type { HeadraceError } from "../../errors.ts";
import type { ClientFrame, RecordsFrame, SubscribeFrom } from "../../wire/frames.ts";
import type { LinkEffect, LinkMessage } from "../link.ts";
import type { ConsumedItem } from "./item_queue.ts";

export interface SubscriptionRequest {
  /** The shell's number of this subscription. */
  readonly id: number;
  readonly stream: string;
  readonly channel: "records" | "rejected";
  /** Empty for all partitions of the stream. */
  readonly partitions: readonly { readonly partition: number; readonly from: SubscribeFrom }[];
  /** For partitions that are not listed. */
  readonly from: SubscribeFrom;
  readonly windowBytes: number;
}

export type ConsumerMessage =
  | LinkMessage
  | { readonly type: "start" }
  | { readonly type: "subscribe"; readonly request: SubscriptionRequest }
  | { readonly type: "unsubscribe"; readonly id: number }
  | { readonly type: "consumed"; readonly id: number; readonly sizeBytes: number }
  | { readonly type: "stop" };

export type ConsumerEffect =
  | LinkEffect
  | { readonly type: "send"; readonly link: string; readonly frame: ClientFrame }
  /** Records from `fromOffset` on are new. Earlier ones of the first batch are to be skipped. */
  | {
      readonly type: "records";
      readonly id: number;
      readonly frame: RecordsFrame;
      readonly fromOffset: number;
      readonly sizeBytes: number;
    }
  | { readonly type: "break"; readonly id: number; readonly item: Exclude<ConsumedItem, { kind: "records" }> }
  | { readonly type: "ended"; readonly id: number; readonly error: HeadraceError | undefined }
  | { readonly type: "stopped"; readonly error: HeadraceError | undefined };
