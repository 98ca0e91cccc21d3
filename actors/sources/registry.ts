import { fileSource } from "./file/file_source.ts";
import { hostMetricsSource } from "./host_metrics_source.ts";
import { redisGroupSource } from "./redis/redis_group_source.ts";
import { redisSource } from "./redis/redis_source.ts";
import type { NamedItem, SourceDefinition } from "./source.ts";

/** A source whose options were validated against its `optionsSchema` before it is opened. */
export type AnySource = SourceDefinition<never> | SourceDefinition<never, NamedItem>;

const all: readonly AnySource[] = [fileSource, hostMetricsSource, redisSource, redisGroupSource];

/** Every kind of source, by its `type` in the configuration. */
export const SOURCES: ReadonlyMap<string, AnySource> = new Map(all.map((one) => [one.type, one]));
