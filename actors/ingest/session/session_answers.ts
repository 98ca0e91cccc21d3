/** The session machine's answers: a partition's replies to appends and calls, as frames (N2, N3, N6). */
import {
  FencedError,
  type HeadraceError,
  InvariantError,
  OverloadedError,
  UnavailableError,
} from "../../../protocols/errors.ts";
import { partitionName } from "../../../protocols/position.ts";
import type { Sequence } from "../../../protocols/sequence.ts";
import type { AckFrame, NodeFrame, WireVerdict } from "../../../protocols/wire/frames.ts";
import type { AppendOutcome, OpenChainOutcome, TooManyProducers } from "../../log/log.ts";
import type { PartitionAnswer, PartitionReply } from "../../partition/partition.ts";
import { moveWindow } from "./credit_window.ts";
import { type About, NOTHING, type SessionEffect, sendAll } from "./session_messages.ts";
import {
  type Awaited,
  addChain,
  addressElsewhere,
  type Chain,
  chainOf,
  errorFrame,
  movedFrames,
  movingFrame,
  nextAddress,
  type SessionState,
} from "./session_state.ts";

/** N2, N3: the frames for one reply of a partition. Neighbouring acknowledgements share one `ack`. */
export function answer(state: SessionState, message: PartitionReply): readonly SessionEffect[] {
  const about = { stream: message.partition.stream, partition: message.partition.partition as number };
  const effects: SessionEffect[] = [];
  const { underWayBytes } = state;
  let ack: AckDraft | undefined;
  for (const one of message.answers) {
    const awaited = state.awaited.get(one.requestId);
    if (awaited === undefined) continue;
    state.awaited.delete(one.requestId);
    noteAnswered(state, awaited);
    const lostCreditBytes = awaited.kind === "append" ? passOver(state, awaited.chain, one) : undefined;
    noteTail(state, about, awaited, one);
    const acknowledged = acknowledgement(awaited, one);
    if (lostCreditBytes !== undefined) {
      if (ack !== undefined) effects.push(sendAck(state, about, ack, underWayBytes));
      ack = undefined;
      const creditBytes = lostCreditBytes + (acknowledged?.creditBytes ?? 0);
      effects.push({ type: "send", frame: errorFrame(answersLost(about), about, creditBytes) });
      if (acknowledged !== undefined) continue;
    }
    if (acknowledged !== undefined) {
      ack = mergeAck(ack, acknowledged);
      continue;
    }
    if (ack !== undefined) effects.push(sendAck(state, about, ack, underWayBytes));
    ack = undefined;
    for (const frame of otherAnswer(state, about, awaited, one)) effects.push({ type: "send", frame });
  }
  if (ack !== undefined) effects.push(sendAck(state, about, ack, underWayBytes));
  effects.push(...followMove(state, about));
  return effects;
}

/** N6. Tells a producer that its partition is about to move, and that it has moved. */
export function followMove(state: SessionState, about: About): readonly SessionEffect[] {
  const chain = chainOf(state, about);
  if (chain === undefined) return NOTHING;
  const next = nextAddress(state, about);
  const { stream, partition, toldNext } = chain;
  if (next === toldNext) return NOTHING;
  if (next !== undefined) {
    chain.toldNext = next;
    const told: SessionEffect = { type: "send", frame: movingFrame(chain, next) };
    return toldNext === undefined ? [{ type: "watch_owner", stream, partition }, told] : [told];
  }
  if (chain.unanswered.length > 0 || chain.gathered.length > 0) return NOTHING;
  chain.toldNext = undefined;
  const unwatched: SessionEffect = { type: "unwatch_owner", stream, partition };
  const address = addressElsewhere(state, chain);
  if (address === undefined) return [unwatched]; // the move was called off
  chain.tail = undefined;
  return [unwatched, ...sendAll(movedFrames(chain, address, 0))];
}

/**
 * Takes an append off its chain's list. Appends before it lost their answers as their partition was restarted. An ack
 * would cover them without their verdicts (E4), so this answers their credit; undefined where none was lost.
 */
function passOver(state: SessionState, chain: Chain, { kind, requestId }: PartitionAnswer): number | undefined {
  const { unanswered } = chain;
  if (kind === "refused") {
    // A refusal may overtake earlier appends, which the log may still write.
    const at = unanswered.indexOf(requestId);
    if (at >= 0) unanswered.splice(at, 1);
    return undefined;
  }
  let creditBytes: number | undefined;
  for (let id = unanswered.shift(); id !== undefined && id !== requestId; id = unanswered.shift()) {
    const awaited = state.awaited.get(id);
    if (awaited?.kind !== "append") continue;
    state.awaited.delete(id);
    noteAnswered(state, awaited);
    creditBytes = (creditBytes ?? 0) + awaited.creditBytes;
  }
  return creditBytes;
}

function noteAnswered(state: SessionState, awaited: Awaited): void {
  if (awaited.kind === "append") {
    state.underWayBytes -= awaited.creditBytes;
    awaited.chain.underWayBytes -= awaited.creditBytes;
  } else state.callsUnderWay -= 1;
}

/** Notes the end of the chain as the log holds it, unless unanswered appends may still change it (append draft D1). */
function noteTail(state: SessionState, about: About, awaited: Awaited, one: PartitionAnswer): void {
  const chain = awaited.kind === "append" ? awaited.chain : chainOf(state, about);
  if (chain === undefined) return;
  const stored = storedAfter(awaited, one);
  if (stored === undefined) chain.tail = undefined;
  else if (chain.unanswered.length === 0 && chain.gathered.length === 0) chain.tail = stored;
}

/** The end of the chain as an answer tells it; undefined where the answer does not tell. */
function storedAfter(awaited: Awaited, one: PartitionAnswer): Sequence | null | undefined {
  if (one.kind === "refused") return undefined;
  const { outcome } = one;
  switch (outcome.kind) {
    case "opened":
      return outcome.lastSequence ?? null;
    case "written":
      return awaited.kind === "append" ? awaited.last : awaited.kind === "lost" ? awaited.to : undefined;
    case "duplicate":
      return outcome.stored;
    case "gap":
      return outcome.stored ?? null;
    case "unknown_producer":
    case "stale_producer_epoch":
    case "too_many_producers":
      return undefined;
  }
}

const answersLost = (about: About): HeadraceError =>
  new UnavailableError(
    "NOT_READY",
    `Cannot acknowledge an append to ${partitionName(about)} as those before it must have been answered: the partition was restarted meanwhile`,
  );

interface AckDraft {
  readonly lastSequence: Sequence;
  readonly verdicts: readonly WireVerdict[];
  readonly creditBytes: number;
}

function acknowledgement(awaited: Awaited, one: PartitionAnswer): AckDraft | undefined {
  if (one.kind !== "appended" || awaited.kind === "open") return undefined;
  const { outcome } = one;
  if (outcome.kind !== "written" && outcome.kind !== "duplicate") return undefined;
  if (awaited.kind === "lost") return { lastSequence: awaited.to, verdicts: [], creditBytes: 0 };
  // E4: a duplicate is answered with its stored verdicts, not with those of a newer schema.
  const verdicts = outcome.kind === "duplicate" ? outcome.verdicts : awaited.verdicts;
  return { lastSequence: awaited.last, verdicts, creditBytes: awaited.creditBytes };
}

function mergeAck(draft: AckDraft | undefined, next: AckDraft): AckDraft {
  if (draft === undefined) return next;
  return {
    lastSequence: next.lastSequence,
    verdicts: next.verdicts.length === 0 ? draft.verdicts : [...draft.verdicts, ...next.verdicts],
    creditBytes: draft.creditBytes + next.creditBytes,
  };
}

/** @param underWayBytes bytes of the connection's unanswered appends before this reply */
function sendAck(state: SessionState, about: About, draft: AckDraft, underWayBytes: number): SessionEffect {
  const { lastSequence, verdicts } = draft;
  const creditBytes = draft.creditBytes + moveWindow(state.credit, underWayBytes, draft.creditBytes);
  const { stream, partition } = about;
  const ack: AckFrame = { type: "ack", stream, partition, lastSequence, creditBytes };
  return { type: "send", frame: verdicts.length === 0 ? ack : { ...ack, verdicts } };
}

function otherAnswer(state: SessionState, about: About, awaited: Awaited, one: PartitionAnswer): readonly NodeFrame[] {
  const creditBytes = awaited.kind === "append" ? awaited.creditBytes : 0;
  switch (one.kind) {
    case "refused":
      return one.error.code === "NOT_OWNER"
        ? movedFrames(about, addressElsewhere(state, about), creditBytes)
        : [errorFrame(one.error, about, creditBytes)];
    case "opened":
      return [openedFrame(state, about, one.outcome)];
    case "appended":
      return [appendedFrame(about, one.outcome, creditBytes)];
  }
}

function openedFrame(state: SessionState, about: About, outcome: OpenChainOutcome): NodeFrame {
  if (outcome.kind !== "opened") return errorFrame(chainRefusal(about, outcome), about, 0);
  const { lastSequence = null, position } = outcome;
  if (chainOf(state, about) === undefined) {
    const empty = { unanswered: [], gathered: [], underWayBytes: 0, toldNext: undefined };
    addChain(state, { ...about, tail: lastSequence, ...empty });
  }
  return { type: "opened", ...about, lastSequence, ...(position === undefined ? {} : { position }) };
}

function appendedFrame(about: About, outcome: AppendOutcome, creditBytes: number): NodeFrame {
  switch (outcome.kind) {
    case "gap":
      return { type: "gap", ...about, storedSequence: outcome.stored ?? null, creditBytes };
    case "unknown_producer":
    case "stale_producer_epoch":
    case "too_many_producers":
      return errorFrame(chainRefusal(about, outcome), about, creditBytes);
    case "written":
    case "duplicate":
      throw new InvariantError(
        `Cannot answer an open of ${partitionName(about)} as its reply must be of kind opened: current value is appended`,
      );
  }
}

type ChainRefusal = Extract<AppendOutcome, { kind: "unknown_producer" | "stale_producer_epoch" }> | TooManyProducers;

function chainRefusal(about: About, outcome: ChainRefusal): HeadraceError {
  if (outcome.kind === "unknown_producer") {
    return new FencedError(
      "UNKNOWN_PRODUCER",
      `Cannot append to ${partitionName(about)} as the chain must still be known there: it has expired`,
    );
  }
  if (outcome.kind === "stale_producer_epoch") {
    return new FencedError(
      "STALE_PRODUCER_EPOCH",
      `Cannot append to ${partitionName(about)} as the producer epoch must be at least ${outcome.current}: a newer one was opened`,
    );
  }
  const why = `Cannot open a chain in ${partitionName(about)} as ${limitOf(outcome)}`;
  return new OverloadedError("TOO_MANY_PRODUCERS", why, 5_000);
}

const limitOf = ({ live, share }: TooManyProducers): string =>
  share === undefined
    ? `live producers must stay within its limit: current value is ${live}`
    : `a principal's live producers must stay below its share of the free places: it has ${share.held}, and ${share.free} are free`;
