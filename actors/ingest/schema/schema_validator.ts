/**
 * Compiles a stream's JSON Schema to a check of one event. No event can hold up the node: a check counts its steps, and
 * an event that takes more steps than its size allows is set aside alone (`run.ts`).
 */
import { loadDriver } from "../../../deps.ts";
import { ConfigurationError, reasonOf } from "../../../protocols/errors.ts";
import type { Event } from "../../../protocols/event.ts";
import { toJsonValue } from "../../../protocols/values/json_values.ts";
import { patternCompiler } from "../../kernel/linear_pattern.ts";
import { type CompiledSchema, compileSchema } from "./compile.ts";
import { readDialect, type SchemaWarning } from "./dialect.ts";
import { isKnownFormat } from "./formats.ts";
import { isAnnotation, isSchemaObject, type JsonSchema } from "./keywords.ts";
import { Run } from "./run.ts";

export type { SchemaWarning } from "./dialect.ts";
export { type JsonSchema, KNOWN_KEYWORDS } from "./keywords.ts";

export interface SchemaFault {
  /** `SCHEMA_VIOLATION` where absent. */
  readonly code?: "SCHEMA_VIOLATION" | "VALIDATION_BUDGET";
  /** JSON Pointer from the event. */
  readonly path: string;
  readonly reason: string;
}

/** The check of an event: answers its first fault, or undefined for a valid event. */
export type SchemaCheck = (event: Event) => SchemaFault | undefined;

const SCHEMA_BYTES_MAX = 262_144;
const DETAIL_CHARACTERS_MAX = 200;

export type CompileSchema = (schema: JsonSchema, name: string) => SchemaCheck;

/** Loads the compiler. The function that it answers throws `ConfigurationError` `INVALID_SCHEMA`. */
export async function createSchemaCompiler(): Promise<CompileSchema> {
  const [pattern, refuseMalformed] = await Promise.all([patternCompiler(), metaSchemaCheck()]);
  return (schema, name) => {
    try {
      refuseUnusable(schema);
      const { schema: current } = readDialect(schema, isKnownFormat);
      refuseMalformed(current);
      return checkOf(compileSchema(current, pattern));
    } catch (error) {
      const reason = refusalOf(error);
      throw new ConfigurationError("INVALID_SCHEMA", `Cannot use the schema of ${name} as it must compile: ${reason}`, {
        cause: error,
      });
    }
  };
}

/** Warnings about parts of a schema that judge no event, although they may be meant to. */
export function warningsOf(schema: JsonSchema): readonly SchemaWarning[] {
  try {
    const { schema: current, warnings } = readDialect(schema, isKnownFormat);
    const isJudging = Object.keys(current).some((keyword) => !isAnnotation(keyword));
    const silent = { path: "", reason: "no keyword judges an event: every map passes" };
    return isJudging ? warnings : [...warnings, silent];
  } catch (error) {
    return [{ path: "", reason: refusalOf(error) }];
  }
}

const refusalOf = (error: unknown): string =>
  error instanceof RangeError ? "it must not nest so deep, nor must its references lead so deep" : reasonOf(error);

function refuseUnusable(schema: JsonSchema): void {
  if (!isSchemaObject(schema))
    throw new Error(`it must be a map of keywords: current value is ${JSON.stringify(schema)}`);
  const sizeBytes = JSON.stringify(toJsonValue(schema)).length;
  if (sizeBytes > SCHEMA_BYTES_MAX) {
    throw new Error(`it must be at most ${SCHEMA_BYTES_MAX} bytes: current value is ${sizeBytes}`);
  }
  if (schema.$async !== undefined) throw new Error("$async must not be used: validation is synchronous");
}

/** Makes a function that checks schemas against the meta-schema of 2020-12. It throws `Error` with the first fault. */
async function metaSchemaCheck(): Promise<(schema: JsonSchema) => void> {
  const { Ajv2020 } = await loadDriver("ajv");
  const ajv = new Ajv2020({ strict: false, validateFormats: false, logger: false });
  return (schema) => {
    if (ajv.validateSchema(withDoubles(schema) as JsonSchema) === true) return;
    const [error] = ajv.errors ?? [];
    throw new Error(`schema is invalid: ${error?.instancePath ?? ""} ${error?.message ?? ""}`);
  };
}

/** A copy with doubles for big integers, which Ajv does not know. */
function withDoubles(value: unknown): unknown {
  if (typeof value === "bigint") return Number(value);
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return value.map(withDoubles);
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, withDoubles(one)]));
}

function checkOf({ check, weight }: CompiledSchema): SchemaCheck {
  const run = new Run();
  return (event) => {
    run.begin(event, weight);
    const isMatch = isPassing(check, event, run);
    run.end();
    if (isMatch && !run.isSpent) return undefined;
    const { path, reason, detail, isSpent } = run;
    const shown = detail === undefined ? "" : `: ${JSON.stringify(detail).slice(0, DETAIL_CHARACTERS_MAX)}`;
    return { code: isSpent ? "VALIDATION_BUDGET" : "SCHEMA_VIOLATION", path, reason: `${reason}${shown}` };
  };
}

function isPassing(check: CompiledSchema["check"], event: Event, run: Run): boolean {
  try {
    return check(event, run);
  } catch (error) {
    // Long chains of references use up the stack before the steps.
    if (!(error instanceof RangeError)) throw error;
    run.scope.length = 0;
    run.evaluated = undefined;
    run.isSpent = true;
    run.path = "";
    run.reason = "validation takes more levels of references than the stack has";
    run.detail = undefined;
    return false;
  }
}
