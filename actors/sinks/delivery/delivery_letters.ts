/**
 * Writes the dead letters of one delivery, as a chain of its own in the partition's log. Each append also stores which
 * records beyond the sink's position are set aside (D4). The chain fences every call from its successors.
 */
import { OverloadedError, reasonOf } from "../../../protocols/errors.ts";
import type { Event } from "../../../protocols/event.ts";
import { sliceEvent } from "../../../protocols/values/slice_events.ts";
import type { DeadLetter } from "../../log/dead_letter.ts";
import type { PartitionFeed } from "../../partition/partition_feed.ts";
import type { DeadLetterDraft, DeliveryEffect, DeliveryMessage } from "./delivery_messages.ts";
import { type DeliveryIdentity, lettersChannel, nameOf, setAsideCheckpoint, sinkProducerId } from "./delivery_names.ts";

export interface EventBytes {
  decode(events: Uint8Array): readonly unknown[];
  encode(events: readonly unknown[]): Uint8Array;
}

export interface LetterParts {
  readonly of: DeliveryIdentity;
  readonly feed: PartitionFeed;
  readonly eventBytes: EventBytes;
  /** Takes secrets out of the texts of endpoints, steps and errors: every reader of the stream sees a letter. */
  hide(text: string): string;
  nowMs(): number;
  random(): number;
}

const RETRY_WHEN_FULL_MS = 1_000;

export async function openLetterChain({ of, feed }: LetterParts): Promise<DeliveryMessage> {
  const producerId = sinkProducerId(of, feed.partition);
  const outcome = await feed.openChain(lettersChannel(of), producerId, feed.epoch);
  switch (outcome.kind) {
    case "opened":
      return { type: "chain_opened", last: outcome.lastSequence };
    case "stale_producer_epoch":
      return { type: "fenced", fence: outcome.current };
    case "too_many_producers":
      throw new OverloadedError(
        "TOO_MANY_PRODUCERS",
        `Cannot open the chain of ${nameOf(of)}: ${outcome.live} live`,
        RETRY_WHEN_FULL_MS,
      );
  }
}

export async function appendLetters(
  parts: LetterParts,
  effect: Extract<DeliveryEffect, { type: "append_dead_letters" }>,
): Promise<DeliveryMessage> {
  const { of, feed, eventBytes } = parts;
  const letters = effect.letters.map((draft) => letterOf(parts, draft));
  const batch = {
    producerId: sinkProducerId(of, feed.partition),
    producerEpoch: feed.epoch,
    previousSequence: effect.previous,
    sequences: { first: effect.first, count: letters.length },
    schemaVersion: 0,
    events: eventBytes.encode(letters),
    appendedAtMs: parts.nowMs(),
  };
  const checkpoints = new Map([[setAsideCheckpoint(of), eventBytes.encode(effect.setAside)]]);
  const { outcomes } = await feed.append({ channel: lettersChannel(of), batches: [batch], checkpoints });
  const kind = outcomes[0]?.kind ?? "nothing";
  if (kind === "written" || kind === "duplicate") return { type: "dead_letters_stored" };
  if (kind === "stale_producer_epoch") return { type: "fenced", fence: undefined };
  return { type: "failed", reason: `the dead letters' chain answered ${kind}`, random: parts.random() };
}

function letterOf({ of, feed, eventBytes, hide }: LetterParts, draft: DeadLetterDraft): DeadLetter {
  return {
    code: draft.code,
    path: hide(draft.path),
    reason: hide(draft.reason),
    by: `sink/${nameOf(of)}`,
    producerId: sinkProducerId(of, feed.partition),
    sequence: draft.triple,
    original: draft.origin?.original ?? originalOf(draft, eventBytes, hide),
    ...placeOf(draft, feed),
  };
}

/** A replay of dead letters names the record as `source`, and the letter that it read as `replayed`. */
function placeOf({ triple: [epoch, offset, index], origin }: DeadLetterDraft, { partition }: PartitionFeed) {
  if (origin === undefined)
    return { source: { stream: partition.stream, partition: partition.partition, epoch, offset, index } };
  return { source: { ...origin.source, index: origin.firstIndex + index }, replayed: origin.replayed };
}

/** In place of an output that no encoder knows (a cycle, a function) the letter holds a sentence. */
function originalOf({ event }: DeadLetterDraft, { encode }: EventBytes, hide: LetterParts["hide"]): Uint8Array {
  try {
    return sliceEvent(encode([event satisfies Event]), 0);
  } catch (error) {
    return sliceEvent(encode([{ unencodable: hide(reasonOf(error)) }]), 0);
  }
}
