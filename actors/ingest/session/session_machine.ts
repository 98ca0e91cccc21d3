/**
 * One connection: its greeting, its appends and its subscriptions. Decides what each frame means and how it is
 * answered. Leaves bytes to the codec, validation to `inspect`, and order and durability to the partitions.
 *
 *   N1. Before the welcome the session takes `hello` alone: any other frame ends the connection.
 *   N2. Each append has one answer, which gives its credit back: an `ack`, a `gap`, a `moved` with a `credit`, or an
 *       `error`. Where the connection closes first, the producer asks again (`open`).
 *   N3. The appends of one turn go to each partition as one message, in order. Each reply of a partition goes out as
 *       one `ack`.
 *   N4. The bytes of unanswered appends exceed the credit given by at most one frame (E19).
 *   N5. Where several partitions are open, one holds at most a share of the credit, or one frame (E19).
 *   N6. A client that follows owners is told `moving` while the partition is still served here: a producer with the
 *       next answer, a subscriber at once. It is told `moved` once all that it sent before is answered, without sending
 *       more.
 *   N7. Frames that no credit bounds are charged to the connection's allowance: calls, and refused appends. A
 *       connection without allowance is not read for a while, so that the others keep their turns.
 *   N8. A connection ends with its grant. Frames after the token has expired, or was taken away, are ignored.
 */

import { RejectedError, UnavailableError } from "../../../protocols/errors.ts";
import { CLOSE_CODES } from "../../../protocols/wire/closing.ts";
import { type ClientFrame, CREDIT_ANSWERED_SINCE_MINOR, type CreditFrame } from "../../../protocols/wire/frames.ts";
import { answer, followMove } from "./session_answers.ts";
import { append, flush, lost, open } from "./session_appends.ts";
import { authenticated, hello, welcomed } from "./session_greeting.ts";
import type { SessionEffect, SessionMessage } from "./session_messages.ts";
import {
  costOfBytes,
  refuseConnection,
  SESSION_LIMITS,
  type SessionResult,
  type SessionState,
} from "./session_state.ts";
import {
  addCredit,
  flushedRecords,
  leaveSubscribed,
  pressOthers,
  readLarge,
  stepSubscription,
  subscribe,
  tellMovesSoon,
} from "./session_subscriptions.ts";

export function stepSession(state: SessionState, message: SessionMessage, nowMs: number): SessionResult {
  if (state.phase === "closed") return [state, []];
  switch (message.type) {
    case "connected":
      return [state, [{ type: "wait", delayMs: SESSION_LIMITS.helloWithinMs, message: { type: "hello_overdue" } }]];
    case "frame":
      return takeFrame(state, message.frame, message.wireBytes, nowMs);
    case "malformed":
      return [state, refuseConnection(state, message.error)];
    case "authenticated":
      return authenticated(state, message.permissions);
    case "welcomed":
      return welcomed(state, message.outcome);
    case "welcome_failed":
      return [state, refuseConnection(state, message.error)];
    case "flush":
      return [state, flush(state)];
    case "partition_reply":
      return [state, [...answer(state, message), ...(state.phase === "closing" ? closeWhenAnswered(state) : [])]];
    case "hello_overdue":
      return [state, state.phase === "greeting" ? refuseConnection(state, helloOverdue()) : []];
    case "grant_ended":
      return [state, state.phase === "closing" ? [] : refuseConnection(state, grantEnded())]; // N8
    case "stopping":
      return stopping(state);
    case "disconnected":
      state.phase = "closed";
      return [state, [...state.subscriptions.keys()].map((id) => ({ type: "unlisten", subscription: id }))];
    case "owned_elsewhere":
      return [state, leaveSubscribed(state, message.subscription, message.partition, message.address)];
    case "owner_changed":
      return [state, followMove(state, message)];
    case "moves_soon":
      return [state, tellMovesSoon(state, message.subscription, message.partition)];
    case "flushed_records":
      return [state, flushedRecords(state, message.room)];
    case "records_room":
      return [state, readLarge(state)];
    case "records_overdue":
      return [state, pressOthers(state, nowMs)];
    case "give_way":
      return [state, [{ type: "abandon" }]];
    case "advanced":
    case "began":
    case "read":
    case "read_crowded":
    case "read_failed":
    case "sent_records":
      return stepSubscription(state, message);
  }
}

const helloRequired = (what: string): RejectedError =>
  new RejectedError("HELLO_REQUIRED", `Cannot take ${what} as a connection must begin with hello: none was received`);

const grantEnded = (): RejectedError =>
  new RejectedError(
    "UNAUTHENTICATED",
    "Cannot keep the connection as its token must be valid: the token has expired, or was taken away",
  );

/** `UnavailableError`, so that the client tries again: this node itself may have stood still. */
const helloOverdue = (): UnavailableError =>
  new UnavailableError(
    "TIMEOUT",
    `Cannot keep a connection as it must begin with hello within ${SESSION_LIMITS.helloWithinMs} ms: none was received`,
  );

function takeFrame(state: SessionState, frame: ClientFrame, wireBytes: number, nowMs: number): SessionResult {
  if (state.phase === "closing") return [state, []]; // the producer sends it again on its next connection
  if (frame.type === "hello") return hello(state, frame);
  if (state.phase === "greeting" || state.phase === "welcoming") {
    return [state, refuseConnection(state, helloRequired(frame.type))]; // N1
  }
  if (frame.type === "append") return [state, append(state, frame, wireBytes, nowMs)];
  const [, effects] = takeCall(state, frame);
  return [state, [{ type: "charge", cost: costOf(frame, wireBytes) }, ...effects]];
}

function costOf(frame: Exclude<ClientFrame, { readonly type: "hello" | "append" }>, wireBytes: number): number {
  const partitions = frame.type === "subscribe" ? frame.partitions.length : 0;
  return FRAME_COSTS[frame.type] + partitions + costOfBytes(wireBytes);
}

/**
 * The cost of a frame that no credit bounds (N7), besides that of its bytes. The unit is a frame that is answered at
 * once. An `open` is a write to the log. A subscription costs 1 more for each of its partitions.
 */
export const FRAME_COSTS: Readonly<Record<Exclude<ClientFrame["type"], "hello" | "append">, number>> = {
  open: 4,
  lost: 4,
  subscribe: 8,
  unsubscribe: 1,
  credit: 1,
  goodbye: 1,
};

function takeCall(
  state: SessionState,
  frame: Exclude<ClientFrame, { readonly type: "hello" | "append" }>,
): SessionResult {
  switch (frame.type) {
    case "open":
      return [state, open(state, frame)];
    case "lost":
      return [state, lost(state, frame)];
    case "subscribe":
      return [state, subscribe(state, frame)];
    case "unsubscribe":
      state.subscriptions.delete(frame.subscription);
      return [state, [{ type: "unlisten", subscription: frame.subscription }]];
    case "credit":
      return [state, credit(state, frame)];
    case "goodbye":
      state.hasSaidGoodbye = true;
      return stopping(state);
  }
}

function credit(state: SessionState, { subscription, creditBytes }: CreditFrame): readonly SessionEffect[] {
  if (subscription !== undefined)
    return [...signOfLife(state, creditBytes), ...addCredit(state, subscription, creditBytes)];
  return refuseConnection(
    state,
    new RejectedError("MALFORMED_FRAME", "Cannot take credit as a client's must name its subscription: it names none"),
  );
}

/** Answers a subscriber's request for a sign of life, a credit of 0 bytes, with the same. */
const signOfLife = ({ hello }: SessionState, creditBytes: number): readonly SessionEffect[] =>
  creditBytes === 0 && (hello?.minor ?? 0) >= CREDIT_ANSWERED_SINCE_MINOR
    ? [{ type: "send", frame: { type: "credit", creditBytes: 0 } }]
    : [];

const closeWhenAnswered = (state: SessionState): readonly SessionEffect[] =>
  state.awaited.size > 0
    ? []
    : state.hasSaidGoodbye
      ? [{ type: "close", code: CLOSE_CODES.goodbye, reason: "goodbye" }]
      : [{ type: "close", code: CLOSE_CODES.goingAway, reason: "going away" }];

/** Ignores further frames, answers the appends and calls taken before, then closes. */
function stopping(state: SessionState): SessionResult {
  if (state.phase === "closing") return [state, []];
  state.phase = "closing";
  return [state, [...flush(state), ...closeWhenAnswered(state)]];
}
