import { fileSource } from "./file/file_source.ts";
import { hostMetricsSource } from "./host_metrics_source.ts";
import type { SourceDefinition } from "./source.ts";

const all: readonly SourceDefinition<never>[] = [
  fileSource as SourceDefinition<never>,
  hostMetricsSource as SourceDefinition<never>,
];

/** Every kind of source, by its `type` in the configuration. */
export const SOURCES: ReadonlyMap<string, SourceDefinition<never>> = new Map(all.map((one) => [one.type, one]));
