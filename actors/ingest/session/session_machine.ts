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
import type { Step } from "../../../protocols/machine.ts";
import { CLOSE_CODES } from "../../../protocols/wire/closing.ts";
import { type ClientFrame, CREDIT_ANSWERED_SINCE_MINOR, type CreditFrame } from "../../../protocols/wire/frames.ts";
import type { ArrivedFrame } from "./arrived_frame.ts";
import { answer, followMove } from "./session_answers.ts";
import { append, callChain, flush } from "./session_appends.ts";
import { authenticated, hello, welcomed } from "./session_greeting.ts";
import { NOTHING, type SessionEffect, type SessionMessage } from "./session_messages.ts";
import { costOfBytes, refuseConnection, SESSION_LIMITS, type SessionState } from "./session_state.ts";
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

export const stepSession: Step<SessionState, SessionMessage, SessionEffect> = (state, message, nowMs) => [
  state,
  state.phase === "closed" ? NOTHING : effectsOf(state, message, nowMs),
];

function effectsOf(state: SessionState, message: SessionMessage, nowMs: number): readonly SessionEffect[] {
  switch (message.type) {
    case "connected":
      return [{ type: "wait", delayMs: SESSION_LIMITS.helloWithinMs, message: { type: "hello_overdue" } }];
    case "frames":
      return takeFrames(state, message.frames, nowMs);
    case "frame":
    case "malformed":
      return takeArrived(state, message, nowMs);
    case "authenticated":
      return authenticated(state, message.permissions);
    case "welcomed":
      return welcomed(state, message.outcome);
    case "welcome_failed":
      return refuseConnection(state, message.error);
    case "flush":
      return flush(state);
    case "partition_reply":
      return [...answer(state, message), ...(state.phase === "closing" ? closeWhenAnswered(state) : [])];
    case "hello_overdue":
      return state.phase === "greeting" ? refuseConnection(state, helloOverdue()) : NOTHING;
    case "grant_ended":
      return state.phase === "closing" ? NOTHING : refuseConnection(state, grantEnded()); // N8
    case "stopping":
      return stopping(state);
    case "disconnected":
      state.phase = "closed";
      return [...state.subscriptions.keys()].map((id) => ({ type: "unlisten", subscription: id }));
    case "owned_elsewhere":
      return leaveSubscribed(state, message.subscription, message.partition, message.address);
    case "owner_changed":
      return followMove(state, message);
    case "moves_soon":
      return tellMovesSoon(state, message.subscription, message.partition);
    case "flushed_records":
      return flushedRecords(state, message.room);
    case "records_room":
      return readLarge(state);
    case "records_overdue":
      return pressOthers(state, nowMs);
    case "give_way":
      return [{ type: "abandon" }];
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

/** One step for all frames of a read: most of them have no effect but the append at the end. */
function takeFrames(state: SessionState, frames: readonly ArrivedFrame[], nowMs: number): readonly SessionEffect[] {
  const effects: SessionEffect[] = [];
  for (const frame of frames) {
    for (const effect of takeArrived(state, frame, nowMs)) if (effect.type !== "flush_soon") effects.push(effect);
  }
  effects.push(...flush(state));
  return effects;
}

function takeArrived(state: SessionState, arrived: ArrivedFrame, nowMs: number): readonly SessionEffect[] {
  if (state.phase === "closing") return NOTHING; // the producer sends it again on its next connection
  if (arrived.type === "malformed") return refuseConnection(state, arrived.error);
  const { frame, wireBytes } = arrived;
  if (frame.type === "hello") return hello(state, frame);
  if (state.phase !== "open") return refuseConnection(state, helloRequired(frame.type)); // N1
  if (frame.type === "append") return append(state, frame, wireBytes, nowMs);
  return [{ type: "charge", cost: costOf(frame, wireBytes) }, ...takeCall(state, frame)];
}

/** The frames that no credit bounds (N7). */
type CallFrame = Exclude<ClientFrame, { readonly type: "hello" | "append" }>;

function costOf(frame: CallFrame, wireBytes: number): number {
  const partitions = frame.type === "subscribe" ? frame.partitions.length : 0;
  return FRAME_COSTS[frame.type] + partitions + costOfBytes(wireBytes);
}

/** Costs besides that of the bytes. A frame that is answered at once costs 1, a subscription 1 more a partition. */
export const FRAME_COSTS: Readonly<Record<CallFrame["type"], number>> = {
  open: 4, // a write to the log
  lost: 4,
  subscribe: 8,
  unsubscribe: 1,
  credit: 1,
  goodbye: 1,
};

function takeCall(state: SessionState, frame: CallFrame): readonly SessionEffect[] {
  switch (frame.type) {
    case "open":
    case "lost":
      return callChain(state, frame);
    case "subscribe":
      return subscribe(state, frame);
    case "unsubscribe":
      state.subscriptions.delete(frame.subscription);
      return [{ type: "unlisten", subscription: frame.subscription }];
    case "credit":
      return credit(state, frame);
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
    : NOTHING;

function closeWhenAnswered({ awaited, hasSaidGoodbye }: SessionState): readonly SessionEffect[] {
  if (awaited.size > 0) return NOTHING;
  const { goodbye, goingAway } = CLOSE_CODES;
  return [
    {
      type: "close",
      ...(hasSaidGoodbye ? { code: goodbye, reason: "goodbye" } : { code: goingAway, reason: "going away" }),
    },
  ];
}

/** Ignores further frames, answers the appends and calls taken before, then closes. */
function stopping(state: SessionState): readonly SessionEffect[] {
  if (state.phase === "closing") return NOTHING;
  state.phase = "closing";
  return [...flush(state), ...closeWhenAnswered(state)];
}
