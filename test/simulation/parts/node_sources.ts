/** Starts the sources of a simulated node with the product's own `startSources`: the replayable file of a cluster, and the places. */
import type { ActorReference, ActorSystem } from "../../../actors/kernel/actor.ts";
import { SOURCES } from "../../../actors/sources/registry.ts";
import type { SourceStore } from "../../../actors/sources/shard/resume_point.ts";
import type { NamedItem, SourceDefinition } from "../../../actors/sources/source.ts";
import type { Connect } from "../../../protocols/connection.ts";
import type { Configuration } from "../../../supervisors/configuration/configuration_schema.ts";
import { type SourceParts, startSources } from "../../../supervisors/node/sources.ts";
import type { NodeDirectory } from "../../../supervisors/node/stream_directory.ts";
import type { SimulatedKernel } from "./simulated_kernel.ts";
import type { AnyReader, PlaceKind, ReadingNode, SimulatedPlace } from "./simulated_places.ts";
import { REPLAYABLE, type ReplayableFile } from "./simulated_source.ts";
import { STREAM } from "./simulated_store.ts";

/** A wrapper that breaks the readers of places on purpose. */
export type WrapReader = (reader: AnyReader) => AnyReader;

export interface NodeSources {
  readonly node: ReadingNode;
  readonly kernel: SimulatedKernel;
  readonly log: SourceStore;
  readonly directory: NodeDirectory;
  readonly connect: Connect;
  readonly file: ReplayableFile | undefined;
  readonly places: readonly SimulatedPlace[];
  readonly wrapReader: WrapReader;
  /** The name of the node in a cluster, where ownership places the sources. */
  readonly clusterNode: string | undefined;
}

/** The options of a place's source, as a configuration would hold them. */
interface PlaceOptions {
  readonly place: SimulatedPlace;
  readonly node: ReadingNode;
  readonly wrapReader: WrapReader;
}

export function startNodeSources(sources: NodeSources): void {
  const { node, kernel, directory, connect, file, places, wrapReader, clusterNode } = sources;
  const configured = {
    ...(file === undefined ? {} : { file: { type: REPLAYABLE, stream: STREAM, options: file } }),
    ...Object.fromEntries(
      places.map((place) => [place.kind, { type: place.kind, stream: STREAM, options: { place, node, wrapReader } }]),
    ),
  };
  const system: Pick<ActorSystem, "spawn" | "stop"> = {
    spawn: (definition) => kernel.spawn(definition).reference,
    stop: (actor) => kernel.stop(actor as ActorReference<never>),
  };
  startSources({ sources: configured } as unknown as Configuration, {
    system: system as ActorSystem,
    connect,
    log: sources.log as SourceParts["log"],
    nodeLog: () => {},
    metrics: { counter: () => ({ add: () => {} }), gauge: () => {} } as unknown as SourceParts["metrics"],
    directory,
    ...(clusterNode === undefined ? {} : { cluster: { node: clusterNode, directory } }),
  });
}

const readerOf =
  <Reader extends AnyReader>() =>
  async (
    { place, node, wrapReader }: PlaceOptions,
    { shard = "" }: { readonly shard?: string },
    resume: Parameters<SimulatedPlace["open"]>[2],
  ) =>
    wrapReader(await place.open(node, shard, resume)) as Reader;

const shards = async ({ place }: PlaceOptions) => place.shards;

const topic: SourceDefinition<PlaceOptions> = {
  ...{ type: "topic" satisfies PlaceKind, optionsSchema: {}, shards },
  open: readerOf(),
};

const queue: SourceDefinition<PlaceOptions, NamedItem> = {
  ...{ type: "queue" satisfies PlaceKind, optionsSchema: {}, identity: "message_id", shards },
  open: readerOf(),
};

for (const definition of [topic, queue])
  (SOURCES as Map<string, SourceDefinition<never>>).set(definition.type, definition as SourceDefinition<never>);
