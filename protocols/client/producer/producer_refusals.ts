/** The producer machine's refusals and its end: batches that a node refuses, and a producer that stops (P2, P6). */
import { FencedError, type HeadraceError, InvariantError, RejectedError, UnavailableError } from "../../errors.ts";
import { compareSequences, lastSequence, sequenceCount } from "../../sequence.ts";
import type { ErrorFrame } from "../../wire/frames.ts";
import { errorOf } from "../client_machine.ts";
import { allLinks } from "../links.ts";
import { reopen, retryLater } from "./producer_chain.ts";
import type { ProducerEffect, ProducerMessage } from "./producer_messages.ts";
import type { Chain, ProducerState } from "./producer_state.ts";
import { type QueuedBatch, settled, settledOf } from "./queued_batch.ts";

/** P6. Batches that arrive late are handed back at once. */
export function stepStopped(message: ProducerMessage): ProducerEffect[] {
  if (message.type !== "batch") return [];
  const { id, sequences } = message.batch;
  const error = new FencedError("PRODUCER_FENCED", "Cannot send a batch as the producer has stopped");
  return [{ type: "in_doubt", batches: [{ id, sequences, wasSent: false }], error }];
}

export const isFence = ({ code }: ErrorFrame): boolean => code === "PRODUCER_FENCED" || code === "STALE_PRODUCER_EPOCH";

export function takeChainError(state: ProducerState, frame: ErrorFrame, chain: Chain, effects: ProducerEffect[]): void {
  const error = errorOf(frame);
  if (isFence(frame)) stop(state, error, effects);
  else if (error instanceof RejectedError || error instanceof InvariantError) refuse(state, chain, error, effects);
  else if (frame.code === "UNKNOWN_PRODUCER" || frame.code === "SEQUENCE_GAP") reopen(state, chain, effects);
  else retryLater(state, chain, frame.retryAfterMs ?? 0, effects);
}

/** Refusals that concern a whole chain, not one batch. */
const CHAIN_CODES: ReadonlySet<string> = new Set(["UNKNOWN_STREAM", "UNKNOWN_PARTITION", "FORBIDDEN"]);

/** The node refused a batch for good. Which batch is certain only where one alone was under way. */
function refuse(
  state: ProducerState,
  chain: Chain,
  error: RejectedError | InvariantError,
  effects: ProducerEffect[],
): void {
  const { stream, partition } = chain;
  if (CHAIN_CODES.has(error.code)) {
    while (chain.queue.length > 0) effects.push(refusedHead(chain, error));
    effects.push({ type: "open_refused", stream, partition, error });
    chain.phase = "closed";
    chain.sent = 0;
    chain.isWanted = false;
    return;
  }
  const isSure = chain.phase === "open" && chain.sent === 1;
  if (isSure && chain.queue.length > 0) effects.push(refusedHead(chain, error));
  chain.isProbing = !isSure;
  if (chain.phase === "open") reopen(state, chain, effects);
}

/**
 * Takes the refused batch at the head of the queue out of it, with all of its pieces (E2). Acknowledged pieces stay
 * stored. A batch before the chain's end was sent again for its verdicts alone; these stay unknown, so it is in doubt.
 * Only a fault of the node tells that the batch was left out of the log (partition P11).
 */
function refusedHead(chain: Chain, error: HeadraceError): ProducerEffect {
  const [head] = chain.queue as [QueuedBatch];
  const pieces: QueuedBatch[] = [];
  while (chain.queue[0]?.id === head.id) pieces.push(chain.queue.shift() as QueuedBatch);
  const batch = settled({ ...head, whole: pieces.at(-1)?.whole });
  const isInLog = head.sequences !== undefined && compareSequences(lastSequence(head.sequences), chain.previous) <= 0;
  if (isInLog && error instanceof RejectedError) return { type: "in_doubt", batches: [batch], error };
  const storedCount = head.whole === undefined ? 0 : sequenceCount(head.whole) - head.count;
  return { type: "refused", batch, error, storedCount, verdicts: head.carried ?? [] };
}

/** P2, P6. Hands back all batches without an ack, and ends the machine. */
export function stop(state: ProducerState, error: HeadraceError | undefined, effects: ProducerEffect[]): void {
  const batches = [...state.chains.values()].flatMap((chain) => settledOf(chain.queue.splice(0)));
  state.isStopped = true;
  state.links.closedBy = error ?? new UnavailableError("STOPPING", "Cannot send as the producer was closed");
  if (batches.length > 0) {
    const reason =
      error ??
      new FencedError(
        "PRODUCER_FENCED",
        "Cannot tell what became of a batch as the producer was closed before its ack",
      );
    effects.push({ type: "in_doubt", batches, error: reason });
  }
  for (const { name } of allLinks(state.links)) effects.push({ type: "disconnect", link: name });
  effects.push({ type: "stopped", error });
}
