/** A configuration as written: checked against its schema, and without defaults. */
import type { DeliveryTarget } from "../../actors/sinks/delivery/delivery_names.ts";
import type { Options } from "./configuration_schema.ts";

export type Raw = {
  readonly [Section in "node" | "log" | "limits" | "security" | "cluster"]?: Options;
} & {
  readonly streams?: Readonly<Record<string, Options>>;
  readonly sources?: Readonly<Record<string, Options>>;
  readonly pipelines?: Readonly<
    Record<string, { from: string | string[]; steps?: Options[]; time?: Options } & Targets<RawTarget>>
  >;
  readonly sinks?: Readonly<Record<string, Options>>;
};

/** An entry of a pipeline's `to`, or of one of its `outputs`. */
type RawTarget = string | DeliveryTarget;

/** The sinks of a pipeline. */
interface Targets<Target> {
  readonly to: readonly Target[];
  readonly outputs?: Readonly<Record<string, readonly Target[]>>;
}

export const targetOf = (entry: RawTarget): DeliveryTarget => (typeof entry === "string" ? { sink: entry } : entry);

/** All entries of a pipeline that lead to sinks, each with its place in the pipeline. */
export const targetsOf = ({
  to,
  outputs = {},
}: Targets<RawTarget>): readonly {
  readonly place: readonly (string | number)[];
  readonly target: DeliveryTarget;
}[] => [
  ...to.map((entry, index) => ({ place: ["to", index], target: targetOf(entry) })),
  ...Object.entries(outputs).flatMap(([output, entries]) =>
    entries.map((entry, index) => ({ place: ["outputs", output, index], target: targetOf(entry) })),
  ),
];

/** The streams that a pipeline reads. */
export const streamsOf = (from: string | readonly string[]): readonly string[] =>
  typeof from === "string" ? [from] : from;

/** Keys that all kinds of sources have. The others are the kind's own options. */
export const COMMON_SOURCE_KEYS = ["type", "stream", "headers", "time"];
export const COMMON_SINK_KEYS = ["type", "start", "batch"];

/** The options without these keys. */
export const without = (options: Options, keys: readonly string[]): Options =>
  Object.fromEntries(Object.entries(options).filter(([key]) => !keys.includes(key)));

/** The kinds of sources and sinks that exist, each with the schema of its options. */
export interface KnownKinds {
  readonly sources: ReadonlyMap<string, Options>;
  readonly sinks: ReadonlyMap<string, Options>;
  /** Loads a kind that is not known, from a module or a package. Absent: there are no others. */
  load?(section: "sources" | "sinks", type: string, folder: string): Promise<LoadedKind>;
}

export type LoadedKind =
  | { readonly kind: "loaded"; readonly definition: unknown; readonly optionsSchema: Options }
  | { readonly kind: "unknown" }
  | { readonly kind: "refused"; readonly reason: string };

/** Name of the audit stream; undefined without an audit. */
export const auditStreamName = (section: Options | undefined): string | undefined => {
  const audit = section?.audit as { readonly stream?: string } | undefined;
  return audit === undefined ? undefined : (audit.stream ?? "audit");
};
