/**
 * Adds up the progress of a replay that several nodes of a cluster deliver. Every life of a node writes its own share
 * under a key of its own in the log's metadata, so that no node overwrites another's. All shares together tell the
 * progress and the end. They do not prevent double delivery: the sinks' own positions do.
 */
import type { Log, Metadata } from "../../actors/log/log.ts";
import { comparePositions, type Position } from "../../protocols/position.ts";
import type { ReplayTask, TaskProgress } from "./replay_actor.ts";
import { sumOfCounts } from "./replay_record.ts";

const SHARE_PREFIX = "replay_share/";
/** This small value's version rises with each change of a replay: nodes need to look at this value only. */
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
  /** Number of the replay's run. Shares of other runs do not count. */
  readonly run: number;
  readonly tasks: readonly StoredTask[];
}

export class ReplayShares {
  readonly #log: Pick<Log, "listMetadata" | "readMetadata" | "writeMetadata">;
  readonly #life: string;
  /** Replays of which this life has written a share. */
  readonly #told = new Set<string>();
  #changesSeen = -1;

  constructor(log: Log, life: string) {
    this.#log = log;
    this.#life = life;
  }

  /** Calls `read` if a replay may have changed on any node since the last call. */
  async readNews(read: () => Promise<void>): Promise<void> {
    const changes = (await this.#log.readMetadata(CHANGES_KEY))?.version ?? 0;
    if (changes === this.#changesSeen) return;
    await read();
    this.#changesSeen = changes;
  }

  /** Lets the next `readNews` read, as the known state turned out to be old. */
  expectNews(): void {
    this.#changesSeen = -1;
  }

  /** Tells every node to look. To be called once the change is stored. */
  async announce(): Promise<void> {
    const changes = (await this.#log.readMetadata(CHANGES_KEY))?.version ?? 0;
    // If the write is refused, another node has announced since, and those who look find this change too.
    await this.#log.writeMetadata(CHANGES_KEY, new Uint8Array(0), changes);
  }

  read(): Promise<ReadonlyMap<string, Metadata>> {
    return this.#log.listMetadata(SHARE_PREFIX);
  }

  /** Writes this life's share, and reads those of others. Answers whether a task has become done. */
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

  /** Empties this life's share, once the replay itself holds the counts. */
  async clear(name: string): Promise<void> {
    if (!this.#told.has(name)) return;
    await this.#write(name, encode(0, []), await this.#log.readMetadata(this.#keyOf(name)));
    this.#told.delete(name);
  }

  #keyOf(name: string): string {
    return `${SHARE_PREFIX}${name}/${this.#life}`;
  }

  /** Writes the share, also again if the store has lost it. */
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
  ...sumOfCounts(tasks),
  reason: tasks.find(({ reason, isDone }) => reason !== null && !isDone)?.reason ?? undefined,
});

function encode(run: number, tasks: readonly ReplayTask[]): string {
  const stored = tasks.map(({ partition, sink, position, reason, isDone, ...task }): StoredTask => {
    const { deliveredRecords, deadLetters, skippedLetters } = task;
    const counts = { deliveredRecords, deadLetters, skippedLetters };
    return { partition, sink, position: position ?? null, ...counts, reason: reason ?? null, isDone };
  });
  return JSON.stringify({ version: FORMAT_VERSION, run, tasks: stored } satisfies Share);
}

/** A share of a newer release is ignored: this node delivers its own partitions, and waits for the rest. */
function decode(value: Uint8Array): Share {
  const share = JSON.parse(new TextDecoder().decode(value)) as Share;
  return share.version === FORMAT_VERSION ? share : { version: share.version, run: -1, tasks: [] };
}
