/**
 * The limits of one delivery: the bounds of its batches by the configuration, else by the sink, else the house's. Pure.
 */
import { ConfigurationError } from "../../../protocols/errors.ts";
import type { PartitionReference } from "../../../protocols/position.ts";
import type { SinkBatchLimits, SinkDefinition } from "../sink.ts";
import { DELIVERY_LIMITS, type DeliveryLimits } from "./delivery_messages.ts";

/** The least and the most that a sink or a configuration may ask for. */
export const BATCH_BOUNDS: Readonly<Record<keyof SinkBatchLimits, { readonly min: number; readonly max: number }>> = {
  recordsMax: { min: 1, max: 100_000 },
  bytesMax: { min: 1, max: 64 * 1024 * 1024 },
  lingerMs: { min: 0, max: 600_000 },
  gatherMs: { min: 0, max: 10_000 },
};

const NAMES = ["recordsMax", "bytesMax", "lingerMs", "gatherMs"] as const;

/** Throws `ConfigurationError` for a bound that is no whole number, or lies beyond `BATCH_BOUNDS`. */
export function batchLimits<Options>(
  sink: Pick<SinkDefinition<Options>, "batch">,
  options: Options,
  configured: Partial<SinkBatchLimits> = {},
): SinkBatchLimits {
  const given = { ...sink.batch?.(options), ...configured };
  for (const name of NAMES) checkBound(name, given[name]);
  const { recordsMax, bytesMax, lingerMs, gatherMs } = DELIVERY_LIMITS;
  return { recordsMax, bytesMax, lingerMs, gatherMs, ...given };
}

function checkBound(name: keyof SinkBatchLimits, value: number | undefined): void {
  const { min, max } = BATCH_BOUNDS[name];
  if (value === undefined || (Number.isInteger(value) && value >= min && value <= max)) return;
  throw new ConfigurationError(
    "INVALID_CONFIGURATION",
    `Cannot gather batches as 'batch.${name}' must be a whole number from ${min} to ${max}: current value is ${value}`,
  );
}

export function deliveryLimits<Options>(
  sink: Pick<SinkDefinition<Options>, "batch" | "recordsPerRequest" | "targetOf">,
  options: Options,
  configured: Partial<SinkBatchLimits> = {},
  partition?: PartitionReference,
): DeliveryLimits {
  const batch = batchLimits(sink, options, configured);
  const isNamed = configured.bytesMax !== undefined || sink.batch?.(options).bytesMax !== undefined;
  // The house's own bound of 4 MiB is a ceiling, which few batches reach. A bound that was named is one to be filled,
  // while the batch before is written.
  const readAheadBytesMax = Math.max(DELIVERY_LIMITS.readAheadBytesMax, isNamed ? 2 * batch.bytesMax : 0);
  const limits = { ...DELIVERY_LIMITS, ...batch, readAheadBytesMax };
  const recordsPerRequest = sink.recordsPerRequest?.(options);
  const targetOf = sink.targetOf?.(options);
  if (targetOf === undefined || partition === undefined) return { ...limits, recordsPerRequest };
  return { ...limits, recordsPerRequest, targetOf: (record) => targetOf(record, partition) };
}
