/**
 * Compiles a stream's JSON Schema (draft 2020-12) to a check of one event. Users' patterns run on RE2, linear in the
 * input; keywords whose cost is not linear must be bounded by the schema itself, so that no schema can hang the node.
 */
import type { RegExpEngine } from "ajv/dist/types/index.js";
import { loadDriver } from "../../deps.ts";
import { ConfigurationError } from "../../protocols/errors.ts";
import type { Event } from "../../protocols/event.ts";

export type JsonSchema = { readonly [keyword: string]: unknown };

/** What is wrong with an event, or undefined. */
export type SchemaCheck = (event: Event) => { readonly path: string; readonly reason: string } | undefined;

/** `uniqueItems` compares each item with each other: more items than this stall the event loop. */
const UNIQUE_ITEMS_MAX = 1_000;
const SCHEMA_BYTES_MAX = 262_144;

export type CompileSchema = (schema: JsonSchema, name: string) => SchemaCheck;

/** Loads the compiler. The function that it answers throws `ConfigurationError` `INVALID_SCHEMA`. */
export async function createSchemaCompiler(): Promise<CompileSchema> {
  const [{ Ajv2020 }, formats, { RE2JS }] = await Promise.all([
    loadDriver("ajv"),
    loadDriver("ajv-formats"),
    loadDriver("re2js"),
  ]);
  // CommonJS: the namespace's default is the module, whose own default is the plugin.
  const addFormats = (formats.default as unknown as typeof formats).default;
  const regExp: RegExpEngine = Object.assign((pattern: string) => RE2JS.compile(pattern), { code: "re2" });
  return (schema, name) => {
    refuseCostly(schema, name);
    try {
      const ajv = new Ajv2020({
        strict: true,
        strictTypes: false,
        strictRequired: false,
        code: { regExp },
        logger: false,
      });
      addFormats(ajv, { mode: "fast" });
      const validate = ajv.compile(schema);
      return (event) => {
        if (validate(event)) return undefined;
        const error = validate.errors?.[0];
        return { path: error?.instancePath ?? "", reason: describe(error) };
      };
    } catch (error) {
      throw invalid(name, error instanceof Error ? error.message : String(error), error);
    }
  };
}

function describe(error: { readonly message?: string; readonly params?: unknown } | undefined): string {
  const params = (error?.params ?? {}) as Record<string, unknown>;
  const detail = params.allowedValues ?? params.additionalProperty ?? params.pattern;
  const message = error?.message ?? "does not match the schema";
  return detail === undefined ? message : `${message}: ${JSON.stringify(detail).slice(0, 200)}`;
}

function refuseCostly(schema: JsonSchema, name: string): void {
  const sizeBytes = JSON.stringify(schema).length;
  if (sizeBytes > SCHEMA_BYTES_MAX) {
    throw invalid(name, `it must be at most ${SCHEMA_BYTES_MAX} bytes: current value is ${sizeBytes}`);
  }
  visit(schema, (node) => {
    const itemsMax = node.maxItems;
    if (node.uniqueItems === true && !(typeof itemsMax === "number" && itemsMax <= UNIQUE_ITEMS_MAX)) {
      throw invalid(
        name,
        `uniqueItems must come with maxItems of at most ${UNIQUE_ITEMS_MAX}: current value is ${itemsMax}`,
      );
    }
    if (node.$async !== undefined) throw invalid(name, "$async must not be used: validation is synchronous");
  });
}

function visit(value: unknown, look: (node: Readonly<Record<string, unknown>>) => void): void {
  if (typeof value !== "object" || value === null) return;
  if (!Array.isArray(value)) look(value as Record<string, unknown>);
  for (const child of Object.values(value)) visit(child, look);
}

const invalid = (name: string, reason: string, cause?: unknown): ConfigurationError =>
  new ConfigurationError("INVALID_SCHEMA", `Cannot use the schema of ${name} as it must compile: ${reason}`, { cause });
