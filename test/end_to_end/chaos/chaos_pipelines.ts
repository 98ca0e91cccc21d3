/** Compares the windows and the pairs that the cluster emitted under chaos with the records that its log holds (E29). */
import type { Log } from "../../../actors/log/log.ts";
import type { LoggedEvent, Problem, SentEvent } from "../../support/checker.ts";
import { readAll } from "./cluster_chaos_history.ts";

const KEYS = 3;
const WINDOW_MS = 2_000;
export const TALLIES = { stream: "tallies", partitions: 2 } as const;

export const PAIRS = { stream: "pairs", partitions: 2 } as const;

/** Ids of two records that were joined. */
export interface Pair {
  readonly left: string;
  readonly right: string;
}

/** A window of a key, as the pipelines emit it. */
export interface Tally {
  readonly key: string;
  readonly count: number;
  readonly from: string;
}

/** A stored record that a pipeline counts. */
export type TalliedEvent = LoggedEvent & { readonly stream: string };

/** An event that was sent and is not stored. */
export type LostEvent = Pick<SentEvent, "id" | "partition"> & { readonly stream: string };

/** A pipeline that counts the records of a stream by keys, each of one partition. */
export const tallyPipeline = (stream: string): string => `{
    from: ${stream},
    steps: [
      { count: { by: "stream + '/' + string(partition) + '/' + string(event.n % ${KEYS})", every: ${WINDOW_MS / 1_000}s } },
      { map: { key: event.key, count: event.count, from: event.windowStart } }
    ],
    time: { idleAfter: 1s },
    to: [${TALLIES.stream}]
  }`;

/** A pipeline that joins two streams by the field `pair` of their events. */
export const pairPipeline = (left: string, right: string): string => `{
    from: [${left}, ${right}],
    steps: [
      { join: { on: { ${left}: event.pair, ${right}: event.pair }, within: 10m } },
      { map: { left: event.${left}.id, right: event.${right}.id } }
    ],
    time: { idleAfter: 1s },
    to: [${PAIRS.stream}]
  }`;

export const readTallies = (log: Log): Promise<Tally[]> => eventsOf<Tally>(log, TALLIES);
export const readPairs = (log: Log): Promise<Pair[]> => eventsOf<Pair>(log, PAIRS);

async function eventsOf<Kind>(log: Log, { stream, partitions }: typeof TALLIES | typeof PAIRS): Promise<Kind[]> {
  const events: Kind[] = [];
  for (let partition = 0; partition < partitions; partition += 1) {
    for await (const { event } of readAll(log, stream, partition, "records")) events.push(event as unknown as Kind);
  }
  return events;
}

/** Which records belong together: each producer sends to all partitions in turn, and once around makes a pair in each. */
export const pairOf = (producer: string, order: number, partitionsOfAll: number): string =>
  `${producer}/${Math.floor(order / partitionsOfAll)}`;

/** @param pairOfId the field `pair` of a stored event, by its id */
export function checkPairs(
  pairs: readonly Pair[],
  [left, right]: readonly [readonly LoggedEvent[], readonly LoggedEvent[]],
  pairOfId: (id: string) => string,
): Problem[] {
  const keyOf = ({ partition, id }: LoggedEvent) => `${partition} ${pairOfId(id)}`;
  const others = new Map(right.map((event) => [keyOf(event), event.id]));
  const expected = new Set<string>();
  for (const event of left) {
    const other = others.get(keyOf(event));
    if (other !== undefined) expected.add(`${event.id} and ${other}`);
  }
  const problems: Problem[] = [];
  const found = new Set<string>();
  for (const { left, right } of pairs) {
    const pair = `${left} and ${right}`;
    if (found.has(pair)) problems.push({ kind: "delivered twice", detail: `the pair ${pair}` });
    if (!expected.has(pair))
      problems.push({ kind: "inconsistent offset", detail: `the pair ${pair} was never stored` });
    found.add(pair);
  }
  for (const pair of expected)
    if (!found.has(pair)) problems.push({ kind: "not delivered", detail: `the pair ${pair}` });
  return problems;
}

/** The windows of a key with the least and the greatest count that was emitted. */
interface Counted {
  readonly min: number;
  readonly max: number;
}

/**
 * A window may count records that Redis has lost with its tail, since no output is taken back from a stream. Then the
 * window is emitted again without these records.
 *
 * @param lost events that were sent and are not stored
 * @param numberOf the field `n` of an event, by its id
 */
export function checkTallies(
  tallies: readonly Tally[],
  stored: readonly TalliedEvent[],
  lost: readonly LostEvent[],
  numberOf: (id: string) => number,
): Problem[] {
  const keyOf = ({ stream, partition, id }: LostEvent) => `${stream}/${partition}/${numberOf(id) % KEYS}`;
  const problems: Problem[] = [];
  const lostOf = countBy(lost, keyOf);
  const windows = new Map<string, { readonly key: string; counted: Counted }>();
  for (const { key, count, from } of tallies) {
    const window = `${key} from ${from}`;
    const before = windows.get(window)?.counted;
    if (before !== undefined && !lostOf.has(key)) {
      problems.push({ kind: "delivered twice", detail: `the window of ${window}` });
    }
    const { min = count, max = count } = before ?? {};
    windows.set(window, { key, counted: { min: Math.min(min, count), max: Math.max(max, count) } });
  }
  const counted = new Map<string, Counted>();
  for (const { key, counted: one } of windows.values()) {
    const { min = 0, max = 0 } = counted.get(key) ?? {};
    counted.set(key, { min: min + one.min, max: max + one.max });
  }
  const storedOf = countBy(stored, keyOf);
  for (const key of new Set([...counted.keys(), ...storedOf.keys()])) {
    const { min = 0, max = 0 } = counted.get(key) ?? {};
    const asked = storedOf.get(key) ?? 0;
    if (max >= asked && min <= asked + (lostOf.get(key) ?? 0)) continue;
    problems.push({ kind: "not delivered", detail: `windows of ${key} count ${min} to ${max} of ${asked}` });
  }
  return problems;
}

/** The first partition whose window at a time has not been emitted, of those that got a record then. */
export function unclosedPartition(
  tallies: readonly Tally[],
  partitions: readonly (readonly [stream: string, partition: number])[],
  atMs: number,
): string | undefined {
  const fromMs = atMs - (atMs % WINDOW_MS);
  const closed = new Set(
    tallies.flatMap(({ key, from }) => (new Date(from).getTime() >= fromMs ? [key.replace(/\/[^/]*$/, "")] : [])),
  );
  return partitions.map(([stream, partition]) => `${stream}/${partition}`).find((name) => !closed.has(name));
}

function countBy<One>(items: readonly One[], keyOf: (item: One) => string): Map<string, number> {
  const counts = new Map<string, number>();
  for (const item of items) counts.set(keyOf(item), (counts.get(keyOf(item)) ?? 0) + 1);
  return counts;
}
