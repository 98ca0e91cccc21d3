/** The answer to a request over HTTP: the outcome of each event, and the state of each partition. */
import type { Confirmation } from "../../../protocols/client/producer/event_batcher.ts";
import type { OverloadedError } from "../../../protocols/errors.ts";
import type { Verdict } from "../../../protocols/event.ts";
import type { RequestEvent } from "./http_events.ts";

export interface IngestAnswer {
  readonly accepted: number;
  readonly rejected: readonly Verdict[];
  readonly partitions: readonly PartitionStanding[];
  /** Indexes of events that had no answer in time: they may be stored. */
  readonly unknown: readonly number[];
  /** Indexes of events that were not taken; `refusal` is the reason. */
  readonly refused: readonly number[];
  readonly refusal: OverloadedError | undefined;
  readonly isReplayed: boolean;
}

export interface PartitionStanding {
  readonly partition: number;
  /** `unknown`: some events had no answer in time. `refused`: some were not taken. A retry with the same key completes both. */
  readonly state: "stored" | "unknown" | "refused";
  readonly events: number;
}

export type Outcome = Confirmation | { readonly kind: "unknown" };
export const UNKNOWN: Outcome = { kind: "unknown" };

/** Waits for all outcomes, for `withinMs` at most: those that are missing then are unknown. */
export function outcomesWithin(
  confirmations: readonly Promise<Outcome>[],
  withinMs: number,
): Promise<readonly Outcome[]> {
  const outcomes = confirmations.map((): Outcome => UNKNOWN);
  return new Promise((resolve) => {
    const timer = setTimeout(() => resolve([...outcomes]), withinMs);
    let left = confirmations.length;
    for (const [index, confirmation] of confirmations.entries()) {
      void confirmation.then((outcome) => {
        outcomes[index] = outcome;
        left -= 1;
        if (left > 0) return;
        clearTimeout(timer);
        resolve(outcomes);
      });
    }
  });
}

/** @param refusalOf the reason why a partition refuses appends now; undefined where it takes them */
export function answerOf(
  events: readonly RequestEvent[],
  places: readonly (number | undefined)[],
  outcomes: readonly Outcome[],
  refusalOf: (partition: number | undefined) => OverloadedError | undefined,
  isReplayed: boolean,
): IngestAnswer {
  const rejected: Verdict[] = [];
  const unknown: number[] = [];
  const refused: number[] = [];
  let refusal: OverloadedError | undefined;
  const partitions = new Map<number, Mutable<PartitionStanding>>();
  let accepted = 0;
  for (const [index, outcome] of outcomes.entries()) {
    const partition = outcome.kind === "stored" ? outcome.partition : places[index];
    const place = partition === undefined ? undefined : placeOf(partitions, partition);
    if (place !== undefined && outcome.kind !== "rejected") place.events += 1;
    if (outcome.kind === "stored") accepted += 1;
    else if (outcome.kind === "rejected") {
      const { code, path, reason } = events[index]?.fault ?? outcome;
      rejected.push({ index, code, path, reason });
    } else {
      const why = refusalOf(partition);
      refusal ??= why;
      (why === undefined ? unknown : refused).push(index);
      if (place !== undefined) place.state = why === undefined ? "unknown" : "refused";
    }
  }
  const touched = [...partitions.values()].filter((place) => place.events > 0);
  const inOrder = touched.sort((left, right) => left.partition - right.partition);
  return { accepted, rejected, partitions: inOrder, unknown, refused, refusal, isReplayed };
}

type Mutable<Value> = { -readonly [Key in keyof Value]: Value[Key] };

function placeOf(partitions: Map<number, Mutable<PartitionStanding>>, partition: number): Mutable<PartitionStanding> {
  const place: Mutable<PartitionStanding> = partitions.get(partition) ?? { partition, state: "stored", events: 0 };
  partitions.set(partition, place);
  return place;
}
