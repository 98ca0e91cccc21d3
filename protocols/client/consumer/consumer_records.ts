/** The consumer machine's records: the subscription of a frame, and where each partition resumes (R1, R2, R4). */
import type { NodeFrame, RecordsFrame, SubscribeFrom } from "../../wire/frames.ts";
import type { Link } from "../link.ts";
import type { ConsumerEffect } from "./consumer_messages.ts";
import type { ConsumerState, Part, Subscription } from "./consumer_state.ts";

interface Read {
  readonly subscription: Subscription;
  readonly part: Part;
}

/** R2. */
export function byWireId(state: ConsumerState, link: Link, wireId: number): Read | undefined {
  for (const subscription of state.subscriptions.values()) {
    const part = subscription.parts.find((one) => one.link === link.name && one.wireId === wireId);
    if (part !== undefined) return { subscription, part };
  }
  return undefined;
}

export function takeRecords(
  read: Read | undefined,
  frame: RecordsFrame,
  wireBytes: number,
  effects: ConsumerEffect[],
): void {
  const cursor = read?.subscription.cursors.get(frame.partition);
  if (read === undefined || cursor === undefined) return;
  const { subscription, part } = read;
  part.outstandingBytes -= wireBytes;
  subscription.tries = 0;
  const last = frame.batches.at(-1);
  if (last === undefined) {
    // The node has told the offset of `latest`: a break before the first record skips nothing.
    if (cursor === "latest") subscription.cursors.set(frame.partition, { offset: frame.endOffset });
    return;
  }
  const { id } = subscription.request;
  subscription.heldBytes += wireBytes;
  subscription.moves.delete(frame.partition);
  effects.push({ type: "records", id, frame, fromOffset: firstWanted(cursor), sizeBytes: wireBytes });
  subscription.cursors.set(frame.partition, { epoch: last.epoch, offset: last.firstOffset + last.count - 1 });
}

function firstWanted(cursor: SubscribeFrom): number {
  if (typeof cursor === "string" || "timeMs" in cursor) return 0;
  return "epoch" in cursor ? cursor.offset + 1 : cursor.offset;
}

type Break = Extract<ConsumerEffect, { type: "break" }>["item"];

/** R4. */
export function takeBreak(
  subscription: Subscription | undefined,
  frame: Extract<NodeFrame, { type: "trimmed" | "truncated" }>,
  effects: ConsumerEffect[],
): void {
  if (subscription === undefined) return;
  const { stream, partition } = frame;
  const item: Break =
    frame.type === "trimmed"
      ? { kind: "trimmed", stream, partition, firstOffset: frame.firstOffset }
      : { kind: "truncated", stream, partition, divergence: frame.divergence };
  subscription.cursors.set(partition, { offset: item.kind === "trimmed" ? item.firstOffset : item.divergence });
  effects.push({ type: "break", id: subscription.request.id, item });
}
