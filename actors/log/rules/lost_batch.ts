/**
 * A declaration of loss (E6) as the log writes it: a batch of one rejected event, whose sequence is the last lost one. So an
 * ordinary append judges it against the chain, sets the event aside with its reason, and moves the chain.
 */
import { Packr } from "../../../deps.ts";
import { invariant } from "../../../protocols/errors.ts";
import type { DeadLetter } from "../dead_letter.ts";
import type { AppendBatch, Log } from "../log.ts";

const packr = new Packr({ useRecords: false, useToJSON: false });
const NO_EVENTS = Uint8Array.of(0x90);

/** Declares a loss by an append. Throws `InvariantError` where that append has no outcome. */
export const declareLostBy =
  (append: Log["append"]): Log["declareLost"] =>
  async (ownership, producerId, producerEpoch, from, to, nowMs, owner) => {
    const reason = `Declared lost by its producer: all after ${from?.join("/") ?? "the beginning"} up to ${to.join("/")}`;
    const letter: DeadLetter = { code: "LOST", path: "", reason, by: "lost", producerId, sequence: to };
    const batch: AppendBatch = {
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
    const [outcome] = (await append(ownership, { channel: "records", batches: [batch] })).outcomes;
    invariant(outcome !== undefined, "Cannot declare a loss as its append must have an outcome: the log gave none");
    return outcome;
  };
