/** Compares the windows and the pairs that the cluster emitted under chaos with the records that its log holds (E29). */
import type { Log } from "../../../actors/log/log.ts";
import type { LoggedEvent, Problem } from "../../support/checker.ts";
import { readAll } from "./cluster_chaos_history.ts";

const KEYS = 3;
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

/** A pipeline that counts the records of a stream by keys, each of one partition. */
export const tallyPipeline = (stream: string): string => `{
    from: ${stream},
    steps: [
      { count: { by: "stream + '/' + string(partition) + '/' + string(event.n % ${KEYS})", every: 2s } },
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

/** @param numberOf the field `n` of a stored event, by its id */
export function checkTallies(
  tallies: readonly Tally[],
  stored: readonly TalliedEvent[],
  numberOf: (id: string) => number,
): Problem[] {
  const problems: Problem[] = [];
  const windows = new Set<string>();
  const counted = new Map<string, number>();
  for (const { key, count, from } of tallies) {
    const window = `${key} from ${from}`;
    if (windows.has(window)) problems.push({ kind: "delivered twice", detail: `the window of ${window}` });
    windows.add(window);
    counted.set(key, (counted.get(key) ?? 0) + count);
  }
  const expected = new Map<string, number>();
  for (const { stream, partition, id } of stored) {
    const key = `${stream}/${partition}/${numberOf(id) % KEYS}`;
    expected.set(key, (expected.get(key) ?? 0) + 1);
  }
  for (const key of new Set([...counted.keys(), ...expected.keys()])) {
    const [now = 0, asked = 0] = [counted.get(key), expected.get(key)];
    if (now !== asked) problems.push({ kind: "not delivered", detail: `windows of ${key} count ${now} of ${asked}` });
  }
  return problems;
}
