/**
 * Decides what a producer sends next: which chains to open, which batches to send, resend, cut, hand back or declare
 * lost. Leaves batching, encoding and the connection to `producer.ts`.
 *
 *   P1. Batches of a chain leave in order, each naming the last sequence before it (E2).
 *   P2. A batch is forgotten only when it is acknowledged, refused, or handed back as in doubt; never silently.
 *   P3. Every doubt about a chain (reconnect, gap, move, error) ends in one way: `open` it again and go on from what
 *       `opened` says is stored. Batches stored already are sent again, as only their ack carries their verdicts (E4).
 *   P4. What was acknowledged and is stored no longer is declared lost before anything follows it (E6).
 *   P5. A batch sent once is not sent again after the dedupe window: it is handed back as in doubt (E5).
 *   P6. A fenced producer sends nothing more and hands back all that is not acknowledged (E1).
 *   P7. Appends under way never exceed the credit, but that one append may always go (E19).
 *   P8. A connection that owes an answer and stays silent for `silenceMs` is given up.
 */

import { backoffMs } from "./clock.ts";
import { cutEvents, joinEvents } from "./cut_events.ts";
import { errorFromCode, FencedError, type HeadraceError, InvariantError, RejectedError } from "./errors.ts";
import type { AckFrame, ClientFrame, ErrorFrame, NodeFrame, OpenedFrame, WelcomeFrame, WireVerdict } from "./frames.ts";
import type { Step } from "./machine.ts";
import type { ProducerBatch, ProducerEffect, ProducerMessage, SettledBatch } from "./producer_messages.ts";
import {
  compareSequences,
  lastSequence,
  type Sequence,
  type Sequences,
  sequenceAt,
  sequenceCount,
} from "./sequence.ts";
import { sliceEvents } from "./slice_events.ts";

/** What an append frame takes beyond its events, at most; the wire's own count corrects it. */
const FRAME_OVERHEAD_BYTES = 512;

export const PRODUCER_LIMITS = {
  /** Appends under way on one chain: enough to cover a long round trip with batches of ordinary size. */
  appendsInFlightMax: 64,
  reconnectFirstMs: 50,
  reconnectMaxMs: 5_000,
  /** How long an answer that is owed may take before the connection is given up. */
  silenceMs: 30_000,
  retryFirstMs: 20,
  retryMaxMs: 2_000,
} as const;

/** Looks at a silent connection within `silenceMs`. */
const SILENT_LOOKS = 2;

interface QueuedBatch {
  readonly id: number;
  events: Uint8Array;
  count: number;
  sequences: Sequences | undefined;
  readonly rest: Pick<ProducerBatch, "schemaVersion" | "traceparent" | "position">;
  firstSentAtMs: number | undefined;
  /** All of the batch, where this is its last piece. */
  whole?: Sequences | undefined;
  /** The batch goes on in the next piece, which settles it and tells the verdicts of this one too. */
  isPiece?: boolean;
  carried?: readonly WireVerdict[];
}

interface Chain {
  readonly stream: string;
  readonly partition: number;
  phase: "closed" | "opening" | "open" | "waiting";
  /** Not acknowledged yet, in order; the first `sent` of them are under way on this connection. */
  readonly queue: QueuedBatch[];
  sent: number;
  /** The sequence that the head of the queue follows: acknowledged by, or found in, the log. */
  previous: Sequence | undefined;
  /** When the log was last known to hold this chain. */
  touchedAtMs: number;
  /** Last position given to a batch of a plain producer; undefined before the chain was first opened. */
  counted: Sequence | undefined;
  isCounting: boolean;
  /** One append at a time, to learn which one is refused. */
  isProbing: boolean;
  isWanted: boolean;
  tries: number;
}

export interface ProducerState {
  phase: "offline" | "connecting" | "greeting" | "online" | "stopped";
  readonly client: string;
  readonly producerId: string;
  readonly instance: string;
  readonly token: string | undefined;
  producerEpoch: number | undefined;
  dedupeWindowMs: number;
  creditBytes: number;
  /** A chain could not send for want of credit. */
  isStarved: boolean;
  /** Looks at the connection since its last frame. Counted and not timed: a clock that jumps must not end or keep it. */
  silentLooks: number;
  tries: number;
  readonly chains: Map<string, Chain>;
}

export interface ProducerIdentity {
  readonly client: string;
  readonly producerId: string;
  readonly instance: string;
  readonly token?: string | undefined;
  readonly producerEpoch?: number | undefined;
  readonly dedupeWindowMs: number;
}

export function initialProducer(identity: ProducerIdentity): ProducerState {
  return {
    phase: "offline",
    client: identity.client,
    producerId: identity.producerId,
    instance: identity.instance,
    token: identity.token,
    producerEpoch: identity.producerEpoch,
    dedupeWindowMs: identity.dedupeWindowMs,
    creditBytes: 0,
    isStarved: false,
    silentLooks: 0,
    tries: 0,
    chains: new Map(),
  };
}

export const stepProducer: Step<ProducerState, ProducerMessage, ProducerEffect> = (state, message, nowMs) => {
  const effects: ProducerEffect[] = [];
  if (state.phase === "stopped") return [state, stepStopped(message)];
  switch (message.kind) {
    case "start":
      state.phase = "connecting";
      effects.push({ kind: "connect" });
      break;
    case "batch":
      enqueue(state, message.batch, nowMs, effects);
      break;
    case "open":
      chainOf(state, message.stream, message.partition).isWanted = true;
      reopen(state, chainOf(state, message.stream, message.partition), effects);
      break;
    case "connected":
      if (state.phase !== "connecting") {
        effects.push({ kind: "disconnect" }); // It closed before it was told to be open.
        break;
      }
      state.phase = "greeting";
      state.silentLooks = 0;
      effects.push({ kind: "set_timer", timer: "silence", delayMs: PRODUCER_LIMITS.silenceMs / SILENT_LOOKS });
      effects.push({ kind: "send", frame: helloOf(state), estimatedBytes: 0 });
      break;
    case "disconnected":
      if (message.error instanceof RejectedError) stop(state, message.error, effects);
      else disconnect(state, 0, effects);
      break;
    case "frame":
      state.silentLooks = 0;
      takeFrame(state, message.frame, nowMs, effects);
      break;
    case "sent":
      state.creditBytes += message.estimatedBytes - message.wireBytes;
      break;
    case "timer":
      takeTimer(state, message.timer, effects);
      break;
    case "stop":
      stop(state, undefined, effects);
      break;
  }
  return [state, effects];
};

/** P6. Batches that arrive late are handed back at once. */
function stepStopped(message: ProducerMessage): ProducerEffect[] {
  if (message.kind !== "batch") return [];
  const { id, sequences } = message.batch;
  const error = new FencedError("PRODUCER_FENCED", "Cannot send a batch as the producer has stopped");
  return [{ kind: "in_doubt", batches: [{ id, sequences }], error }];
}

function helloOf(state: ProducerState): ClientFrame {
  return {
    type: "hello",
    client: state.client,
    minor: 0,
    producerId: state.producerId,
    instance: state.instance,
    ...(state.token === undefined ? {} : { token: state.token }),
    ...(state.producerEpoch === undefined ? {} : { producerEpoch: state.producerEpoch }),
  };
}

const chainKey = (stream: string, partition: number): string => `${stream}/${partition}`;

function chainOf(state: ProducerState, stream: string, partition: number): Chain {
  const key = chainKey(stream, partition);
  let chain = state.chains.get(key);
  if (chain === undefined) {
    chain = {
      stream,
      partition,
      phase: "closed",
      queue: [],
      sent: 0,
      previous: undefined,
      touchedAtMs: 0,
      counted: undefined,
      isCounting: false,
      isProbing: false,
      isWanted: false,
      tries: 0,
    };
    state.chains.set(key, chain);
  }
  return chain;
}

function enqueue(state: ProducerState, batch: ProducerBatch, nowMs: number, effects: ProducerEffect[]): void {
  const chain = chainOf(state, batch.stream, batch.partition);
  const { id, events, count, sequences } = batch;
  const queued: QueuedBatch = { id, events, count, sequences, rest: restOf(batch), firstSentAtMs: undefined };
  chain.queue.push(queued);
  if (chain.isCounting) number(chain, queued);
  if (chain.phase === "closed") reopen(state, chain, effects);
  else pump(state, chain, nowMs, effects);
}

function restOf(batch: ProducerBatch): QueuedBatch["rest"] {
  return {
    ...(batch.schemaVersion === undefined ? {} : { schemaVersion: batch.schemaVersion }),
    ...(batch.traceparent === undefined ? {} : { traceparent: batch.traceparent }),
    ...(batch.position === undefined ? {} : { position: batch.position }),
  };
}

/** Counts a plain producer's batch on from the last. */
function number(chain: Chain, batch: QueuedBatch): void {
  if (batch.sequences !== undefined) return;
  const last = chain.counted;
  const first: Sequence = last === undefined ? [0, 0, 0] : [last[0], last[1] + 1, 0];
  batch.sequences = { first, count: batch.count };
  chain.counted = lastSequence(batch.sequences);
}

/** P3. */
function reopen(state: ProducerState, chain: Chain, effects: ProducerEffect[]): void {
  chain.sent = 0;
  if (state.phase !== "online" || state.producerEpoch === undefined) {
    chain.phase = "closed";
    return;
  }
  if (chain.phase === "opening") return;
  chain.phase = "opening";
  const { stream, partition } = chain;
  const frame: ClientFrame = { type: "open", stream, partition, producerEpoch: state.producerEpoch };
  effects.push({ kind: "send", frame, estimatedBytes: 0 });
}

/** Tries the chain again after a while, longer each time. */
function retryLater(state: ProducerState, chain: Chain, leastMs: number, effects: ProducerEffect[]): void {
  if (chain.phase === "waiting" || state.phase !== "online") return;
  chain.phase = "waiting";
  chain.sent = 0;
  const delayMs = Math.max(leastMs, backoffMs(chain.tries++, PRODUCER_LIMITS.retryFirstMs, PRODUCER_LIMITS.retryMaxMs));
  effects.push({ kind: "set_timer", timer: `chain ${chainKey(chain.stream, chain.partition)}`, delayMs });
}

function takeTimer(state: ProducerState, timer: string, effects: ProducerEffect[]): void {
  if (timer === "silence") {
    breakSilence(state, effects);
    return;
  }
  if (timer === "reconnect") {
    if (state.phase !== "offline") return;
    state.phase = "connecting";
    effects.push({ kind: "connect" });
    return;
  }
  const chain = state.chains.get(timer.slice("chain ".length));
  if (chain?.phase === "waiting") reopen(state, chain, effects);
}

/** P8. A browser can not ping: a connection that owes an answer and says nothing is given up. */
function breakSilence(state: ProducerState, effects: ProducerEffect[]): void {
  if (state.phase !== "online" && state.phase !== "greeting") return;
  const isOwed =
    state.phase === "greeting" ||
    [...state.chains.values()].some((chain) => chain.sent > 0 || chain.phase === "opening");
  state.silentLooks += 1;
  if (isOwed && state.silentLooks > SILENT_LOOKS) {
    effects.push({ kind: "disconnect" });
    disconnect(state, 0, effects);
    return;
  }
  effects.push({ kind: "set_timer", timer: "silence", delayMs: PRODUCER_LIMITS.silenceMs / SILENT_LOOKS });
}

function disconnect(state: ProducerState, leastMs: number, effects: ProducerEffect[]): void {
  if (state.phase === "offline") return;
  state.phase = "offline";
  state.creditBytes = 0;
  for (const chain of state.chains.values()) {
    chain.phase = "closed";
    chain.sent = 0;
  }
  const delayMs = Math.max(
    leastMs,
    backoffMs(state.tries++, PRODUCER_LIMITS.reconnectFirstMs, PRODUCER_LIMITS.reconnectMaxMs),
  );
  effects.push({ kind: "set_timer", timer: "reconnect", delayMs });
}

function takeFrame(state: ProducerState, frame: NodeFrame, nowMs: number, effects: ProducerEffect[]): void {
  if (state.phase !== "online" && frame.type !== "welcome" && frame.type !== "error") return;
  switch (frame.type) {
    case "welcome":
      takeWelcome(state, frame, effects);
      break;
    case "opened":
      takeOpened(state, frame, nowMs, effects);
      break;
    case "ack":
      takeAck(state, frame, nowMs, effects);
      takeCredit(state, frame.creditBytes, nowMs, effects);
      break;
    case "gap":
      takeCredit(state, frame.creditBytes, nowMs, effects);
      reopen(state, chainOf(state, frame.stream, frame.partition), effects);
      break;
    case "moved": {
      const { stream, partition, address } = frame;
      effects.push({ kind: "moved", stream, partition, address });
      retryLater(state, chainOf(state, stream, partition), 0, effects);
      break;
    }
    case "credit":
      takeCredit(state, frame.creditBytes, nowMs, effects);
      break;
    case "error":
      takeError(state, frame, nowMs, effects);
      break;
    case "records":
    case "trimmed":
    case "truncated":
      break; // A consumer's; tolerated.
  }
}

function takeWelcome(state: ProducerState, frame: WelcomeFrame, effects: ProducerEffect[]): void {
  if (state.phase !== "greeting") return;
  state.phase = "online";
  state.tries = 0;
  state.producerEpoch = frame.producerEpoch ?? state.producerEpoch;
  state.dedupeWindowMs = frame.limits.dedupeWindowMs;
  state.creditBytes = frame.creditBytes;
  const { producerEpoch, streams, limits } = frame;
  effects.push({ kind: "welcomed", producerEpoch, streams, limits });
  for (const chain of state.chains.values()) {
    if (chain.queue.length > 0 || chain.isWanted) reopen(state, chain, effects);
  }
}

function takeOpened(state: ProducerState, frame: OpenedFrame, nowMs: number, effects: ProducerEffect[]): void {
  const chain = chainOf(state, frame.stream, frame.partition);
  if (chain.phase !== "opening") return;
  const { stream, partition } = chain;
  const stored = frame.lastSequence ?? undefined;
  chain.phase = "open";
  chain.isWanted = false;
  effects.push({ kind: "opened", stream, partition, lastSequence: stored, position: frame.position });
  dropAged(state, chain, nowMs, effects);
  declareLost(state, chain, stored, nowMs, effects);
  chain.touchedAtMs = nowMs;
  if (!chain.isCounting) {
    // E1: a new instance counts on from what the partition holds.
    chain.isCounting = true;
    chain.counted = stored;
    for (const batch of chain.queue) number(chain, batch);
  }
  cutHead(chain, stored);
  pump(state, chain, nowMs, effects);
}

/** P4. An expired chain is not a lost one. */
function declareLost(
  state: ProducerState,
  chain: Chain,
  stored: Sequence | undefined,
  nowMs: number,
  effects: ProducerEffect[],
): void {
  const to = chain.previous;
  if (to === undefined || compareSequences(to, stored) <= 0) {
    chain.previous = stored;
    return;
  }
  if (stored === undefined && nowMs - chain.touchedAtMs > state.dedupeWindowMs) {
    chain.previous = undefined;
    return;
  }
  const { stream, partition } = chain;
  const frame: ClientFrame = {
    type: "lost",
    stream,
    partition,
    producerEpoch: state.producerEpoch ?? 0,
    from: stored ?? null,
    to,
  };
  effects.push({ kind: "send", frame, estimatedBytes: 0 }, { kind: "lost", stream, partition, from: stored, to });
}

/** P5. */
function dropAged(state: ProducerState, chain: Chain, nowMs: number, effects: ProducerEffect[]): void {
  const aged: SettledBatch[] = [];
  for (let head = chain.queue[0]; head !== undefined; head = chain.queue[0]) {
    if (head.firstSentAtMs === undefined || nowMs - head.firstSentAtMs <= state.dedupeWindowMs) break;
    aged.push(settled(head));
    chain.queue.shift();
  }
  if (aged.length === 0) return;
  const error = new FencedError(
    "UNKNOWN_PRODUCER",
    `Cannot resend a batch as it must be younger than ${state.dedupeWindowMs} ms`,
  );
  effects.push({ kind: "in_doubt", batches: aged, error });
}

/**
 * E2: a batch of which the log holds a part is cut there, and goes as two. The part that is stored is sent again as well:
 * only its ack carries its verdicts (E4).
 */
function cutHead(chain: Chain, stored: Sequence | undefined): void {
  for (const [at, batch] of chain.queue.entries()) {
    const { sequences } = batch;
    if (sequences === undefined || compareSequences(sequenceAt(sequences, 0), stored) > 0) return;
    if (compareSequences(lastSequence(sequences), stored) <= 0) continue;
    let kept = 0;
    while (compareSequences(sequenceAt(sequences, kept), stored) <= 0) kept++;
    const indexes = Array.from({ length: kept }, (_, index) => index);
    const before: QueuedBatch = {
      ...batch,
      events: joinEvents(sliceEvents(batch.events, indexes)),
      count: kept,
      sequences: partOf(sequences, 0, kept),
      whole: undefined,
      isPiece: true,
    };
    batch.whole ??= sequences;
    batch.events = cutEvents(batch.events, kept);
    batch.sequences = partOf(sequences, kept, sequenceCount(sequences));
    batch.count = sequenceCount(batch.sequences);
    chain.queue.splice(at, 0, before);
    return;
  }
}

const partOf = (sequences: Sequences, from: number, to: number): Sequences =>
  "list" in sequences
    ? { list: sequences.list.slice(from, to) }
    : { first: sequenceAt(sequences, from), count: to - from };

const settled = ({ id, sequences, whole }: QueuedBatch): SettledBatch => ({ id, sequences: whole ?? sequences });

/** P1, P7. Sends what may go. */
function pump(state: ProducerState, chain: Chain, nowMs: number, effects: ProducerEffect[]): void {
  const limit = chain.isProbing ? 1 : PRODUCER_LIMITS.appendsInFlightMax;
  while (chain.phase === "open" && chain.sent < limit) {
    const batch = chain.queue[chain.sent];
    if (batch === undefined) return;
    const estimatedBytes = batch.events.length + FRAME_OVERHEAD_BYTES;
    if (estimatedBytes > state.creditBytes && isWaitingForAnswers(state)) {
      state.isStarved = true;
      return;
    }
    if (batch.sequences === undefined) throw new InvariantError("Cannot send a batch as it has no sequences");
    const before = chain.queue[chain.sent - 1];
    const previous =
      before?.sequences === undefined ? chain.previous : laterOf(lastSequence(before.sequences), chain.previous);
    batch.firstSentAtMs ??= nowMs;
    chain.sent++;
    state.creditBytes -= estimatedBytes;
    effects.push({ kind: "send", frame: appendOf(state, chain, batch, batch.sequences, previous), estimatedBytes });
  }
}

const laterOf = (left: Sequence, right: Sequence | undefined): Sequence =>
  right !== undefined && compareSequences(right, left) > 0 ? right : left;

function appendOf(
  state: ProducerState,
  chain: Chain,
  batch: QueuedBatch,
  sequences: Sequences,
  previous: Sequence | undefined,
): ClientFrame {
  const { stream, partition } = chain;
  return {
    type: "append",
    stream,
    partition,
    producerEpoch: state.producerEpoch ?? 0,
    previousSequence: previous ?? null,
    sequences,
    ...batch.rest,
    events: batch.events,
  };
}

function takeAck(state: ProducerState, frame: AckFrame, nowMs: number, effects: ProducerEffect[]): void {
  const chain = chainOf(state, frame.stream, frame.partition);
  const { stream, partition, verdicts = [] } = frame;
  const batches: SettledBatch[] = [];
  const carried: WireVerdict[] = [];
  // What is not under way stays: it is sent again, for the ack that carries its verdicts (P3).
  for (let head = chain.queue[0]; head?.sequences !== undefined && chain.sent > 0; head = chain.queue[0]) {
    if (compareSequences(lastSequence(head.sequences), frame.lastSequence) > 0) break;
    chain.queue.shift();
    chain.sent--;
    const next = chain.queue[0];
    if (head.isPiece === true && next?.id === head.id) next.carried = verdicts;
    else {
      batches.push(settled(head));
      carried.push(...(head.carried ?? []));
    }
  }
  chain.previous = laterOf(frame.lastSequence, chain.previous);
  chain.touchedAtMs = nowMs;
  if (batches.length > 0) {
    chain.isProbing = false;
    chain.tries = 0;
  }
  if (batches.length > 0) {
    effects.push({ kind: "acked", stream, partition, batches, verdicts: [...carried, ...verdicts] });
  }
  pump(state, chain, nowMs, effects);
}

/** Whether an answer is to come that gives credit back. */
function isWaitingForAnswers(state: ProducerState): boolean {
  for (const chain of state.chains.values()) if (chain.sent > 0) return true;
  return false;
}

/** Chains take turns: whoever was served goes to the end of the line. */
function takeCredit(state: ProducerState, creditBytes: number, nowMs: number, effects: ProducerEffect[]): void {
  state.creditBytes += creditBytes;
  if (!state.isStarved) return;
  state.isStarved = false;
  for (const [key, chain] of [...state.chains]) {
    if (chain.sent >= chain.queue.length) continue;
    state.chains.delete(key);
    state.chains.set(key, chain);
    pump(state, chain, nowMs, effects);
  }
}

function takeError(state: ProducerState, frame: ErrorFrame, nowMs: number, effects: ProducerEffect[]): void {
  const error = errorFromCode(frame.code, frame.message, frame.retryAfterMs);
  const isFence = frame.code === "PRODUCER_FENCED" || frame.code === "STALE_PRODUCER_EPOCH";
  const { stream, partition } = frame;
  if (isFence || ((stream === undefined || partition === undefined) && error instanceof RejectedError)) {
    stop(state, error, effects);
    return;
  }
  if (stream === undefined || partition === undefined) {
    effects.push({ kind: "disconnect" });
    disconnect(state, frame.retryAfterMs ?? 0, effects);
    return;
  }
  const chain = chainOf(state, stream, partition);
  if (error instanceof RejectedError) refuse(state, chain, error, effects);
  else if (frame.code === "UNKNOWN_PRODUCER" || frame.code === "SEQUENCE_GAP") reopen(state, chain, effects);
  else retryLater(state, chain, frame.retryAfterMs ?? 0, effects);
  takeCredit(state, frame.creditBytes ?? 0, nowMs, effects);
}

/** Refusals that concern all of a chain, not one batch of it. */
const CHAIN_CODES: ReadonlySet<string> = new Set(["UNKNOWN_STREAM", "UNKNOWN_PARTITION", "FORBIDDEN"]);

/** The node refused something for good. Which batch it was is sure only when one alone was under way. */
function refuse(state: ProducerState, chain: Chain, error: RejectedError, effects: ProducerEffect[]): void {
  const { stream, partition } = chain;
  if (CHAIN_CODES.has(error.code)) {
    for (const batch of chain.queue.splice(0)) effects.push({ kind: "refused", batch: settled(batch), error });
    effects.push({ kind: "open_refused", stream, partition, error });
    chain.phase = "closed";
    chain.sent = 0;
    chain.isWanted = false;
    return;
  }
  const isSure = chain.phase === "open" && chain.sent === 1;
  if (isSure) {
    const head = chain.queue.shift();
    if (head !== undefined) effects.push({ kind: "refused", batch: settled(head), error });
    while (head !== undefined && chain.queue[0]?.id === head.id) chain.queue.shift();
  }
  chain.isProbing = !isSure;
  if (chain.phase === "open") reopen(state, chain, effects);
}

/** P2, P6. */
function stop(state: ProducerState, error: HeadraceError | undefined, effects: ProducerEffect[]): void {
  const batches = [...state.chains.values()].flatMap((chain) => chain.queue.splice(0).map(settled));
  state.phase = "stopped";
  if (batches.length > 0) {
    const reason =
      error ??
      new FencedError(
        "PRODUCER_FENCED",
        "Cannot tell what became of a batch as the producer was closed before its ack",
      );
    effects.push({ kind: "in_doubt", batches, error: reason });
  }
  effects.push({ kind: "disconnect" }, { kind: "stopped", error });
}
