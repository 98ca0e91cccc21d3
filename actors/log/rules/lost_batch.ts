/**
 * A declaration of loss (E6) as the log writes it: a batch of one rejected event, whose sequence is the last lost one. So an
 * ordinary append judges it against the chain, sets the event aside with its reason, and moves the chain.
 */
import { Packr } from "../../../deps.ts";
import { invariant } from "../../../protocols/errors.ts";
import type { Sequence } from "../../../protocols/sequence.ts";
import type { DeadLetter } from "../dead_letter.ts";
import type { AppendBatch, AppendOutcome, AppendResult } from "../log.ts";

const packr = new Packr({ useRecords: false, useToJSON: false });
const NO_EVENTS = Uint8Array.of(0x90);

/** @param from the last sequence before the loss, which the chain must hold */
export function lostBatch(
  producerId: string,
  producerEpoch: number,
  from: Sequence | undefined,
  to: Sequence,
  nowMs: number,
  owner: string | undefined,
): AppendBatch {
  const reason = `Declared lost by its producer: all after ${from?.join("/") ?? "the beginning"} up to ${to.join("/")}`;
  const letter: DeadLetter = { code: "LOST", path: "", reason, by: "lost", producerId, sequence: to };
  return {
    producerId,
    producerEpoch,
    previousSequence: from,
    sequences: { list: [to] },
    schemaVersion: 0,
    events: NO_EVENTS,
    rejects: { verdicts: [{ index: 0, code: "LOST", path: "", reason }], events: Buffer.from(packr.pack([letter])) },
    appendedAtMs: nowMs,
    ...(owner === undefined ? {} : { owner }),
  };
}

/** The outcome of the append of one lost batch. Throws `InvariantError` where the log gave none. */
export function outcomeOfLoss({ outcomes: [outcome] }: AppendResult): AppendOutcome {
  invariant(outcome !== undefined, "Cannot declare a loss as its append must have an outcome: the log gave none");
  return outcome;
}
