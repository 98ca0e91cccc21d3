/** A replay's three forms (stored, running, described to a client) and how one becomes another. Pure. */
import type { ActorReference } from "../../actors/kernel/actor.ts";
import type { Channel } from "../../actors/log/log.ts";
import type { DeliveryRange } from "../../actors/sinks/delivery/delivery_actor.ts";
import { ConfigurationError, RejectedError } from "../../protocols/errors.ts";
import { comparePositions, type Position } from "../../protocols/position.ts";
import type { ReplayCounts, ReplayMessage, ReplayTask } from "./replay_actor.ts";
import type { ReplayPlace, ReplayRequest } from "./replay_request.ts";

export const FORMAT_VERSION = 1;

export interface StoredRange {
  readonly partition: number;
  readonly after: Position | null;
  /** Null for an empty range. */
  readonly last: Position | null;
}

type ReplayState = "running" | "done" | "cancelled";

export interface StoredReplay {
  readonly version: typeof FORMAT_VERSION;
  readonly name: string;
  readonly stream: string;
  readonly channel: Channel;
  readonly from: ReplayPlace;
  readonly sink?: string;
  readonly pipeline?: string;
  /** The deliveries that it went to when it was last begun, as `sink` or `sink@as`. */
  readonly sinks: readonly string[];
  readonly ranges: readonly StoredRange[];
  readonly state: ReplayState;
  readonly createdAtMs: number;
  /** How often the replay was begun. */
  readonly run?: number;
  /** The counts of its last run, once it is done. */
  readonly counts?: ReplayCounts;
}

export interface Replay {
  stored: StoredReplay;
  version: number;
  tasks: readonly ReplayTask[];
  actor: ActorReference<ReplayMessage> | undefined;
  /** Why the replay cannot run on this node. */
  refusal: string | undefined;
}

export interface ReplayDescription extends Omit<StoredReplay, "version" | "ranges" | "counts" | "run">, ReplayCounts {
  /** How many records the range has, counted once for each sink. */
  readonly records: number;
  /** How many of these were delivered, filtered or set aside. */
  readonly doneRecords: number;
  /** The partitions that wait, each with the reason. */
  readonly waiting: readonly { readonly partition: number; readonly sink: string; readonly reason: string }[];
}

export function decodeReplay(value: Uint8Array): StoredReplay {
  const stored = JSON.parse(new TextDecoder().decode(value)) as Omit<StoredReplay, "version"> & { version: number };
  if (stored.version === FORMAT_VERSION) return { ...stored, version: FORMAT_VERSION };
  throw new ConfigurationError(
    "FORMAT_TOO_NEW",
    `Cannot read the replay ${stored.name} as its format must be ${FORMAT_VERSION}: current value is ${stored.version}`,
  );
}

export const unstarted = (stored: StoredReplay, version: number): Replay => ({
  stored,
  version,
  tasks: [],
  actor: undefined,
  refusal: undefined,
});

/** Extends known ranges. A beginning stays, and an end only moves on. */
export function extend(known: readonly StoredRange[], wanted: readonly StoredRange[]): StoredRange[] {
  const ranges = new Map(known.map((range) => [range.partition, range]));
  for (const range of wanted) {
    const old = ranges.get(range.partition);
    const isOlder = comparePositions(old?.last ?? undefined, range.last ?? undefined) < 0;
    if (old === undefined || old.last === null) ranges.set(range.partition, range);
    else if (isOlder) ranges.set(range.partition, { ...old, last: range.last });
  }
  return [...ranges.values()];
}

export function refuseOther(known: StoredReplay, request: ReplayRequest): void {
  const of = ({ stream, channel, from, sink, pipeline }: StoredReplay | ReplayRequest) =>
    JSON.stringify({ stream, channel, from, sink, pipeline });
  if (of(known) === of(request)) return;
  throw new RejectedError(
    "MALFORMED_FRAME",
    `Cannot begin the replay ${known.name} as another one of that name has begun, with another range, source or target: current value is ${of(known)}`,
  );
}

export const tasksOf = ({ ranges }: StoredReplay, sinks: readonly string[]): ReplayTask[] =>
  ranges.flatMap(({ partition, after, last }) =>
    last === null
      ? []
      : sinks.map((sink) => ({
          partition,
          sink,
          range: { after: after ?? undefined, last },
          position: undefined,
          deliveredRecords: 0,
          deadLetters: 0,
          skippedLetters: 0,
          reason: undefined,
          isDone: false,
          isBegunHere: false,
          elsewhere: undefined,
        })),
  );

export const countsOf = ({ tasks }: Replay): ReplayCounts =>
  sumOfCounts(tasks.flatMap((task) => (task.elsewhere === undefined ? [task] : [task, task.elsewhere])));

export const sumOfCounts = (all: readonly ReplayCounts[]): ReplayCounts => ({
  deliveredRecords: all.reduce((sum, one) => sum + one.deliveredRecords, 0),
  deadLetters: all.reduce((sum, one) => sum + one.deadLetters, 0),
  skippedLetters: all.reduce((sum, one) => sum + one.skippedLetters, 0),
});

const offsetAfter = (at: Position | undefined): number => (at === undefined ? 0 : at.offset + 1);

const lengthOf = ({ after, last }: DeliveryRange): number => offsetAfter(last) - offsetAfter(after);

function doneOf(task: ReplayTask): number {
  const { isDone, range, position, elsewhere } = task;
  if (isDone) return lengthOf(range);
  const furthest = Math.max(offsetAfter(position), offsetAfter(elsewhere?.position));
  return Math.min(lengthOf(range), Math.max(0, furthest - offsetAfter(range.after)));
}

export function describe(replay: Replay): ReplayDescription {
  const { stored, tasks, refusal } = replay;
  const { version: _version, run: _run, ranges, counts, ...about } = stored;
  const ofAll = ranges.map(({ after, last }) => (last === null ? 0 : lengthOf({ after: after ?? undefined, last })));
  const records = ofAll.reduce((sum, one) => sum + one, 0) * stored.sinks.length;
  const waiting = tasks.flatMap(({ partition, sink, isDone, ...task }) => {
    const reason = isDone ? undefined : (task.reason ?? task.elsewhere?.reason);
    return reason === undefined ? [] : [{ partition, sink, reason }];
  });
  return {
    ...about,
    ...(stored.state === "running" ? countsOf(replay) : (counts ?? countsOf(replay))),
    records,
    doneRecords: stored.state === "done" ? records : tasks.reduce((sum, task) => sum + doneOf(task), 0),
    waiting: refusal === undefined ? waiting : [{ partition: 0, sink: stored.sink ?? "", reason: refusal }],
  };
}
