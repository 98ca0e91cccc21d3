/**
 * A recorded run for checkers outside of this repository: as EDN for Jepsen's kafka workload (`jepsen.tests.kafka`), or as lines of
 * JSON for a linearizability checker such as Porcupine. Jepsen lets a process do one thing at a time, so each operation that is
 * under way beside others of its sender has a process number of its own.
 */
import type { Operation } from "./parts/recording.ts";
import type { RunHistory } from "./simulation.ts";

/** One operation with its beginning and its end. */
export interface Interval {
  readonly process: number;
  readonly kind: "send" | "poll";
  /** `unknown` where its sender was never told. */
  readonly outcome: "ok" | "failed" | "unknown";
  readonly partition: number;
  /** Each event by its number in the run, with its offset where it is known. */
  readonly events: readonly { readonly value: number; readonly offset: number | undefined }[];
  readonly beginMs: number;
  /** Of an `unknown` one: never. */
  readonly endMs: number | undefined;
}

export function intervalsOf({ operations, log }: RunHistory): readonly Interval[] {
  const values = new Map<string, number>();
  const numberOf = (id: string): number => {
    const value = values.get(id) ?? values.size;
    values.set(id, value);
    return value;
  };
  const offsets = new Map(log.map(({ id, offset }) => [id, offset]));
  const processes = new Processes();
  const open = new Map<string, { readonly process: number; readonly operation: Operation }>();
  const ends = new Map<string, number>();
  const intervals: Interval[] = [];
  for (const operation of operations) {
    const { kind, phase, ids, partition, atMs } = operation;
    const id = ids[0] as string;
    if (kind === "poll") {
      const events = ids.map((one, at) => ({ value: numberOf(one), offset: operation.offsets?.[at] }));
      const beginMs = ends.get(operation.process) ?? 0;
      ends.set(operation.process, atMs);
      const process = processes.fixed(operation.process);
      intervals.push({ process, kind, outcome: "ok", partition, events, beginMs, endMs: atMs });
    } else if (phase === "begun") open.set(id, { process: processes.take(), operation });
    else {
      const begun = open.get(id);
      open.delete(id);
      if (begun === undefined) continue;
      if (phase !== "unknown") processes.free(begun.process);
      const endMs = phase === "unknown" ? undefined : atMs;
      const events = [{ value: numberOf(id), offset: phase === "ok" ? offsets.get(id) : undefined }];
      const outcome = phase === "ok" && events[0]?.offset === undefined ? "unknown" : phase;
      const beginMs = begun.operation.atMs;
      intervals.push({ process: begun.process, kind, outcome, partition, events, beginMs, endMs });
    }
  }
  for (const [id, { process, operation }] of open) {
    const events = [{ value: numberOf(id), offset: undefined }];
    const { kind, partition, atMs } = operation;
    intervals.push({ process, kind, outcome: "unknown", partition, events, beginMs: atMs, endMs: undefined });
  }
  return intervals;
}

class Processes {
  readonly #free: number[] = [];
  readonly #fixed = new Map<string, number>();
  #next = 0;

  take(): number {
    return this.#free.pop() ?? this.#next++;
  }

  free(process: number): void {
    this.#free.push(process);
  }

  fixed(name: string): number {
    const process = this.#fixed.get(name) ?? this.#next++;
    this.#fixed.set(name, process);
    return process;
  }
}

const JEPSEN_TYPES = { ok: ":ok", failed: ":fail", unknown: ":info" } as const;

/** One map a line, in the order of time. */
export function toEdn(intervals: readonly Interval[]): string {
  const lines = intervals.flatMap((interval) => {
    const { kind, outcome, beginMs, endMs } = interval;
    const begin = { atMs: beginMs, type: ":invoke", value: invokedOf(interval) };
    const end = { atMs: endMs ?? Number.POSITIVE_INFINITY, type: JEPSEN_TYPES[outcome], value: completedOf(interval) };
    return [begin, end].map((line) => ({ ...line, kind, process: interval.process }));
  });
  const last = Math.max(0, ...lines.map(({ atMs }) => (Number.isFinite(atMs) ? atMs : 0)));
  return lines
    .map((line) => ({ ...line, atMs: Math.min(line.atMs, last) }))
    .sort((one, other) => one.atMs - other.atMs)
    .map(({ atMs, type, value, kind, process }, index) => {
      const time = Math.round(atMs * 1_000_000);
      return `{:index ${index}, :time ${time}, :process ${process}, :type ${type}, :f :${kind}, :value ${value}}\n`;
    })
    .join("");
}

function invokedOf({ kind, partition, events }: Interval): string {
  return kind === "poll" ? "[[:poll]]" : `[[:send ${partition} ${events[0]?.value}]]`;
}

function completedOf(interval: Interval): string {
  const { kind, outcome, partition, events } = interval;
  if (outcome !== "ok") return invokedOf(interval);
  const pairs = events.map(({ value, offset }) => `[${offset} ${value}]`);
  return kind === "poll" ? `[[:poll {${partition} [${pairs.join(" ")}]}]]` : `[[:send ${partition} ${pairs[0]}]]`;
}

/** One operation a line: `{clientId, kind, outcome, partition, values, offsets, call, return}`, times in ms. */
export function toJsonLines(intervals: readonly Interval[]): string {
  return intervals
    .map(({ process, kind, outcome, partition, events, beginMs, endMs }) =>
      JSON.stringify({
        ...{ clientId: process, kind, outcome, partition },
        values: events.map(({ value }) => value),
        offsets: events.map(({ offset }) => offset ?? null),
        call: beginMs,
        return: endMs ?? null,
      }).concat("\n"),
    )
    .join("");
}
