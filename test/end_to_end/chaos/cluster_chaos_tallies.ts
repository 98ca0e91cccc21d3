/** Compares the windows that the cluster counted under chaos with the records that its log holds (E29). */
import type { Log } from "../../../actors/log/log.ts";
import type { LoggedEvent, Problem } from "../../support/checker.ts";
import { readAll } from "./cluster_chaos_history.ts";

const KEYS = 3;
export const TALLIES = { stream: "tallies", partitions: 2 } as const;

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

export async function readTallies(log: Log): Promise<Tally[]> {
  const tallies: Tally[] = [];
  for (let partition = 0; partition < TALLIES.partitions; partition += 1) {
    for await (const { event } of readAll(log, TALLIES.stream, partition, "records")) {
      tallies.push(event as unknown as Tally);
    }
  }
  return tallies;
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
