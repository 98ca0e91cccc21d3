/** The session machine's subscriptions: which are admitted, and when the next read is due. */
import { OverloadedError, RejectedError } from "../../../protocols/errors.ts";
import type { SubscribeFrame } from "../../../protocols/wire/frames.ts";
import { checkScope } from "../shown_streams.ts";
import type { RecordsRoom } from "./records_budget.ts";
import { NOTHING, type SessionEffect, type SessionMessage, sendAll } from "./session_messages.ts";
import {
  errorFrame,
  movedFrames,
  movingFrame,
  nextAddress,
  SESSION_LIMITS,
  type SessionState,
} from "./session_state.ts";
import * as subscriptions from "./subscription_machine.ts";

export function subscribe(state: SessionState, frame: SubscribeFrame): readonly SessionEffect[] {
  try {
    admit(state, frame);
  } catch (error) {
    if (!(error instanceof RejectedError || error instanceof OverloadedError)) throw error;
    return [{ type: "send", frame: { ...errorFrame(error), subscription: frame.subscription } }];
  }
  const subscription = subscriptions.createSubscription({
    ...frame,
    creditBytes: Math.min(frame.creditBytes, SESSION_LIMITS.subscriptionCreditBytesMax),
  });
  state.subscriptions.set(subscription.id, subscription);
  return [{ type: "listen", subscription }, ...readEffects(state, subscription)];
}

function admit(state: SessionState, frame: SubscribeFrame): void {
  // Judged first, with its own code: clients take any other error for the end of the subscription with that number.
  if (state.subscriptions.has(frame.subscription)) {
    throw new RejectedError(
      "MALFORMED_FRAME",
      `Cannot subscribe as the number must not be in use on this connection: subscription ${frame.subscription} goes on as it is`,
    );
  }
  const streams = state.environment.directory.describe();
  checkScope(streams, state.permissions, frame.stream, "consume", "subscribe to");
  const partitions = streams[frame.stream]?.partitions ?? 0;
  const outside = frame.partitions.find(({ partition }) => !(partition >= 0 && partition < partitions));
  if (outside !== undefined) {
    throw new RejectedError(
      "UNKNOWN_PARTITION",
      `Cannot subscribe to ${frame.stream} as the partition must be below ${partitions}: current value is ${outside.partition}`,
    );
  }
  const { subscriptionsMax } = SESSION_LIMITS;
  if (state.subscriptions.size < subscriptionsMax) return;
  throw new OverloadedError(
    "TOO_MANY_SUBSCRIPTIONS",
    `Cannot subscribe as a connection must have at most ${subscriptionsMax} subscriptions: current value is ${state.subscriptions.size}`,
    SUBSCRIBE_RETRY_MS,
  );
}

/** Milliseconds until a client with too many subscriptions tries again: it has to end one first. */
const SUBSCRIBE_RETRY_MS = 1_000;

export function addCredit(state: SessionState, id: number, creditBytes: number): readonly SessionEffect[] {
  const subscription = state.subscriptions.get(id);
  if (subscription === undefined) return []; // an ended subscription's credit may still be on its way
  const { subscriptionCreditBytesMax } = SESSION_LIMITS;
  subscription.creditBytes = Math.min(subscription.creditBytes + creditBytes, subscriptionCreditBytesMax);
  return readEffects(state, subscription);
}

/**
 * Tells the client that the partition is read at its owner from now on: the client goes there with the position that it
 * has reached. A subscription without partitions ends, and its number is free again.
 */
export function leaveSubscribed(
  state: SessionState,
  id: number,
  partition: number,
  address: string,
): readonly SessionEffect[] {
  const subscription = state.subscriptions.get(id);
  if (subscription?.partitions.delete(partition) !== true) return [];
  const { stream } = subscription;
  const moved = sendAll(movedFrames({ stream, partition }, address, 0));
  if (subscription.partitions.size > 0) return moved;
  state.subscriptions.delete(id);
  return [...moved, { type: "unlisten", subscription: id }];
}

/** N6. Tells a subscriber that a partition is about to move. */
export function tellMovesSoon(state: SessionState, id: number, partition: number): readonly SessionEffect[] {
  const subscription = state.subscriptions.get(id);
  if (subscription?.partitions.has(partition) !== true) return [];
  const about = { stream: subscription.stream, partition };
  const address = nextAddress(state, about);
  return address === undefined ? [] : [{ type: "send", frame: movingFrame(about, address) }];
}

type SubscriptionMessage = Extract<
  SessionMessage,
  { type: "advanced" | "began" | "read" | "read_crowded" | "read_failed" | "sent_records" }
>;

/** Room has become free: the subscriptions that wait for room read, the one that read last as the last. */
export function flushedRecords(state: SessionState, room: RecordsRoom): readonly SessionEffect[] {
  room.give();
  return state.records.wasRefused() ? waitingReads(state) : [];
}

/** The room that this connection waited for has come: it reads, and leaves the rest of the room to others. */
export function readLarge(state: SessionState): readonly SessionEffect[] {
  const effects = waitingReads(state);
  state.records.settle();
  return effects;
}

/** How often a connection that waits in line looks whether another is to give way. */
const PRESS_EVERY_MS = 1_000;

export function pressOthers(state: SessionState, nowMs: number): readonly SessionEffect[] {
  state.isRecordsTimed = false;
  state.records.press(nowMs);
  return watchLine(state);
}

function watchLine(state: SessionState): readonly SessionEffect[] {
  if (state.isRecordsTimed || !state.records.isWaiting()) return NOTHING;
  state.isRecordsTimed = true;
  return [{ type: "wait", delayMs: PRESS_EVERY_MS, message: { type: "records_overdue" } }];
}

function waitingReads(state: SessionState): readonly SessionEffect[] {
  const effects: SessionEffect[] = [];
  for (const subscription of [...state.subscriptions.values()]) {
    const reads = readEffects(state, subscription);
    if (reads.length === 0) continue;
    effects.push(...reads);
    state.subscriptions.delete(subscription.id);
    state.subscriptions.set(subscription.id, subscription);
  }
  return effects;
}

export function stepSubscription(state: SessionState, message: SubscriptionMessage): readonly SessionEffect[] {
  const subscription = state.subscriptions.get(message.subscription);
  const room = "room" in message ? message.room : undefined;
  if (subscription === undefined) return room === undefined ? NOTHING : flushedRecords(state, room);
  const effects: SessionEffect[] = [];
  switch (message.type) {
    case "advanced":
      subscriptions.advanced(subscription, message.partition);
      break;
    case "began":
      for (const frame of subscriptions.began(subscription, message)) {
        if (frame.type === "records") return [{ type: "send_records", frame, room: message.room }];
        effects.push({ type: "send", frame });
      }
      break;
    case "read": {
      subscriptions.noteSize(subscription, message.partition, message.broughtBytes, message.isCut);
      const { result } = message;
      const frame = subscriptions.readAnswered(subscription, message.partition, result, message.bounds);
      // The next read of the partition waits for `sent_records`, which tells the cost of this one.
      if (frame?.type === "records") {
        const batches = result.kind === "records" ? subscriptions.withRecords(result.batches) : [];
        const read = { channel: subscription.channel, batches };
        return [{ type: "send_records", frame, room: message.room, read }];
      }
      if (frame !== undefined) effects.push({ type: "send", frame });
      break;
    }
    case "read_crowded":
      subscriptions.readFailed(subscription, message.partition, true, message.leastBytes);
      break;
    case "read_failed":
      subscriptions.readFailed(subscription, message.partition, message.isRetriable);
      break;
    case "sent_records":
      subscription.creditBytes -= message.wireBytes;
      break;
  }
  if (room !== undefined) effects.push(...flushedRecords(state, room));
  return [...effects, ...readEffects(state, subscription)];
}

function readEffects(state: SessionState, subscription: subscriptions.Subscription): readonly SessionEffect[] {
  const reads = subscriptions.readsDue(subscription, state.records);
  return [...reads.map((read) => ({ type: "read", subscription, read }) as const), ...watchLine(state)];
}
