import { test } from "uvu";
import * as assert from "uvu/assert";
import { registerSchema } from "../../../../actors/ingest/schema/schema_registry.ts";
import { createSchemaCompiler, type JsonSchema } from "../../../../actors/ingest/schema/schema_validator.ts";
import { patternCompiler } from "../../../../actors/kernel/linear_pattern.ts";
import type { Log } from "../../../../actors/log/log.ts";

const [compile, pattern] = await Promise.all([createSchemaCompiler(), patternCompiler()]);

/** A log that holds what was written to its metadata, and nothing else. */
function metadataLog(): Log {
  let stored: { value: Uint8Array; version: number } | undefined;
  const log = {
    readMetadata: async () => stored,
    writeMetadata: async (_key: string, value: Uint8Array, version: number) => {
      stored = { value, version: version + 1 };
      return stored.version;
    },
  };
  return log as unknown as Log;
}

const register = (log: Log, schema: JsonSchema) => registerSchema(log, { compile, pattern }, "s", schema, "backward");

async function refusalOf(registered: Promise<unknown>): Promise<string> {
  try {
    await registered;
    return "";
  } catch (error) {
    return (error as Error).message;
  }
}

test("a schema that may follow is the next version, the same one is the same, and another is refused", async () => {
  const log = metadataLog();
  const old = { properties: { size: { type: "integer", exclusiveMaximum: 10 } } };
  const versions = async (schema: JsonSchema) => (await register(log, schema)).map(({ version }) => version);
  assert.equal(await versions(old), [1]);
  assert.equal(await versions(old), [1]);
  const wider = { properties: { size: { type: "integer", maximum: 9 } } };
  assert.equal(await versions(wider), [1, 2]);
  const narrower = { properties: { size: { type: "integer", maximum: 8 } } };
  assert.match(await refusalOf(register(log, narrower)), /^Cannot change the schema of s .*\/size: maximum became 8/);
  assert.equal(await versions(wider), [1, 2]);
});

test("a schema that cannot be compiled is refused for that reason, before any comparison", async () => {
  const log = metadataLog();
  await register(log, { type: "object" });
  const properties = Object.fromEntries(Array.from({ length: 100_000 }, (_, at) => [`p${at}`, { type: "string" }]));
  assert.match(await refusalOf(register(log, { properties })), /must be at most 262144 bytes/);
  const leading = Array.from({ length: 7_000 }, (_, at) => [`d${at}`, { $ref: `#/$defs/d${at + 1}` }]);
  const chain = { $defs: { ...Object.fromEntries(leading), d7000: {} }, $ref: "#/$defs/d0" };
  assert.match(await refusalOf(register(log, chain)), /nor must its references lead so deep/);
  assert.match(await refusalOf(register(log, { $ref: "#/$defs/gone" })), /can't resolve reference/);
});

test.run();
