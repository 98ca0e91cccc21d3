/**
 * Runs one replay on this node: a bounded delivery for each partition that the node owns and each sink, a few at a
 * time, until all are done. The sinks' own positions tell how far each is. Other nodes deliver the partitions that they
 * own.
 */
import type { PartitionEntry } from "../../actors/ingest/session.ts";
import type { ActorContext, ActorDefinition, ActorReference } from "../../actors/kernel/actor.ts";
import type { PartitionFeed } from "../../actors/partition/partition_feed.ts";
import type { DeliveryRange } from "../../actors/sinks/delivery/delivery_actor.ts";
import type { DeliveryReport } from "../../actors/sinks/delivery/delivery_messages.ts";
import { epoch, type Position } from "../../protocols/position.ts";
import { SUPERVISION } from "../node/partition_supervisor.ts";

/** Most deliveries of one replay at once, so that live deliveries keep most of the memory and connections. */
const DELIVERIES_AT_ONCE_MAX = 8;
const FINISH_AGAIN_AFTER_MS = 1_000;

export interface ReplayCounts {
  readonly deliveredRecords: number;
  readonly deadLetters: number;
  readonly skippedLetters: number;
}

/** The progress of one partition of a replay for one sink. */
export interface TaskProgress extends ReplayCounts {
  readonly position: Position | undefined;
  /** Why the delivery is being tried again; undefined if it is not. */
  readonly reason: string | undefined;
}

type Mutable<Value> = { -readonly [Key in keyof Value]: Value[Key] };

/** One partition of a replay for one sink, with its progress on this node. Counts begin when this node started it. */
export interface ReplayTask extends Mutable<TaskProgress> {
  readonly partition: number;
  readonly sink: string;
  readonly range: DeliveryRange;
  /** Whether the task is done, on any node. */
  isDone: boolean;
  /** Whether this node has delivered some of its records. */
  isBegunHere: boolean;
  /** The progress on other nodes of the cluster, former owners included. */
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
  /** Called once every task is done, and again if it rejects. */
  readonly finish: () => Promise<void>;
}

export type ReplayMessage =
  | { readonly type: "look" }
  /** The node stops: the deliveries end, and none begins afterwards. */
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

/** Ends deliveries that are done, and those whose node no longer owns the partition. */
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
      // As for the sink's own delivery: the owner claims again, above a fence that another node left in the sink (E7).
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

/** How often a node of a cluster looks for replays of other nodes, and stores its own progress, in ms. */
const WATCH_EVERY_MS = 1_000;

/** Calls `watch` at that interval, on a node of a cluster. */
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
