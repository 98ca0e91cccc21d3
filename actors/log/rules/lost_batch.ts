/**
 * A declaration of loss (E6) as the log writes it: a batch of one event, rejected, whose sequence is the last one lost.
 * So it takes the same way as every append: judged against the chain, set aside with its reason, and the chain moved.
 */
import { Packr } from "../../../deps.ts";
import type { Sequence } from "../../../protocols/sequence.ts";
import type { DeadLetter } from "../dead_letter.ts";
import type { AppendBatch } from "../log.ts";

const packr = new Packr({ useRecords: false, useToJSON: false });
const NO_EVENTS = Uint8Array.of(0x90);

/** @param from the last sequence before the loss: what the chain must hold */
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
