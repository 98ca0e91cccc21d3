/**
 * Decides what a consumer asks for and where: subscriptions, where each resumes after a break or a move, and how much credit
 * the nodes get. Leaves decoding and the application's pace to `consumer.ts`.
 *
 *   R1. A partition resumes after the last record received, told by its position, so that a changed log is noticed (E9).
 *   R2. Each attempt at a subscription has a number of its own; frames of an earlier one are ignored.
 *   R3. Credit given and not yet used, on all links, and bytes received and not yet consumed, together never exceed the
 *       window (E19).
 *   R4. Truncation and trimming are told to the application before any record after them.
 *   R5. A partition is read on one link at a time: at the owner that a node named, else at home.
 *   R6. A connection that says nothing for a while is asked for a sign of life, a credit of nothing. One that does not answer
 *       that, or a greeting, is given up (link.ts says when).
 */
import { backoffMs } from "./clock.ts";
import type { ConsumerEffect, ConsumerMessage } from "./consumer_messages.ts";
import {
  beginAtHome,
  consume,
  end,
  endWait,
  leaveOwner,
  subscribeWaiting,
  takeMoved,
  takeMoving,
} from "./consumer_parts.ts";
import {
  CONSUMER_LIMITS,
  type ConsumerState,
  createSubscription,
  type Part,
  type Subscription,
} from "./consumer_state.ts";
import { errorFromCode, type HeadraceError, RejectedError } from "./errors.ts";
import {
  CREDIT_ANSWERED_SINCE_MINOR,
  type ErrorFrame,
  type NodeFrame,
  PROTOCOL_MINOR,
  type RecordsFrame,
  type SubscribeFrom,
  type WelcomeFrame,
} from "./frames.ts";
import { isGreeted, isSilent, type Link, SILENT_LOOKS } from "./link.ts";
import { allLinks, connectHome, HOME, linkNamed, noteOwners, reconnectHome } from "./links.ts";
import type { Step } from "./machine.ts";

/** Looks without a frame between them. */
const LOOKS_BEFORE_ASKING = SILENT_LOOKS / 2 + 1;

export const stepConsumer: Step<ConsumerState, ConsumerMessage, ConsumerEffect> = (state, message) => {
  const effects: ConsumerEffect[] = [];
  if (state.isStopped) return [state, effects];
  switch (message.kind) {
    case "start":
      connectHome(state.links, effects);
      break;
    case "subscribe": {
      const subscription = createSubscription(message.request);
      state.subscriptions.set(message.request.id, subscription);
      beginAtHome(state, subscription, effects);
      break;
    }
    case "unsubscribe": {
      const subscription = state.subscriptions.get(message.id);
      if (subscription !== undefined) end(state, subscription, undefined, effects);
      break;
    }
    case "consumed": {
      const subscription = state.subscriptions.get(message.id);
      if (subscription !== undefined) consume(state, subscription, message.sizeBytes, effects);
      break;
    }
    case "timer":
      takeTimer(state, message.timer, effects);
      break;
    case "stop":
      stop(state, undefined, effects);
      break;
    case "connected":
    case "disconnected":
    case "frame":
      takeLinkMessage(state, message, effects);
      break;
  }
  return [state, effects];
};

function takeLinkMessage(
  state: ConsumerState,
  message: Extract<ConsumerMessage, { kind: "connected" | "disconnected" | "frame" }>,
  effects: ConsumerEffect[],
): void {
  const link = linkNamed(state.links, message.link);
  if (link === undefined) return;
  switch (message.kind) {
    case "connected":
      if (isGreeted(link, effects)) greet(state, link, effects);
      break;
    case "disconnected":
      if (message.error instanceof RejectedError && link.name === HOME) stop(state, message.error, effects);
      else loseLink(state, link, 0, effects);
      break;
    case "frame":
      link.silentLooks = 0;
      takeFrame(state, link, message.frame, message.wireBytes, effects);
      break;
  }
}

function greet({ client, token, links }: ConsumerState, { name }: Link, effects: ConsumerEffect[]): void {
  const frame = {
    type: "hello",
    client,
    minor: PROTOCOL_MINOR,
    ...(token === undefined ? {} : { token }),
    ...(links.isStaying ? { forward: true } : {}),
  } as const;
  effects.push({ kind: "send", link: name, frame });
}

function takeTimer(state: ConsumerState, timer: string, effects: ConsumerEffect[]): void {
  const [kind = ""] = timer.split(" ", 1);
  const name = timer.slice(kind.length + 1);
  if (kind === "reconnect") connectHome(state.links, effects);
  else if (kind === "silence") breakSilence(state, linkNamed(state.links, name), effects);
  else {
    const subscription = state.subscriptions.get(Number(name));
    if (subscription !== undefined) endWait(state, subscription, effects);
  }
}

/** R6. */
function breakSilence(state: ConsumerState, link: Link | undefined, effects: ConsumerEffect[]): void {
  if (link === undefined) return;
  const mustAnswer = link.phase === "greeting" || link.minor >= CREDIT_ANSWERED_SINCE_MINOR;
  const subscribed = partsOn(state, link).find(({ wireId }) => wireId !== undefined);
  const isGone = isSilent(link, link.phase === "greeting" || subscribed !== undefined, effects);
  if (isGone && mustAnswer) {
    effects.push({ kind: "disconnect", link: link.name });
    loseLink(state, link, 0, effects);
    return;
  }
  if (subscribed?.wireId === undefined || link.silentLooks < LOOKS_BEFORE_ASKING) return;
  if (isGone) link.silentLooks = 0;
  const frame = { type: "credit", subscription: subscribed.wireId, creditBytes: 0 } as const;
  effects.push({ kind: "send", link: link.name, frame });
}

const partsOn = (state: ConsumerState, link: Link): readonly Part[] =>
  [...state.subscriptions.values()].flatMap(({ parts }) => parts.filter((part) => part.link === link.name));

function loseLink(state: ConsumerState, link: Link, leastMs: number, effects: ConsumerEffect[]): void {
  if (link.name !== HOME) {
    leaveOwner(state, link, effects);
    return;
  }
  if (link.phase === "offline") return;
  for (const part of partsOn(state, link)) {
    part.wireId = undefined;
    part.outstandingBytes = 0;
  }
  reconnectHome(state.links, leastMs, effects);
}

interface Read {
  readonly subscription: Subscription;
  readonly part: Part;
}

/** R2. */
function byWireId(state: ConsumerState, link: Link, wireId: number): Read | undefined {
  for (const subscription of state.subscriptions.values()) {
    const part = subscription.parts.find((one) => one.link === link.name && one.wireId === wireId);
    if (part !== undefined) return { subscription, part };
  }
  return undefined;
}

function takeFrame(
  state: ConsumerState,
  link: Link,
  frame: NodeFrame,
  wireBytes: number,
  effects: ConsumerEffect[],
): void {
  switch (frame.type) {
    case "welcome":
      takeWelcome(state, link, frame, effects);
      break;
    case "records":
      takeRecords(byWireId(state, link, frame.subscription), frame, wireBytes, effects);
      break;
    case "trimmed":
    case "truncated":
      takeBreak(byWireId(state, link, frame.subscription)?.subscription, frame, effects);
      break;
    case "moved":
      takeMoved(state, link, frame, effects);
      break;
    case "moving":
      takeMoving(state, link, frame, effects);
      break;
    case "error":
      takeError(state, link, frame, effects);
      break;
    case "opened":
    case "ack":
    case "gap":
    case "credit":
      break; // A producer's; tolerated.
  }
}

function takeWelcome(state: ConsumerState, link: Link, frame: WelcomeFrame, effects: ConsumerEffect[]): void {
  if (link.phase !== "greeting") return;
  link.phase = "online";
  link.minor = frame.minor;
  const subscriptions = [...state.subscriptions.values()];
  if (link.name !== HOME) {
    for (const subscription of subscriptions) subscribeWaiting(state, subscription, effects);
    return;
  }
  state.links.tries = 0;
  noteOwners(state.links, frame.streams, effects);
  state.partitionCounts = new Map(
    Object.entries(frame.streams).map(([stream, { partitions }]) => [stream, partitions]),
  );
  for (const subscription of subscriptions) beginAtHome(state, subscription, effects);
}

function takeRecords(read: Read | undefined, frame: RecordsFrame, wireBytes: number, effects: ConsumerEffect[]): void {
  const cursor = read?.subscription.cursors.get(frame.partition);
  if (read === undefined || cursor === undefined) return;
  const { subscription, part } = read;
  part.outstandingBytes -= wireBytes;
  subscription.tries = 0;
  const last = frame.batches.at(-1);
  if (last === undefined) {
    // The node's word on where `latest` is: a break before the first record skips nothing.
    if (cursor === "latest") subscription.cursors.set(frame.partition, { offset: frame.endOffset });
    return;
  }
  const { id } = subscription.request;
  subscription.heldBytes += wireBytes;
  subscription.moves.delete(frame.partition);
  effects.push({ kind: "records", id, frame, fromOffset: firstWanted(cursor), sizeBytes: wireBytes });
  subscription.cursors.set(frame.partition, { epoch: last.epoch, offset: last.firstOffset + last.count - 1 });
}

function firstWanted(cursor: SubscribeFrom): number {
  if (typeof cursor === "string" || "timeMs" in cursor) return 0;
  return "epoch" in cursor ? cursor.offset + 1 : cursor.offset;
}

/** R4. */
function takeBreak(
  subscription: Subscription | undefined,
  frame: Extract<NodeFrame, { type: "trimmed" | "truncated" }>,
  effects: ConsumerEffect[],
): void {
  if (subscription === undefined) return;
  const { id } = subscription.request;
  const { stream, partition } = frame;
  if (frame.type === "trimmed") {
    const { firstOffset } = frame;
    subscription.cursors.set(partition, { offset: firstOffset });
    effects.push({ kind: "trimmed", id, stream, partition, firstOffset });
  } else {
    const { divergence } = frame;
    subscription.cursors.set(partition, { offset: divergence });
    effects.push({ kind: "truncated", id, stream, partition, divergence });
  }
}

function takeError(state: ConsumerState, link: Link, frame: ErrorFrame, effects: ConsumerEffect[]): void {
  const error = errorFromCode(frame.code, frame.message, frame.retryAfterMs);
  if (frame.subscription === undefined) {
    if (error instanceof RejectedError) stop(state, error, effects);
    else {
      effects.push({ kind: "disconnect", link: link.name });
      loseLink(state, link, frame.retryAfterMs ?? 0, effects);
    }
    return;
  }
  const read = byWireId(state, link, frame.subscription);
  if (read === undefined) return;
  const { subscription, part } = read;
  part.wireId = undefined;
  part.outstandingBytes = 0;
  if (error instanceof RejectedError) {
    end(state, subscription, error, effects);
    return;
  }
  const backoff = backoffMs(subscription.tries++, CONSUMER_LIMITS.retryFirstMs, CONSUMER_LIMITS.retryMaxMs);
  const delayMs = Math.max(frame.retryAfterMs ?? 0, backoff);
  effects.push({ kind: "set_timer", timer: `subscription ${subscription.request.id}`, delayMs });
}

function stop(state: ConsumerState, error: HeadraceError | undefined, effects: ConsumerEffect[]): void {
  for (const { name } of allLinks(state.links)) effects.push({ kind: "disconnect", link: name });
  for (const { request } of state.subscriptions.values()) effects.push({ kind: "ended", id: request.id, error });
  state.subscriptions.clear();
  state.isStopped = true;
  effects.push({ kind: "stopped", error });
}
