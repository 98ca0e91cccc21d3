/**
 * The versions of each stream's schema, kept in the log. The schema in a stream's configuration becomes the newest
 * version where it differs from the last and may follow it. Events carry the version that they were validated against.
 */
import { ConfigurationError } from "../../../protocols/errors.ts";
import { exactJson } from "../../../protocols/values/exact_json.ts";
import { parseExactJson } from "../../../protocols/values/parse_json.ts";
import type { CompilePattern } from "../../kernel/linear_pattern.ts";
import type { Log } from "../../log/log.ts";
import { type Compatibility, incompatibilities } from "./schema_compatibility.ts";
import type { CompileSchema, JsonSchema, SchemaCheck } from "./schema_validator.ts";

export interface SchemaVersion {
  readonly version: number;
  readonly schema: JsonSchema;
  readonly check: SchemaCheck;
}

/** Versions that producers may write with, the newest included. Stored events stay readable whatever their version. */
const VERSIONS_USABLE = 10;

/** Limits for schemas that this program stored: too wide to be met. */
const STORED_LIMITS = { tokensMax: Number.MAX_SAFE_INTEGER, depthMax: 1_000 };

const encoder = new TextEncoder();
const decoder = new TextDecoder();

interface StoredSchemas {
  readonly format: 1;
  readonly versions: readonly { readonly version: number; readonly schema: JsonSchema }[];
}

/** Registers a stream's schema; answers its usable versions, ascending. Throws `INCOMPATIBLE_SCHEMA` with all reasons. */
export async function registerSchema(
  log: Log,
  compilers: { readonly compile: CompileSchema; readonly pattern: CompilePattern },
  stream: string,
  schema: JsonSchema,
  compatibility: Compatibility,
): Promise<readonly SchemaVersion[]> {
  const key = `schema/${stream}`;
  for (;;) {
    const stored = await log.readMetadata(key);
    const versions = stored === undefined ? [] : parse(stream, stored.value).versions;
    const newest = versions.at(-1);
    if (newest !== undefined && exactJson(newest.schema) === exactJson(schema)) {
      return usable(versions, compilers.compile, stream);
    }
    const next = [...versions, { version: (newest?.version ?? 0) + 1, schema }];
    // Compiled before the comparison: a schema that is malformed or too large is refused for that reason.
    const compiled = usable(next, compilers.compile, stream);
    const reasons = newest && incompatibilities(newest.schema, schema, compatibility, compilers.pattern);
    refuseIncompatible(stream, reasons ?? [], compatibility);
    const value: StoredSchemas = { format: 1, versions: next };
    const written = await log.writeMetadata(key, encoder.encode(exactJson(value)), stored?.version ?? 0);
    if (written !== undefined) return compiled; // otherwise another node has written first: read again
  }
}

function parse(stream: string, value: Uint8Array): StoredSchemas {
  const stored = parseExactJson(decoder.decode(value), STORED_LIMITS) as { format: number };
  if (stored.format !== 1) {
    throw new ConfigurationError(
      "FORMAT_TOO_NEW",
      `Cannot read the schemas of ${stream} as their format must be at most 1: current value is ${stored.format}`,
    );
  }
  return stored as StoredSchemas;
}

function refuseIncompatible(stream: string, reasons: readonly string[], mode: Compatibility): void {
  if (reasons.length === 0) return;
  throw new ConfigurationError(
    "INCOMPATIBLE_SCHEMA",
    `Cannot change the schema of ${stream} as it must stay ${mode} compatible: ${reasons.join("; ")}. With 'compatibility: none' it is taken as it is`,
  );
}

const usable = (
  versions: StoredSchemas["versions"],
  compile: CompileSchema,
  stream: string,
): readonly SchemaVersion[] =>
  versions
    .slice(-VERSIONS_USABLE)
    .map(({ version, schema }) => ({ version, schema, check: compile(schema, `${stream} version ${version}`) }));
