/**
 * Holds the windows and the pairs in the sinks against the log: each record is counted once in the window of its time, and
 * each two records that fit are joined once, unless a record was set aside as late.
 *
 * A seed with such a pipeline is of a tier that loses no committed record, and pipelines read committed records alone. So
 * nothing may differ after a loss. Event times are times of append, so a record is late only where the clock was set back.
 */
import type { Event } from "../../protocols/event.ts";
import type { LoggedEvent } from "../support/checker.ts";
import { kindOf } from "./parts/simulated_clients.ts";
import type { SinkModel } from "./parts/simulated_sink.ts";
import type { SimulatedStore } from "./parts/simulated_store.ts";
import { neighbourOf, type TimedKind, WINDOW_MS, WITHIN_MS } from "./parts/timed_pipelines.ts";
import type { World } from "./parts/world.ts";

/** The parts of a run that are judged. */
export interface TimedEvidence {
  readonly world: World;
  readonly store: SimulatedStore;
  readonly sinks: readonly SinkModel[];
}

/** The first fault of the sinks' windows or pairs. */
export interface TimedFault {
  readonly text: string;
  /** The missing output may still come. */
  readonly isMissing: boolean;
}

/** Expects that the store has taken in the log's records and letters (`absorb`). */
export function timedFault(evidence: TimedEvidence, kind: TimedKind): TimedFault | undefined {
  for (const sink of evidence.sinks) {
    for (const { partition } of evidence.store.partitions) {
      const late = lateIds(evidence.store, sink, partition);
      const [unjust] = evidence.world.countOf("the clock was set back") === 0 ? late : [];
      if (unjust !== undefined) return wrong(`${unjust} is late for ${sink.name}, and no clock was set back`);
      const expected = kind === "count" ? windowsOf(evidence, partition, late) : pairsOf(evidence, partition, late);
      const found = sink
        .stored(partition)
        .records.map(({ event }) => (kind === "count" ? windowOf(event) : pairOf(event)));
      const where = `${sink.name} of partition ${partition}`;
      const seen = new Set<string>();
      for (const one of found) {
        if (seen.has(one)) return wrong(`${one} is twice in ${where}`);
        seen.add(one);
      }
      const [missing] = [...expected].filter((one) => !seen.has(one));
      const strange = found.find((one) => !expected.has(one));
      if (strange !== undefined) return wrong(`${strange} is in ${where} in place of ${missing}`);
      if (missing !== undefined) return { text: `${missing} is not in ${where}`, isMissing: true };
    }
  }
  return undefined;
}

/** Counts the outputs that were judged, and the records that were set aside as late. */
export function countTimed({ world, store, sinks }: TimedEvidence, kind: TimedKind): void {
  for (const sink of sinks) {
    for (const { partition } of store.partitions) {
      world.count(`${kind}: outputs held against the log`, sink.stored(partition).records.length);
      const { size } = lateIds(store, sink, partition);
      if (size > 0) world.count(`${kind}: late records`, size);
    }
  }
}

const wrong = (text: string): TimedFault => ({ text, isMissing: false });

function lateIds(store: SimulatedStore, sink: SinkModel, partition: number): ReadonlySet<string> {
  const letters = store.lettersIn(partition, `dead_letters/${sink.name}`);
  return new Set(letters.flatMap(({ id, code }) => (id !== undefined && code === "LATE_RECORD" ? [id] : [])));
}

const recordsOf = ({ store }: TimedEvidence, partition: number, late: ReadonlySet<string>): readonly LoggedEvent[] =>
  (store.ledger[partition] ?? []).filter(({ id }) => !late.has(id));

const timeOf = ({ store }: TimedEvidence, { partition, offset }: LoggedEvent): number =>
  store.appendedAtMs.get(`${partition}/${offset}`) ?? Number.NaN;

function windowsOf(evidence: TimedEvidence, partition: number, late: ReadonlySet<string>): ReadonlySet<string> {
  const counts = new Map<string, number>();
  for (const record of recordsOf(evidence, partition, late)) {
    const startMs = Math.floor(timeOf(evidence, record) / WINDOW_MS) * WINDOW_MS;
    const window = `${kindOf(record.id)} from ${startMs}`;
    counts.set(window, (counts.get(window) ?? 0) + 1);
  }
  return new Set([...counts].map(([window, count]) => `${count} of ${window}`));
}

const windowOf = ({ key, count, windowStart }: Event): string =>
  `${count} of ${key} from ${new Date(windowStart as Date).getTime()}`;

function pairsOf(evidence: TimedEvidence, partition: number, late: ReadonlySet<string>): ReadonlySet<string> {
  const others = recordsOf(evidence, neighbourOf(partition, evidence.store.partitions.length), late);
  const pairs = recordsOf(evidence, partition, late).flatMap((left) =>
    others
      .filter(({ id }) => kindOf(id) === kindOf(left.id))
      .filter((right) => Math.abs(timeOf(evidence, left) - timeOf(evidence, right)) <= WITHIN_MS)
      .map((right) => `${left.id} with ${right.id}`),
  );
  return new Set(pairs);
}

const pairOf = (pair: Event): string => {
  const [left, right] = ["readings", "neighbours"].map((stream) => (pair[stream] as Event | undefined)?.id);
  return `${left} with ${right}`;
};
