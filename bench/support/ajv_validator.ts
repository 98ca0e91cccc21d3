/** Replaces `actors/ingest/schema/schema_validator.ts` in a node for comparison: plain Ajv, which counts no steps. */
import type { CompileSchema } from "../../actors/ingest/schema/schema_validator.ts";
import { loadDriver } from "../../deps.ts";

export * from "../../actors/ingest/schema/schema_validator.ts";

export async function createSchemaCompiler(): Promise<CompileSchema> {
  const { Ajv2020 } = await loadDriver("ajv");
  const formats = await loadDriver("ajv-formats");
  const ajv = new Ajv2020({ strict: false });
  (formats.default as unknown as typeof formats).default(ajv, { mode: "fast" });
  return (schema) => {
    const check = ajv.compile(schema);
    return (event) => (check(event) ? undefined : { path: "", reason: ajv.errorsText(check.errors) });
  };
}
