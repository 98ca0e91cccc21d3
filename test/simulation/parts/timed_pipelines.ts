/**
 * Pipelines of the product's own steps whose timers follow event times: one counts records in windows, the other joins the
 * records of a partition with those of the next one. That one is read as a second stream, from whichever node owns it.
 */
import { compilePipeline, type Pipeline } from "../../../actors/pipeline/pipeline.ts";
import type { TimeSettings } from "../../../actors/pipeline/watermark.ts";
import type { PartitionId } from "../../../protocols/position.ts";
import { FurtherInputs } from "../../../supervisors/node/further_inputs.ts";
import type { NodeDirectory } from "../../../supervisors/node/stream_directory.ts";
import { STREAM } from "./simulated_store.ts";

export type TimedKind = "count" | "join";

export const WINDOW_MS = 200;
export const WITHIN_MS = 100;
/** The name under which a join reads the next partition. */
const NEIGHBOURS = "neighbours";

export interface TimedPipeline {
  readonly kind: TimedKind;
  readonly pipeline: Pipeline;
  readonly time: TimeSettings;
}

const TIME: TimeSettings = { outOfOrderMs: 0, skewMs: 60_000, idleAfterMs: 300 };

export async function timedPipelines(): Promise<Readonly<Record<TimedKind, TimedPipeline>>> {
  const count = { count: { by: "event.kind", every: WINDOW_MS } };
  const join = { join: { on: { [STREAM]: "event.kind", [NEIGHBOURS]: "event.kind" }, within: WITHIN_MS } };
  return {
    count: { kind: "count", pipeline: await compilePipeline("windows", [count], "."), time: TIME },
    join: { kind: "join", pipeline: await compilePipeline("pairs", [join], "."), time: TIME },
  };
}

/** The partition whose records a join reads beside those of `partition`. */
export const neighbourOf = (partition: number, partitions: number): number => (partition + 1) % partitions;

/** The second input of a join in `partition`; none for a count. */
export function furtherInputs(
  { kind, pipeline }: TimedPipeline,
  partition: PartitionId,
  partitions: number,
  directory: NodeDirectory,
): FurtherInputs {
  const streams =
    kind === "count" ? [] : [{ stream: NEIGHBOURS, timeOf: (_event: unknown, appendedAtMs: number) => appendedAtMs }];
  return new FurtherInputs(streams, partition, `pipeline/${pipeline.name}`, {
    partition: (_stream, of) => directory.partition(STREAM, neighbourOf(of, partitions)),
  });
}
