/**
 * How far a replay is that several nodes of a cluster deliver, each the partitions that it owns. Every life of a node writes
 * what it did of a replay under a key of its own in the log's metadata, so that nobody overwrites another; all are read to know
 * the whole. They tell of progress and of the end alone: what keeps a record from being delivered twice are the sinks' own positions.
 */
import type { Log, Metadata } from "../../actors/log/log.ts";
import { comparePositions, type Position } from "../../protocols/position.ts";
import type { ReplayTask, TaskProgress } from "./replay_actor.ts";

const SHARE_PREFIX = "replay_share/";
/** Its version rises with each change of a replay: one small value to look at, for every node, again and again. */
const CHANGES_KEY = "replay_changes";
const FORMAT_VERSION = 1;

interface StoredTask extends Omit<TaskProgress, "position" | "reason"> {
  readonly partition: number;
  readonly sink: string;
  readonly position: Position | null;
  readonly reason: string | null;
  readonly isDone: boolean;
}

interface Share {
  readonly version: number;
  /** Which run of the replay: what was done in another says nothing. */
  readonly run: number;
  readonly tasks: readonly StoredTask[];
}

export class ReplayShares {
  readonly #log: Pick<Log, "listMetadata" | "readMetadata" | "writeMetadata">;
  readonly #life: string;
  /** Replays that this life has told of. */
  readonly #told = new Set<string>();
  #changesSeen = -1;

  constructor(log: Log, life: string) {
    this.#log = log;
    this.#life = life;
  }

  /** Calls `read` if a replay may have changed, on any node, since it was called. */
  async readNews(read: () => Promise<void>): Promise<void> {
    const changes = (await this.#log.readMetadata(CHANGES_KEY))?.version ?? 0;
    if (changes === this.#changesSeen) return;
    await read();
    this.#changesSeen = changes;
  }

  /** What is known has turned out to be old. */
  expectNews(): void {
    this.#changesSeen = -1;
  }

  /** Tells every node to look: call it once the change is stored. */
  async announce(): Promise<void> {
    const changes = (await this.#log.readMetadata(CHANGES_KEY))?.version ?? 0;
    // Where that is refused, another has announced since, and whoever looks finds this change too.
    await this.#log.writeMetadata(CHANGES_KEY, new Uint8Array(0), changes);
  }

  /** What every life has told, of all replays. */
  read(): Promise<ReadonlyMap<string, Metadata>> {
    return this.#log.listMetadata(SHARE_PREFIX);
  }

  /** Tells what was done here, and takes over what others tell. Answers whether a task is done that was not. */
  async exchange(
    found: ReadonlyMap<string, Metadata>,
    name: string,
    run: number,
    tasks: readonly ReplayTask[],
  ): Promise<boolean> {
    const own = this.#keyOf(name);
    const isOthers = (key: string) => key.startsWith(`${SHARE_PREFIX}${name}/`) && key !== own;
    const others = [...found].filter(([key]) => isOthers(key)).map(([, { value }]) => decode(value));
    const told = new Map<string, StoredTask[]>();
    for (const task of others.filter((share) => share.run === run).flatMap((share) => share.tasks)) {
      told.set(taskKey(task), [...(told.get(taskKey(task)) ?? []), task]);
    }
    let isNews = false;
    for (const task of tasks) {
      const elsewhere = told.get(taskKey(task)) ?? [];
      task.elsewhere = elsewhere.length === 0 ? undefined : sumOf(elsewhere);
      if (task.isDone || !elsewhere.some(({ isDone }) => isDone)) continue;
      task.isDone = true;
      isNews = true;
    }
    const begun = tasks.filter(({ isBegunHere }) => isBegunHere);
    if (begun.length > 0) await this.#write(name, encode(run, begun), found.get(own));
    return isNews;
  }

  /** Makes room once what was told is in the replay itself. */
  async clear(name: string): Promise<void> {
    if (!this.#told.has(name)) return;
    await this.#write(name, encode(0, []), await this.#log.readMetadata(this.#keyOf(name)));
    this.#told.delete(name);
  }

  #keyOf(name: string): string {
    return `${SHARE_PREFIX}${name}/${this.#life}`;
  }

  /** What the store has lost since is written again. */
  async #write(name: string, text: string, stored: Metadata | undefined): Promise<void> {
    if (stored !== undefined && text === new TextDecoder().decode(stored.value)) return;
    this.#told.add(name);
    await this.#log.writeMetadata(this.#keyOf(name), new TextEncoder().encode(text), stored?.version ?? 0);
  }
}

const taskKey = ({ partition, sink }: { readonly partition: number; readonly sink: string }) => `${partition}/${sink}`;

const sumOf = (tasks: readonly StoredTask[]): TaskProgress => ({
  position: tasks
    .map(({ position }) => position ?? undefined)
    .reduce((furthest, one) => (comparePositions(furthest, one) < 0 ? one : furthest)),
  deliveredRecords: tasks.reduce((sum, one) => sum + one.deliveredRecords, 0),
  deadLetters: tasks.reduce((sum, one) => sum + one.deadLetters, 0),
  skippedLetters: tasks.reduce((sum, one) => sum + one.skippedLetters, 0),
  reason: tasks.find(({ reason, isDone }) => reason !== null && !isDone)?.reason ?? undefined,
});

function encode(run: number, tasks: readonly ReplayTask[]): string {
  const stored: StoredTask[] = tasks.map((task) => ({
    partition: task.partition,
    sink: task.sink,
    position: task.position ?? null,
    deliveredRecords: task.deliveredRecords,
    deadLetters: task.deadLetters,
    skippedLetters: task.skippedLetters,
    reason: task.reason ?? null,
    isDone: task.isDone,
  }));
  return JSON.stringify({ version: FORMAT_VERSION, run, tasks: stored } satisfies Share);
}

/** What a newer version tells is nothing that this one knows to read: it delivers its own, and waits for the rest. */
function decode(value: Uint8Array): Share {
  const share = JSON.parse(new TextDecoder().decode(value)) as Share;
  return share.version === FORMAT_VERSION ? share : { version: share.version, run: -1, tasks: [] };
}
