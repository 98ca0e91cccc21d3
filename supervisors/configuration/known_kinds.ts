import { SINKS } from "../../actors/sinks/registry.ts";
import { SOURCES } from "../../actors/sources/registry.ts";
import type { KnownKinds } from "./configuration.ts";
import { loadKind } from "./kind_modules.ts";

const schemas = (definitions: ReadonlyMap<string, { readonly optionsSchema: Readonly<Record<string, unknown>> }>) =>
  new Map([...definitions].map(([type, { optionsSchema }]) => [type, optionsSchema]));

/** The kinds of sources and sinks of this build, and the way to load others, for checking a configuration. */
export const KNOWN_KINDS: KnownKinds = { sources: schemas(SOURCES), sinks: schemas(SINKS), load: loadKind };
