/** Finds the kind of a configured source or sink: one of its modules, or one of Headrace. */
import { type AnySink, SINKS } from "../../actors/sinks/registry.ts";
import { type AnySource, SOURCES } from "../../actors/sources/registry.ts";
import type { Configuration } from "./configuration_schema.ts";

type Owner = Pick<Configuration, "own">;

export const sourceOf = ({ own }: Owner, type: string): AnySource | undefined =>
  own?.sources.get(type) ?? SOURCES.get(type);

export const sinkOf = ({ own }: Owner, type: string): AnySink | undefined => own?.sinks.get(type) ?? SINKS.get(type);
