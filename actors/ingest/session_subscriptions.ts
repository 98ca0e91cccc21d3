/** The session machine's subscriptions: who may read what, and when the next read is due. */
import { RejectedError } from "../../protocols/errors.ts";
import type { SubscribeFrame } from "../../protocols/frames.ts";
import {
  errorFrame,
  knownStreams,
  movedFrames,
  movingFrame,
  nextAddress,
  SESSION_LIMITS,
  type SessionEffect,
  type SessionMessage,
  type SessionResult,
  type SessionState,
} from "./session_state.ts";
import * as subscriptions from "./subscription_machine.ts";

export function subscribe(state: SessionState, frame: SubscribeFrame): readonly SessionEffect[] {
  const refusal = subscribeRefusal(state, frame);
  if (refusal !== undefined) {
    return [{ type: "send", frame: { ...errorFrame(refusal), subscription: frame.subscription } }];
  }
  const subscription = subscriptions.createSubscription({
    ...frame,
    creditBytes: Math.min(frame.creditBytes, SESSION_LIMITS.subscriptionCreditBytesMax),
  });
  state.subscriptions.set(subscription.id, subscription);
  return [{ type: "listen", subscription }, ...readEffects(subscription)];
}

function subscribeRefusal(state: SessionState, frame: SubscribeFrame): RejectedError | undefined {
  const streams = state.environment.directory.describe();
  const stream = Object.hasOwn(streams, frame.stream) ? streams[frame.stream] : undefined;
  if (stream === undefined) {
    return new RejectedError(
      "UNKNOWN_STREAM",
      `Cannot subscribe as the stream must be one of [${knownStreams(state).join(", ")}]: current value is ${frame.stream}`,
    );
  }
  const outside = frame.partitions.find(({ partition }) => !(partition >= 0 && partition < stream.partitions));
  if (outside !== undefined) {
    return new RejectedError(
      "UNKNOWN_PARTITION",
      `Cannot subscribe to ${frame.stream} as the partition must be below ${stream.partitions}: current value is ${outside.partition}`,
    );
  }
  if (state.permissions?.mayConsume(frame.stream) !== true) {
    return new RejectedError(
      "FORBIDDEN",
      `Cannot subscribe to ${frame.stream} as the token must allow to consume there: subject is ${state.permissions?.subject}`,
    );
  }
  if (state.subscriptions.has(frame.subscription) || state.subscriptions.size >= SESSION_LIMITS.subscriptionsMax) {
    return new RejectedError(
      "MALFORMED_FRAME",
      `Cannot subscribe as a connection must have at most ${SESSION_LIMITS.subscriptionsMax} subscriptions with a number each: current value is ${frame.subscription}`,
    );
  }
  return undefined;
}

export function addCredit(state: SessionState, id: number | undefined, creditBytes: number): readonly SessionEffect[] {
  const subscription = id === undefined ? undefined : state.subscriptions.get(id);
  if (subscription === undefined) return []; // an ended subscription's credit may still be on its way
  const { subscriptionCreditBytesMax } = SESSION_LIMITS;
  subscription.creditBytes = Math.min(subscription.creditBytes + creditBytes, subscriptionCreditBytesMax);
  return readEffects(subscription);
}

/** The partition is read at its owner from now on: the client goes there with the position that it has reached. */
export function leaveSubscribed(
  state: SessionState,
  id: number,
  partition: number,
  address: string,
): readonly SessionEffect[] {
  const subscription = state.subscriptions.get(id);
  if (subscription?.partitions.delete(partition) !== true) return [];
  const { stream } = subscription;
  return movedFrames({ stream, partition }, address, 0).map((frame) => ({ type: "send", frame }));
}

/** N6. */
export function tellMovesSoon(state: SessionState, id: number, partition: number): readonly SessionEffect[] {
  const subscription = state.subscriptions.get(id);
  if (subscription?.partitions.has(partition) !== true) return [];
  const about = { stream: subscription.stream, partition };
  const address = nextAddress(state, about);
  return address === undefined ? [] : [{ type: "send", frame: movingFrame(about, address) }];
}

type SubscriptionMessage = Extract<
  SessionMessage,
  { type: "advanced" | "began" | "read" | "read_failed" | "sent_records" }
>;

export function stepSubscription(state: SessionState, message: SubscriptionMessage): SessionResult {
  const subscription = state.subscriptions.get(message.subscription);
  if (subscription === undefined) return [state, []];
  const effects: SessionEffect[] = [];
  switch (message.type) {
    case "advanced":
      subscriptions.advanced(subscription, message.partition);
      break;
    case "began":
      for (const frame of subscriptions.began(subscription, message)) {
        effects.push({ type: "send", frame });
      }
      break;
    case "read": {
      const frame = subscriptions.readAnswered(subscription, message.partition, message.result, message.bounds);
      // The next read waits for `sent_records`, which tells what this one cost.
      if (frame?.type === "records") return [state, [{ type: "send", frame }]];
      if (frame !== undefined) effects.push({ type: "send", frame });
      break;
    }
    case "read_failed":
      subscriptions.readFailed(subscription, message.partition, message.isRetriable);
      break;
    case "sent_records":
      subscription.creditBytes -= message.wireBytes;
      break;
  }
  return [state, [...effects, ...readEffects(subscription)]];
}

const readEffects = (subscription: subscriptions.Subscription): readonly SessionEffect[] =>
  subscriptions.readsDue(subscription).map((read) => ({ type: "read", subscription, read }));
