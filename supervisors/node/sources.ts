/**
 * Starts the sources of the configuration, each under its own actor. In a cluster one that reads what all nodes see runs
 * where a partition of its stream is owned, and moves with it: the first partition, or for a shard the one that the
 * shard's name chooses. A source that reads its own machine runs on every node.
 */
import type { ActorContext, ActorDefinition, ActorReference } from "../../actors/kernel/actor.ts";
import { settledWithin } from "../../actors/kernel/settled_within.ts";
import type { AnySource } from "../../actors/sources/registry.ts";
import { type SourceMessage, type SourceOptions, sourceActor } from "../../actors/sources/source_actor.ts";
import type { Connect } from "../../protocols/connection.ts";
import { FIELD_LIMITS } from "../../protocols/limits.ts";
import type { Configuration, SourceConfiguration } from "../configuration/configuration_schema.ts";
import { sourceOf } from "../configuration/kinds.ts";
import type { Foundation } from "./foundation.ts";
import { type ShardsInput, SOURCE_SUPERVISION, shardsActor } from "./sources/shards_actor.ts";
import { SHARD_LIMITS } from "./sources/shards_machine.ts";
import { type SourceTrouble, SourceTroubles } from "./sources/source_troubles.ts";
import type { DirectoryEntry, NodeDirectory } from "./stream_directory.ts";

export type { SourceTrouble } from "./sources/source_troubles.ts";

export interface SourceParts extends Pick<Foundation, "system" | "log" | "nodeLog" | "metrics"> {
  readonly connect: Connect;
  /** The streams of the node. In a cluster `cluster` has it too. */
  readonly directory?: NodeDirectory;
  /** In a cluster: the name of this node, and who owns what. */
  readonly cluster?: { readonly node: string; readonly directory: NodeDirectory };
}

export interface RunningSources {
  troubles(): readonly SourceTrouble[];
  stop(): Promise<void>;
}

/** One source of the configuration, before it is placed. */
interface Source extends SourceConfiguration {
  readonly name: string;
  /** The name, with that of the node where the source runs on every node. */
  readonly own: string;
  /** True where ownership of partitions decides where the source runs. */
  readonly isPlaced: boolean;
  readonly definition: AnySource;
  readonly troubles: SourceTroubles;
  readonly parts: SourceParts;
}

/** Runs a source, or all of its shards here. */
interface Runner {
  readonly name: string;
  /** The partition whose owner runs the source; undefined where it always runs. */
  readonly entry: DirectoryEntry | undefined;
  readonly actor: ActorDefinition<never>;
  /** Ends the readers at one time; undefined for a source of one reader. */
  readonly rest: ((actor: ActorReference<never>, onRest: () => void) => void) | undefined;
}

export function startSources(configuration: Configuration, parts: SourceParts): RunningSources {
  const troubles = new SourceTroubles();
  parts.metrics.gauge("headrace_source_unavailable", "1 while a source cannot read, by why", () => troubles.readings());
  const runners = Object.entries(configuration.sources).flatMap(([name, given]) => {
    const definition = sourceOf(configuration, given.type);
    if (definition === undefined) return []; // the configuration's check has reported it
    const { cluster } = parts;
    const isEverywhere = cluster !== undefined && definition.readsOwnMachine === true;
    const own = isEverywhere ? `${name}/${cluster.node}` : name;
    const isPlaced = cluster !== undefined && !isEverywhere;
    return [runnerOf({ ...given, name, own, isPlaced, definition, troubles, parts })];
  });
  const root = parts.system.spawn(rootOf(runners, troubles));
  return {
    troubles: () => troubles.now(),
    async stop() {
      // All sources at once: each may have to wait for the acknowledgement of its events.
      const rested = new Promise<void>((onRest) => root.tell({ type: "rest", onRest }));
      await Promise.race([rested, parts.system.whenTerminated(root)]);
      await parts.system.stop(root as ActorReference<never>);
    },
  };
}

type RootMessage = { readonly type: "look" } | { readonly type: "rest"; onRest(): void };

const rootOf = (runners: readonly Runner[], troubles: SourceTroubles): ActorDefinition<RootMessage> => ({
  name: "sources",
  supervision: SOURCE_SUPERVISION,
  start(context) {
    const running = new Map<Runner, ActorReference<never>>();
    let isResting = false;
    const look = async () => {
      if (isResting) return;
      for (const runner of runners) {
        const { name, entry, actor } = runner;
        const isHere = entry === undefined || entry.feed !== undefined;
        const known = running.get(runner);
        if (isHere && known === undefined) running.set(runner, context.spawn(actor) as ActorReference<never>);
        if (isHere || known === undefined) continue;
        running.delete(runner);
        troubles.tell(name, undefined);
        await context.stopChild(known);
      }
    };
    const listeners = runners.flatMap(({ entry }) => entry?.onChange(() => context.self.tell({ type: "look" })) ?? []);
    context.self.tell({ type: "look" });
    return {
      async receive(message) {
        if (message.type === "look") return look();
        isResting = true;
        await Promise.all([...running].map(([runner, actor]) => end(context, runner, actor)));
        message.onRest();
      },
      stop: () => {
        for (const listener of listeners) listener.stop();
      },
    };
  },
});

/** The wait for all shards of a source to end at one time, in ms: as long as each may take, and its own waits. */
const REST_WITHIN_MS = 3_000;

async function end(context: ActorContext<RootMessage>, { rest }: Runner, actor: ActorReference<never>): Promise<void> {
  if (rest !== undefined) await settledWithin(new Promise<void>((onRest) => rest(actor, onRest)), REST_WITHIN_MS);
  await context.stopChild(actor);
}

function runnerOf(source: Source): Runner {
  const { name, own, isPlaced, definition, stream, parts } = source;
  if (definition.shards !== undefined) {
    return {
      name,
      entry: undefined,
      actor: shardsOf(source) as ActorDefinition<never>,
      rest: (actor, onRest) => (actor as ActorReference<ShardsInput>).tell({ type: "rest_with", onRest }),
    };
  }
  const entry = isPlaced ? parts.cluster?.directory.partition(stream, 0) : undefined;
  return { name, entry, actor: readerOf(source, own) as ActorDefinition<never>, rest: undefined };
}

function shardsOf(source: Source): ActorDefinition<ShardsInput> {
  const { name, own, definition, options, stream, isPlaced, troubles, parts } = source;
  const partitions = descriptionOf(source)?.partitions ?? 1;
  const directory = isPlaced ? parts.cluster?.directory : undefined;
  const all = Array.from({ length: partitions }, (_, partition) => partition);
  const entries = all.map((partition) => directory?.partition(stream, partition));
  const isOwned = (partition: number): boolean => directory === undefined || entries[partition]?.feed !== undefined;
  const room = FIELD_LIMITS.nameCharactersMax - `source/${own}/`.length;
  const about = { name, nowMs: Date.now, log: reportOf(source), trouble: (code: string | undefined) => told(code) };
  const told = (code: string | undefined) => troubles.tell(name, code, LISTING);
  return shardsActor({
    name: own.replaceAll("/", "-"),
    partitions,
    nameCharactersMax: Math.min(SHARD_LIMITS.nameCharactersMax, room),
    list: () => (definition.shards as NonNullable<typeof definition.shards>)(options as never, about),
    owned: () => new Set(all.filter(isOwned)),
    onOwned: (listener) => entries.flatMap((entry) => entry?.onChange(listener) ?? []),
    reader: (shard, actorName) => readerOf(source, `${own}/${shard}`, { shard, actorName }) as ActorDefinition<never>,
    onEnded: (shard) => troubles.tell(name, undefined, shard),
    trouble: (reason) => {
      told(reason === undefined ? undefined : "SHARDS_UNKNOWN");
      if (reason !== undefined) reportOf(source)("warn", "the shards cannot be listed", { reason });
    },
  });
}

/** Names the listing of shards among the shards with trouble: no shard has a control character in its name. */
const LISTING = "\0";

const descriptionOf = ({ parts, stream }: Source) => (parts.directory ?? parts.cluster?.directory)?.describe()[stream];

const reportOf =
  ({ name, parts }: Source, shard?: string): SourceOptions<never>["report"] =>
  (level, message, fields) =>
    parts.nodeLog(level, message, { source: name, ...(shard === undefined ? {} : { shard }), ...fields });

/** @param id names the producer and the stored resume point */
function readerOf(
  source: Source,
  id: string,
  { shard, actorName }: { readonly shard?: string; readonly actorName?: string } = {},
): ActorDefinition<SourceMessage> {
  const { name, definition, options, stream, headers, time, troubles, parts } = source;
  const { metrics, connect, log } = parts;
  const rejected = metrics.counter("headrace_source_rejected_total", "Events of a source set aside", { source: name });
  const lost = metrics.counter(
    "headrace_source_lost_total",
    "Items that a source's place has removed before they were read",
    { source: name },
  );
  return sourceActor({
    name: id,
    stream,
    definition,
    options: options as never,
    fields: { ...(headers === undefined ? {} : { headers }), ...(time === undefined ? {} : { time }) },
    describe: () => descriptionOf(source),
    connect,
    log,
    report: reportOf(source, shard),
    trouble: (code) => troubles.tell(name, code, shard),
    lost: (count) => lost.add(count),
    onRejected: () => rejected.add(1),
    ...(shard === undefined ? {} : { shard }),
    ...(actorName === undefined ? {} : { actorName }),
  });
}
