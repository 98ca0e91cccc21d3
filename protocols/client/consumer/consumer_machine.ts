/**
 * Decides what a consumer asks for, and on which connection: subscriptions, where each resumes after a break or a move,
 * and how much credit each node gets. Leaves decoding and the application's pace to `consumer.ts`.
 *
 *   R1. A partition resumes after the last record received. The resume point is a position, so that a changed log is
 *       noticed (E9).
 *   R2. Each attempt at a subscription has a number of its own. Frames with the number of an earlier attempt are
 *       ignored.
 *   R3. The credit given and not yet used, on all links, and the bytes received and not yet consumed, together never
 *       exceed the window (E19).
 *   R4. The application is told of a truncation or a trim before any record after it.
 *   R5. A partition is read on one link at a time: at the owner that a node named, else at home.
 *   R6. A silent connection is asked for a sign of life, with a credit of 0 bytes. A connection that answers neither
 *       this nor the greeting is given up (`link.ts` has the times).
 */
import { backoffMs } from "../../clock.ts";
import { type HeadraceError, RejectedError, UnavailableError } from "../../errors.ts";
import type { Step } from "../../machine.ts";
import { CREDIT_ANSWERED_SINCE_MINOR, type ErrorFrame, type WelcomeFrame } from "../../wire/frames.ts";
import {
  type ClientMachine,
  errorOf,
  giveUp,
  helloOf,
  takeConnectionError,
  takeLinkMessage,
} from "../client_machine.ts";
import { hear, isSilent, type Link, looksWithin, silenceError } from "../link.ts";
import { allLinks, connectHome, HOME, noteOwners, noteWelcome, reconnectHome } from "../links.ts";
import { tellState } from "../tell_state.ts";
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
import { byWireId, takeBreak, takeRecords } from "./consumer_records.ts";
import { CONSUMER_LIMITS, type ConsumerState, createSubscription, type Part } from "./consumer_state.ts";

/**
 * A sign of life is asked for after about this time without a frame. So a node's silence is told within about 5 s, and
 * an idle connection costs one small frame each time.
 */
const ASK_AFTER_MS = 1_800;

export const stepConsumer: Step<ConsumerState, ConsumerMessage, ConsumerEffect> = (state, message, nowMs) => {
  const effects: ConsumerEffect[] = [];
  if (state.isStopped) return [state, effects];
  switch (message.type) {
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
    case "stop":
      stop(state, undefined, effects);
      break;
    default:
      takeLinkMessage(MACHINE, state, message, nowMs, effects);
  }
  tellState(state.links, effects);
  return [state, effects];
};

const MACHINE: ClientMachine<ConsumerState, Link, ConsumerEffect[]> = {
  greet: (state, { name }, effects) => effects.push({ type: "send", link: name, frame: helloOf(state) }),
  takeFrame,
  breakSilence,
  endWait(state, name, effects) {
    const subscription = state.subscriptions.get(Number(name));
    if (subscription !== undefined) endWait(state, subscription, effects);
  },
  lose: loseLink,
  stop,
};

/** R6. */
function breakSilence(state: ConsumerState, link: Link, effects: ConsumerEffect[]): void {
  const mustAnswer = link.phase === "greeting" || link.minor >= CREDIT_ANSWERED_SINCE_MINOR;
  const subscribed = partsOn(state, link).find(({ wireId }) => wireId !== undefined);
  const isGone = isSilent(link, link.phase === "greeting" || subscribed !== undefined, effects);
  link.isQuiet &&= mustAnswer;
  if (isGone && mustAnswer) {
    giveUp(MACHINE, state, link, silenceError(link), 0, effects);
    return;
  }
  if (subscribed?.wireId === undefined || link.silentLooks < looksWithin(link, ASK_AFTER_MS)) return;
  if (isGone) hear(link);
  const frame = { type: "credit", subscription: subscribed.wireId, creditBytes: 0 } as const;
  effects.push({ type: "send", link: link.name, frame });
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

function takeFrame(
  state: ConsumerState,
  link: Link,
  { frame, wireBytes }: Extract<ConsumerMessage, { type: "frame" }>,
  _nowMs: number,
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
      break; // These are for producers.
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
  noteWelcome(state.links);
  noteOwners(state.links, frame.streams, effects);
  state.partitionCounts = new Map(
    Object.entries(frame.streams).map(([stream, { partitions }]) => [stream, partitions]),
  );
  for (const subscription of subscriptions) beginAtHome(state, subscription, effects);
}

function takeError(state: ConsumerState, link: Link, frame: ErrorFrame, effects: ConsumerEffect[]): void {
  if (frame.subscription === undefined) {
    takeConnectionError(MACHINE, state, link, frame, effects);
    return;
  }
  const read = byWireId(state, link, frame.subscription);
  // `MALFORMED_FRAME` refuses a second subscription with the same number: the first one goes on.
  if (read === undefined || frame.code === "MALFORMED_FRAME") return;
  const { subscription, part } = read;
  const error = errorOf(frame);
  part.wireId = undefined;
  part.outstandingBytes = 0;
  if (error instanceof RejectedError) {
    end(state, subscription, error, effects);
    return;
  }
  const backoff = backoffMs(subscription.tries++, CONSUMER_LIMITS.retryFirstMs, CONSUMER_LIMITS.retryMaxMs);
  const delayMs = Math.max(frame.retryAfterMs ?? 0, backoff);
  effects.push({ type: "set_timer", timer: `subscription ${subscription.request.id}`, delayMs });
}

function stop(state: ConsumerState, error: HeadraceError | undefined, effects: ConsumerEffect[]): void {
  for (const { name } of allLinks(state.links)) effects.push({ type: "disconnect", link: name });
  for (const { request } of state.subscriptions.values()) effects.push({ type: "ended", id: request.id, error });
  state.subscriptions.clear();
  state.isStopped = true;
  state.links.closedBy = error ?? new UnavailableError("STOPPING", "Cannot read as the consumer was closed");
  effects.push({ type: "stopped", error });
}
