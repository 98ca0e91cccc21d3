/**
 * Runs one replay on this node: a bounded delivery for each of its partitions and sinks, a few at a time, each under the
 * ownership of its partition, until all are done. What is where is in the sinks' own positions. A partition that this node
 * does not own is another's to deliver, or nobody's for now.
 */
import type { PartitionEntry } from "../../actors/ingest/session.ts";
import type { ActorContext, ActorDefinition, ActorReference } from "../../actors/kernel/actor.ts";
import type { PartitionFeed } from "../../actors/partition/partition_feed.ts";
import type { DeliveryRange } from "../../actors/sinks/delivery/delivery_actor.ts";
import type { DeliveryReport } from "../../actors/sinks/delivery/delivery_messages.ts";
import { epoch, type Position } from "../../protocols/position.ts";
import { SUPERVISION } from "../node/partition_supervisor.ts";

/** A replay stands behind what is live: it holds no more memory and connections than these. */
const DELIVERIES_AT_ONCE_MAX = 8;
const FINISH_AGAIN_AFTER_MS = 1_000;

/** How far one partition of a replay is for one sink. */
export interface TaskProgress {
  readonly position: Position | undefined;
  readonly deliveredRecords: number;
  readonly deadLetters: number;
  readonly skippedLetters: number;
  /** Why it is being tried again. */
  readonly reason: string | undefined;
}

/** One partition of a replay for one sink, and how far it is here; counts are since this node started it. */
export interface ReplayTask {
  readonly partition: number;
  readonly sink: string;
  readonly range: DeliveryRange;
  position: Position | undefined;
  deliveredRecords: number;
  deadLetters: number;
  skippedLetters: number;
  reason: string | undefined;
  /** Here or elsewhere. */
  isDone: boolean;
  /** Whether this node has delivered of it. */
  isBegunHere: boolean;
  /** What other nodes of the cluster tell, those that owned the partition before included. */
  elsewhere: TaskProgress | undefined;
}

export interface ReplayActorOptions {
  readonly name: string;
  readonly tasks: readonly ReplayTask[];
  readonly entryOf: (partition: number) => PartitionEntry | undefined;
  readonly delivery: (
    task: ReplayTask,
    feed: PartitionFeed,
    observe: (report: DeliveryReport) => void,
  ) => readonly ActorDefinition<never>[];
  /** Every task is done; called again when it rejects. */
  readonly finish: () => Promise<void>;
}

export type ReplayMessage =
  | { readonly type: "look" }
  /** The node ends: so do the deliveries, and none begins afterwards. */
  | { readonly type: "rest"; readonly onRest: () => void };

interface RunningTask {
  readonly feed: PartitionFeed;
  readonly deliveries: readonly ActorReference<never>[];
}

export const replayActor = (options: ReplayActorOptions): ActorDefinition<ReplayMessage> => ({
  name: `replay-${options.name}`,
  supervision: SUPERVISION,
  start(context) {
    const running = new Map<ReplayTask, RunningTask>();
    const partitions = new Set(options.tasks.map(({ partition }) => partition));
    const look = () => context.self.tell({ type: "look" });
    const listeners = [...partitions].flatMap((one) => options.entryOf(one)?.onChange(look) ?? []);
    let isFinishing = false;
    let isResting = false;
    look();
    return {
      async receive(message) {
        if (message.type === "rest") {
          isResting = true;
          const deliveries = [...running.values()].flatMap((task) => task.deliveries);
          await Promise.all(deliveries.map((one) => context.stopChild(one)));
          message.onRest();
        }
        if (isResting) return;
        await endStale(context, options, running);
        begin(context, options, running);
        if (isFinishing || options.tasks.some(({ isDone }) => !isDone)) return;
        isFinishing = true;
        options.finish().catch(() => {
          isFinishing = false;
          context.after(FINISH_AGAIN_AFTER_MS, { type: "look" });
        });
      },
      stop() {
        for (const listener of listeners) listener.stop();
      },
    };
  },
});

/** Ends what is done, and what runs under an ownership that is over. */
async function endStale(
  context: ActorContext<ReplayMessage>,
  { entryOf }: ReplayActorOptions,
  running: Map<ReplayTask, RunningTask>,
): Promise<void> {
  for (const [task, { feed, deliveries }] of running) {
    if (!task.isDone && entryOf(task.partition)?.feed === feed) continue;
    running.delete(task);
    task.reason = undefined;
    await Promise.all(deliveries.map((one) => context.stopChild(one)));
  }
}

function begin(
  context: ActorContext<ReplayMessage>,
  { tasks, entryOf, delivery }: ReplayActorOptions,
  running: Map<ReplayTask, RunningTask>,
): void {
  for (const task of tasks) {
    if (running.size >= DELIVERIES_AT_ONCE_MAX) return;
    const entry = entryOf(task.partition);
    if (task.isDone || running.has(task) || entry?.feed === undefined) continue;
    const { feed } = entry;
    const observe = (report: DeliveryReport) => {
      note(task, report);
      if (report.kind === "completed") context.self.tell({ type: "look" });
      // As for the sink's own delivery: the owner claims again, above a fence that somebody else left there (E7).
      if (report.kind === "fenced" && report.fence !== undefined) {
        if (entry.feed === feed) entry.reference?.tell({ type: "fence_seen", epoch: epoch(report.fence) });
      }
    };
    task.isBegunHere = true;
    running.set(task, { feed, deliveries: delivery(task, feed, observe).map((one) => context.spawn(one)) });
  }
}

function note(task: ReplayTask, report: DeliveryReport): void {
  switch (report.kind) {
    case "opened":
      task.position = report.position;
      task.reason = undefined;
      return;
    case "delivered":
      task.position = report.batch.end;
      task.deliveredRecords += report.batch.records;
      task.reason = undefined;
      return;
    case "dead_lettered":
      task.deadLetters += report.letters.length;
      return;
    case "retry":
      task.reason = `trying again to ${report.what}: ${report.reason}`;
      return;
    case "completed":
      task.isDone = true;
      task.reason = undefined;
      return;
    case "trimmed":
    case "truncated":
    case "misplaced":
    case "fenced":
    case "stopped":
      return;
  }
}

/** How often a node of a cluster looks for replays that others have begun, and tells how far its own part is. */
const WATCH_EVERY_MS = 1_000;

/** Looks again and again, on a node of a cluster. */
export const replayWatch = (watch: () => Promise<void>): ActorDefinition<ReplayMessage> => ({
  name: "replays",
  start(context) {
    context.self.tell({ type: "look" });
    return {
      async receive() {
        await watch();
        context.after(WATCH_EVERY_MS, { type: "look" });
      },
    };
  },
});
