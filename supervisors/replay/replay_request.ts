/** Checks a request for a replay, and finds its target, before anything is stored or started. */
import type { Channel } from "../../actors/log/log.ts";
import type { Pipeline } from "../../actors/pipeline/pipeline.ts";
import { deliveryText } from "../../actors/sinks/delivery/delivery_names.ts";
import { RejectedError } from "../../protocols/errors.ts";
import { targetsOf } from "../configuration/configuration_raw.ts";
import type { Configuration } from "../configuration/configuration_schema.ts";
import { nearest } from "../configuration/nearest_word.ts";

/** A place in a stream. `timeMs` is a time of append, in ms since 1970. */
export type ReplayPlace = "earliest" | "latest" | { readonly offset: number } | { readonly timeMs: number };

export interface ReplayRequest {
  /** Names the replay. A replay that is begun again under its name goes on. */
  readonly name: string;
  readonly stream: string;
  readonly channel: Channel;
  readonly from: ReplayPlace;
  /** The end, which is not included. `latest` is the end of the stream when the replay begins. */
  readonly to: ReplayPlace;
  /** Default: all partitions. */
  readonly partitions?: readonly number[];
  /** The target: a sink directly, or a delivery there (`sink@as`), or else a pipeline, whose steps lead to its sinks. */
  readonly sink?: string;
  readonly pipeline?: string;
  readonly isDryRun: boolean;
}

export interface ReplayTarget {
  /** How many partitions the stream has. */
  readonly count: number;
  readonly names: { readonly sink: string } | { readonly pipeline: string };
  /** Deliveries, as `deliveryText` names them. */
  readonly sinks: readonly string[];
}

interface Known {
  readonly configuration: Configuration;
  readonly pipelines: ReadonlyMap<string, Pipeline>;
}

const NAME = /^[A-Za-z0-9][A-Za-z0-9_.:-]{0,119}$/;

/** The target of the replay. Throws `RejectedError` with the reason if the request cannot be replayed. */
export function targetOf(request: ReplayRequest, known: Known): ReplayTarget {
  const { name, stream, channel, partitions = [], sink, pipeline } = request;
  const { streams } = known.configuration;
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
  const deliveries = deliveriesOf(known.configuration);
  if (letters !== undefined) refuseUnknown("the sink of the dead letters", letters, deliveries);
  if (sink !== undefined) {
    refuseUnknown("the sink", sink, deliveries);
    return { count, names: { sink }, sinks: [sink] };
  }
  return { count, names: { pipeline: pipeline ?? "" }, sinks: sinksOf(pipeline ?? "", stream, letters, known) };
}

/** All sinks, and the deliveries that have a name of their own there. */
function deliveriesOf({ sinks, pipelines }: Configuration): readonly string[] {
  const named = Object.values(pipelines).flatMap((one) => targetsOf(one).map(({ target }) => deliveryText(target)));
  return [...new Set([...Object.keys(sinks), ...named])];
}

/** The delivery whose dead letters a channel holds. */
const lettersOf = (channel: Channel): string | undefined =>
  channel.startsWith("dead_letters/") ? channel.slice("dead_letters/".length) : undefined;

function sinksOf(name: string, stream: string, letters: string | undefined, { configuration, pipelines }: Known) {
  refuseUnknown("the pipeline", name, Object.keys(configuration.pipelines));
  const { from = "", others = [], to: targets = [] } = configuration.pipelines[name] ?? {};
  const to = targets.map(deliveryText);
  if (others.length > 0)
    refuse(`pipeline ${name} must read one stream: records of several are merged once`, [from, ...others].join(", "));
  if (from !== stream) refuse(`pipeline ${name} must read the stream, as its steps are written for its events`, from);
  if (pipelines.get(name)?.isDeterministic !== true) {
    refuse(
      `the steps of pipeline ${name} must be filters and maps: outputs of a step of your own are computed once, when the record first passes, and may differ the second time`,
      "call",
    );
  }
  if (letters === undefined) return to;
  // The pipeline's other sinks have got these records before.
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
