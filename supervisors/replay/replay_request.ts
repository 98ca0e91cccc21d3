/** What may be asked for as a replay, and to whom it goes: judged before anything is stored or started. */
import type { Channel } from "../../actors/log/log.ts";
import type { Pipeline } from "../../actors/pipeline/pipeline.ts";
import { RejectedError } from "../../protocols/errors.ts";
import type { Configuration } from "../configuration/configuration_schema.ts";
import { nearest } from "../configuration/nearest_word.ts";

/** A place in a stream; a time is of append, in ms since 1970. */
export type ReplayPlace = "earliest" | "latest" | { readonly offset: number } | { readonly timeMs: number };

export interface ReplayRequest {
  /** Tells this replay from every other: begun again under it, it goes on. */
  readonly name: string;
  readonly stream: string;
  readonly channel: Channel;
  readonly from: ReplayPlace;
  /** Not included; `latest` is the end seen when it begins. */
  readonly to: ReplayPlace;
  /** All where there are none. */
  readonly partitions?: readonly number[];
  /** Either a sink, straight, or a pipeline: through its steps to its sinks. */
  readonly sink?: string;
  readonly pipeline?: string;
  readonly isDryRun: boolean;
}

export interface ReplayTarget {
  /** Partitions of the stream. */
  readonly count: number;
  readonly names: { readonly sink: string } | { readonly pipeline: string };
  readonly sinks: readonly string[];
}

interface Known {
  readonly configuration: Configuration;
  readonly pipelines: ReadonlyMap<string, Pipeline>;
}

const NAME = /^[A-Za-z0-9][A-Za-z0-9_.:-]{0,119}$/;

/** Where it goes. Throws `RejectedError` for what can not be replayed, with why. */
export function targetOf(request: ReplayRequest, known: Known): ReplayTarget {
  const { name, stream, channel, partitions = [], sink, pipeline } = request;
  const { streams, sinks } = known.configuration;
  if (!NAME.test(name)) refuse("its name must be letters, digits, _ . : and -, at most 120", name);
  const count = streams[stream]?.partitions;
  if (count === undefined) {
    throw new RejectedError(
      "UNKNOWN_STREAM",
      `Cannot replay ${stream} as the stream must be one of [${Object.keys(streams).join(", ")}]`,
    );
  }
  const beyond = partitions.find((partition) => !(partition >= 0 && partition < count));
  if (beyond !== undefined) {
    throw new RejectedError(
      "UNKNOWN_PARTITION",
      `Cannot replay partition ${beyond} as ${stream} has ${count}, numbered from 0`,
    );
  }
  if ((sink === undefined) === (pipeline === undefined))
    refuse("it must go into a sink or into a pipeline", "both or none");
  const letters = lettersOf(channel);
  if (letters !== undefined) refuseUnknown("the sink of the dead letters", letters, Object.keys(sinks));
  if (sink !== undefined) {
    refuseUnknown("the sink", sink, Object.keys(sinks));
    return { count, names: { sink }, sinks: [sink] };
  }
  return { count, names: { pipeline: pipeline ?? "" }, sinks: sinksOf(pipeline ?? "", stream, letters, known) };
}

/** The sink whose dead letters a channel holds. */
const lettersOf = (channel: Channel): string | undefined =>
  channel.startsWith("dead_letters/") ? channel.slice("dead_letters/".length) : undefined;

function sinksOf(name: string, stream: string, letters: string | undefined, { configuration, pipelines }: Known) {
  refuseUnknown("the pipeline", name, Object.keys(configuration.pipelines));
  const { from = "", to = [] as readonly string[] } = configuration.pipelines[name] ?? {};
  if (from !== stream) refuse(`pipeline ${name} must read the stream, as its steps are written for its events`, from);
  if (pipelines.get(name)?.isDeterministic !== true) {
    refuse(
      `the steps of pipeline ${name} must be filters and maps: what a step of your own answers is computed once, when the record first passes, and may differ the second time`,
      "call",
    );
  }
  if (letters === undefined) return to;
  // The pipeline's other sinks have had these records.
  if (!to.includes(letters))
    refuse(`the dead letters of ${letters} must be those of a sink of pipeline ${name}`, to.join(", "));
  return [letters];
}

function refuseUnknown(what: string, name: string, known: readonly string[]): void {
  if (known.includes(name)) return;
  const guess = nearest(name, known);
  refuse(`${what} must be one of [${known.join(", ")}]${guess === undefined ? "" : ` (did you mean ${guess}?)`}`, name);
}

function refuse(reason: string, value: string): never {
  throw new RejectedError("MALFORMED_FRAME", `Cannot replay as ${reason}: current value is ${value}`);
}
