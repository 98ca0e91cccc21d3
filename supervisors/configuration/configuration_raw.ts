/** A configuration as written: checked against its schema, and without defaults. */
import type { Options } from "./configuration_schema.ts";

export type Raw = {
  readonly [Section in "node" | "log" | "limits" | "security" | "cluster"]?: Options;
} & {
  readonly streams?: Readonly<Record<string, Options>>;
  readonly sources?: Readonly<Record<string, Options>>;
  readonly pipelines?: Readonly<Record<string, { from: string; steps?: Options[]; to: string[] }>>;
  readonly sinks?: Readonly<Record<string, Options>>;
};

/** Keys that all kinds of sources have. The others are the kind's own options. */
export const COMMON_SOURCE_KEYS = ["type", "stream"];
export const COMMON_SINK_KEYS = ["type", "start", "batch"];

/** The options without these keys. */
export const without = (options: Options, keys: readonly string[]): Options =>
  Object.fromEntries(Object.entries(options).filter(([key]) => !keys.includes(key)));

/** The kinds of sources and sinks that exist, each with the schema of its options. */
export interface KnownKinds {
  readonly sources: ReadonlyMap<string, Options>;
  readonly sinks: ReadonlyMap<string, Options>;
}

/** Name of the audit stream; undefined without an audit. */
export const auditStreamName = (section: Options | undefined): string | undefined => {
  const audit = section?.audit as { readonly stream?: string } | undefined;
  return audit === undefined ? undefined : (audit.stream ?? "audit");
};
