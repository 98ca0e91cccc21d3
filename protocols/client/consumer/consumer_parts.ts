/** The consumer machine's subscriptions: on which links they are read, and the credit of each part (R1, R2, R3, R5). */
import { backoffMs } from "../../clock.ts";
import { type HeadraceError, RejectedError } from "../../errors.ts";
import { partitionName } from "../../position.ts";
import type { MovedFrame, MovingFrame } from "../../wire/frames.ts";
import { createLink, type Link, SILENCE_ELSEWHERE_MS } from "../link.ts";
import {
  changeLink,
  closeUnused,
  forgetLink,
  HOME,
  type LinkHost,
  linkNamed,
  linkTo,
  mayFollow,
  prepareLink,
} from "../links.ts";
import { unknownStream } from "../unknown_stream.ts";
import type { ConsumerEffect } from "./consumer_messages.ts";
import { CONSUMER_LIMITS, type ConsumerState, type Part, type Subscription } from "./consumer_state.ts";

const isOnline = (state: ConsumerState, name: string): boolean => linkNamed(state.links, name)?.phase === "online";

/** Home was welcomed: reads the partitions of a subscription, each at home or at the owner that home names. */
export function beginAtHome(state: ConsumerState, subscription: Subscription, effects: ConsumerEffect[]): void {
  if (!isOnline(state, HOME)) return;
  const { request, cursors, links } = subscription;
  const count = state.partitionCounts.get(request.stream);
  if (count === undefined) {
    const unknown = unknownStream("subscribe to", request.stream, [...state.partitionCounts.keys()]);
    end(state, subscription, new RejectedError("UNKNOWN_STREAM", unknown), effects);
    return;
  }
  if (request.partitions.length === 0) {
    for (let partition = 0; partition < count; partition++)
      if (!cursors.has(partition)) cursors.set(partition, request.from);
  }
  let isChanged = false;
  for (const partition of cursors.keys()) {
    if ((links.get(partition) ?? HOME) !== HOME) continue;
    const hint = state.links.hints.get(partitionName({ stream: request.stream, partition }));
    const before = links.get(partition);
    place(state, subscription, partition, hint, effects);
    isChanged ||= links.get(partition) !== before;
  }
  if (isChanged) regroup(state, subscription, effects);
  else subscribeWaiting(state, subscription, effects);
}

/** Reads a partition at the owner at `address`. Without an address the partition stays on its link. */
function place(
  state: ConsumerState,
  subscription: Subscription,
  partition: number,
  address: string | undefined,
  effects: ConsumerEffect[],
): void {
  const to = address === undefined ? undefined : linkTo(state.links, address, linkHost(state, effects), effects).name;
  assign(state, subscription, partition, to ?? subscription.links.get(partition) ?? HOME);
}

function assign(state: ConsumerState, { links }: Subscription, partition: number, link: string): void {
  changeLink(state.links, links.get(partition), link);
  links.set(partition, link);
}

const linkHost = (state: ConsumerState, effects: ConsumerEffect[]): LinkHost<Link> => ({
  create: (address) => createLink(address, SILENCE_ELSEWHERE_MS),
  isBusy: (link) => link.uses > 0,
  leave(link) {
    for (const subscription of state.subscriptions.values()) {
      const left = [...subscription.links].filter(([, name]) => name === link.name);
      for (const [partition] of left) assign(state, subscription, partition, HOME);
      if (left.length > 0) regroup(state, subscription, effects);
    }
  },
});

/** A link to an owner broke: its partitions are read at home (R5). */
export function leaveOwner(state: ConsumerState, link: Link, effects: ConsumerEffect[]): void {
  forgetLink(state.links, link, linkHost(state, effects));
}

/** R3. Groups the partitions by link anew, and divides the window among the groups. */
function regroup(state: ConsumerState, subscription: Subscription, effects: ConsumerEffect[]): void {
  unsubscribeParts(state, subscription, effects);
  const parts = new Map<string, Part>();
  for (const [partition, link] of subscription.links) {
    if (subscription.waiting.has(partition)) continue;
    const part = parts.get(link) ?? { link, partitions: [], wireId: undefined, outstandingBytes: 0 };
    part.partitions.push(partition);
    parts.set(link, part);
  }
  subscription.parts = [...parts.values()];
  subscribeWaiting(state, subscription, effects);
}

function unsubscribeParts(state: ConsumerState, { parts }: Subscription, effects: ConsumerEffect[]): void {
  for (const { link, wireId } of parts) {
    if (wireId === undefined || !isOnline(state, link)) continue;
    effects.push({ type: "send", link, frame: { type: "unsubscribe", subscription: wireId } });
  }
}

/** R1, R2. Subscribes each part that has no number yet and whose link is online. */
export function subscribeWaiting(state: ConsumerState, subscription: Subscription, effects: ConsumerEffect[]): void {
  const { request, cursors } = subscription;
  for (const part of subscription.parts) {
    if (part.wireId !== undefined || !isOnline(state, part.link)) continue;
    part.wireId = state.nextWireId++;
    part.outstandingBytes = 0;
    part.outstandingBytes = Math.max(0, creditFor(subscription, part));
    const frame = {
      type: "subscribe",
      subscription: part.wireId,
      stream: request.stream,
      ...(request.channel === "records" ? {} : { channel: request.channel }),
      partitions: part.partitions.map((partition) => ({ partition, from: cursors.get(partition) ?? request.from })),
      creditBytes: part.outstandingBytes,
    } as const;
    effects.push({ type: "send", link: part.link, frame });
  }
}

/** R3. Each part has an equal share of the window; together they never have more than is left of it. */
function creditFor(subscription: Subscription, part: Part): number {
  const { parts, heldBytes, request } = subscription;
  const outstandingBytes = parts.reduce((sum, one) => sum + one.outstandingBytes, 0);
  return Math.min(shareBytes(subscription) - part.outstandingBytes, request.windowBytes - heldBytes - outstandingBytes);
}

const shareBytes = ({ request, parts }: Subscription): number =>
  Math.max(1, Math.floor(request.windowBytes / Math.max(1, parts.length)));

/** R3. Gives credit back in steps, a quarter or a sixteenth of a part's share: not with each frame read. */
export function consume(
  state: ConsumerState,
  subscription: Subscription,
  sizeBytes: number,
  effects: ConsumerEffect[],
): void {
  subscription.heldBytes = Math.max(0, subscription.heldBytes - sizeBytes);
  for (const part of subscription.parts) {
    if (part.wireId === undefined || !isOnline(state, part.link)) continue;
    const creditBytes = creditFor(subscription, part);
    const divisor = subscription.heldBytes === 0 ? 16 : 4;
    if (creditBytes <= 0 || creditBytes * divisor < shareBytes(subscription)) continue;
    part.outstandingBytes += creditBytes;
    effects.push({
      type: "send",
      link: part.link,
      frame: { type: "credit", subscription: part.wireId, creditBytes },
    });
  }
}

/** R5. The first `moved` is followed at once. Further ones, before a record was read, wait for a growing backoff. */
export function takeMoved(state: ConsumerState, link: Link, frame: MovedFrame, effects: ConsumerEffect[]): void {
  const { partition, address } = frame;
  const isElsewhere = address !== undefined && address !== link.address && mayFollow(state.links, address);
  const destination = isElsewhere ? address : undefined;
  for (const subscription of state.subscriptions.values()) {
    const part = subscription.parts.find((one) => one.link === link.name && one.partitions.includes(partition));
    if (subscription.request.stream !== frame.stream || part?.wireId === undefined) continue;
    const moves = subscription.moves.get(partition) ?? 0;
    subscription.moves.set(partition, moves + 1);
    if (moves === 0) place(state, subscription, partition, destination, effects);
    else {
      subscription.waiting.set(partition, destination);
      const delayMs = backoffMs(moves - 1, CONSUMER_LIMITS.retryFirstMs, CONSUMER_LIMITS.retryMaxMs);
      effects.push({ type: "set_timer", timer: `subscription ${subscription.request.id}`, delayMs });
    }
    regroup(state, subscription, effects);
  }
  closeUnused(state.links, link.name, effects);
}

/** Connects to the next owner ahead of the move. The partition stays on its link until `moved`. */
export function takeMoving(
  state: ConsumerState,
  link: Link,
  { stream, partition, address }: MovingFrame,
  effects: ConsumerEffect[],
): void {
  const isRead = [...state.subscriptions.values()].some(
    ({ request, links }) => request.stream === stream && links.get(partition) === link.name,
  );
  if (isRead) prepareLink(state.links, address, linkHost(state, effects), effects);
}

/** A subscription's wait, after a second `moved` or an error, is over: subscribes again. */
export function endWait(state: ConsumerState, subscription: Subscription, effects: ConsumerEffect[]): void {
  const waiting = [...subscription.waiting];
  subscription.waiting.clear();
  for (const [partition, destination] of waiting) {
    const before = subscription.links.get(partition) ?? HOME;
    place(state, subscription, partition, destination, effects);
    closeUnused(state.links, before, effects);
  }
  if (waiting.length > 0) regroup(state, subscription, effects);
  else subscribeWaiting(state, subscription, effects);
}

export function end(
  state: ConsumerState,
  subscription: Subscription,
  error: HeadraceError | undefined,
  effects: ConsumerEffect[],
): void {
  const { request, links } = subscription;
  unsubscribeParts(state, subscription, effects);
  state.subscriptions.delete(request.id);
  for (const link of links.values()) {
    changeLink(state.links, link, undefined);
    closeUnused(state.links, link, effects);
  }
  effects.push({ type: "ended", id: request.id, error });
}
