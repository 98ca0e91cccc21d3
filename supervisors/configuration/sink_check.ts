/** Checks that the options of a sink can work together, with its pipeline and on this machine; its schema has judged each alone. */
import { batchLimits } from "../../actors/sinks/delivery/delivery_limits.ts";
import type { AnySink } from "../../actors/sinks/registry.ts";
import { ConfigurationError } from "../../protocols/errors.ts";
import { targetsOf } from "./configuration_raw.ts";
import type { Configuration } from "./configuration_schema.ts";
import { sinkOf } from "./kinds.ts";

/** Throws `ConfigurationError` where the options of a sink cannot work; see `SinkDefinition.check` and `place`. */
export async function checkSink(name: string, configuration: Configuration, folder: string | undefined): Promise<void> {
  const sink = configuration.sinks[name];
  const definition = sinkOf(configuration, sink?.type ?? "");
  refuseNamed(name, configuration, definition);
  refuseShared(name, configuration);
  const problem =
    configuration.cluster === undefined ? undefined : definition?.clusterProblem?.(sink?.options as never);
  if (problem !== undefined) {
    const what = `sinks.${name}: Cannot write from a cluster as ${problem}`;
    throw new ConfigurationError("INVALID_CONFIGURATION", what);
  }
  try {
    await definition?.check?.(sink?.options as never, folder);
    if (definition !== undefined) batchLimits(definition, sink?.options as never, sink?.batch);
  } catch (error) {
    if (!(error instanceof ConfigurationError)) throw error;
    throw new ConfigurationError(error.code, `sinks.${name}: ${error.message}`, { cause: error });
  }
}

/** A sink that does not keep deliveries apart might take a record of one for the other's (sink S12). */
function refuseNamed(name: string, { pipelines }: Configuration, definition: AnySink | undefined): void {
  if (definition === undefined || definition.keepsDeliveriesApart === true) return;
  const named = Object.entries(pipelines).find(([, pipeline]) =>
    targetsOf(pipeline).some(({ target }) => target.sink === name && target.as !== undefined),
  );
  if (named === undefined) return;
  throw new ConfigurationError(
    "INVALID_CONFIGURATION",
    `sinks.${name}: Cannot deliver with 'as', as pipeline ${named[0]} does: a sink of type ${definition.type} does not keep such deliveries apart. Give the pipeline a sink of its own`,
  );
}

function refuseShared(name: string, configuration: Configuration): void {
  const { pipelines, sinks, node } = configuration;
  const placeOf = (sink: string): string | undefined =>
    sinkOf(configuration, sinks[sink]?.type ?? "")?.place?.(sinks[sink]?.options as never, node.data);
  const feeds = Object.values(pipelines);
  const streamsOf = (sink: string) =>
    feeds.filter((feed) => targetsOf(feed).some(({ target }) => target.sink === sink)).map(({ from }) => from);
  const streams = streamsOf(name);
  const place = placeOf(name);
  if (place === undefined) return;
  const before = Object.keys(sinks).slice(0, Object.keys(sinks).indexOf(name));
  const beside = before.filter((other) => streamsOf(other).some((stream) => streams.includes(stream)));
  const other = beside.find((one) => placeOf(one) === place);
  if (other === undefined) return;
  throw new ConfigurationError(
    "INVALID_CONFIGURATION",
    `sinks.${name}: Cannot write to ${place} as sink ${other} writes the same stream there: give each a place of its own`,
  );
}
