import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { checkConfiguration } from "../../../supervisors/configuration/configuration.ts";
import { sinkOf, sourceOf } from "../../../supervisors/configuration/kinds.ts";
import { KNOWN_KINDS } from "../../../supervisors/configuration/known_kinds.ts";
import { eventually, runningNode } from "../../support/processes/running_node.ts";

const SOURCE = `{
  type: "counter",
  optionsSchema: {
    type: "object",
    required: ["to"],
    properties: { to: { type: "integer", minimum: 1 } },
    additionalProperties: false,
  },
  async open({ to }, context, resume) {
    return {
      async *read(signal) {
        for (let n = resume?.next ?? 0; n < to && !signal.aborted; n += 1) {
          yield {
            items: [{ item: { kind: "event", event: { n }, headers: { by: context.name } }, term: 1, position: n }],
            resume: { next: n + 1 },
          };
        }
        if (!signal.aborted) await new Promise((resolve) => signal.addEventListener("abort", resolve));
      },
      close: async () => {},
    };
  },
}`;

const SINK = `{
  type: "keeper",
  delivery: "at_least_once",
  optionsSchema: { type: "object", properties: { as: { type: "string" } }, additionalProperties: false },
  async open({ as }) {
    let last;
    return {
      position: async () => last,
      write: async ({ records, end }) => {
        (globalThis[as] ??= []).push(...records.map(({ event }) => event));
        last = end;
        return { kind: "taken", count: records.length };
      },
      close: async () => {},
    };
  },
}`;

const FILES: Readonly<Record<string, string>> = {
  "kinds.ts": `const counter: object = ${SOURCE};\nexport default counter;\nexport const keeper = ${SINK};\nexport const wrong = { type: "x", open: 5, optionsSchema: {} };\nexport const text = "no kind";\nexport const loose = { ...${SINK}, optionsSchema: { type: "object" } };\nexport const taken = { ...${SINK}, optionsSchema: { type: "object", properties: { start: {} }, additionalProperties: false } };\nexport const odd = { ...${SINK}, optionsSchema: { type: "no type", additionalProperties: false } };\n`,
  "broken.ts": `throw new Error("it does not even load");\n`,
  "node_modules/counting/package.json": `{ "name": "counting", "type": "module", "exports": { ".": { "types": "./index.d.ts", "import": "./main.js" } } }`,
  "node_modules/counting/main.js": `export default ${SOURCE};\nexport const keeper = ${SINK};\n`,
  "node_modules/@team/old/package.json": `{ "name": "@team/old", "type": "module", "main": "lib/old.js" }`,
  "node_modules/@team/old/lib/old.js": `export default ${SOURCE};\n`,
};

const folder = await mkdtemp(join(tmpdir(), "headrace-kinds-"));
for (const [name, text] of Object.entries(FILES)) {
  await mkdir(dirname(join(folder, name)), { recursive: true });
  await writeFile(join(folder, name), text);
}

const check = (source: string, sink = "{ type: stdout }") =>
  checkConfiguration(
    `streams: { lines: {} }\nsources: { in: ${source} }\nsinks: { out: ${sink} }\n`,
    folder,
    KNOWN_KINDS,
  );

async function reasonOf(source: string, sink?: string): Promise<string> {
  const loaded = await check(source, sink);
  return loaded.kind === "refused" ? loaded.problems.map(({ path, reason }) => `${path}: ${reason}`).join("\n") : "";
}

const FINE = "{ type: ./kinds.ts, stream: lines, to: 3 }";

test("a module, a named export of it, and packages with and without exports give kinds", async () => {
  for (const type of ["./kinds.ts", "./kinds.ts#default", join(folder, "kinds.ts"), "counting", "'@team/old'"]) {
    const loaded = await check(`{ type: ${type}, stream: lines, to: 3 }`, "{ type: counting#keeper, as: a }");
    assert.is(loaded.kind, "loaded", `${type}: ${JSON.stringify(loaded)}`);
    if (loaded.kind !== "loaded") continue;
    const { configuration } = loaded;
    assert.is(sourceOf(configuration, configuration.sources.in?.type ?? "")?.type, "counter");
    assert.is(sinkOf(configuration, configuration.sinks.out?.type ?? "")?.type, "keeper");
  }
});

test("options are held against the schema of the kind's own, with the nearest key for an unknown one", async () => {
  assert.match(await reasonOf("{ type: ./kinds.ts, stream: lines }"), /\/sources\/in: .*required property 'to'/);
  assert.match(await reasonOf("{ type: ./kinds.ts, stream: lines, to: 0 }"), /\/sources\/in\/to: must be >= 1/);
  assert.match(await reasonOf(FINE, "{ type: ./kinds.ts#keeper, ass: x }"), /unknown key ass: did you mean as\?/);
});

test("what is no kind is refused with each property at fault", async () => {
  assert.match(
    await reasonOf("{ type: ./kinds.ts#wrong, stream: lines }"),
    /\/sources\/in\/type: .*open must be a function: current value is 5/,
  );
  const asSink = await reasonOf(FINE, "{ type: ./kinds.ts#wrong }");
  assert.match(
    asSink,
    /delivery must be one of transactional, idempotent, at_least_once: it is missing; .*open must be/,
  );
  assert.match(
    await reasonOf("{ type: ./kinds.ts#text, stream: lines }"),
    /must be an object: current value is "no kind"/,
  );
  assert.match(
    await reasonOf(FINE, "{ type: ./kinds.ts#loose }"),
    /must refuse unknown keys: additionalProperties: false/,
  );
  assert.match(await reasonOf(FINE, "{ type: ./kinds.ts#taken }"), /must not have the property start/);
  assert.match(await reasonOf(FINE, "{ type: ./kinds.ts#odd }"), /must be a JSON Schema of draft 2020-12/);
});

test("a module that is absent, fails to load or lacks the export is told with its name", async () => {
  assert.match(await reasonOf("{ type: ./absent.ts, stream: lines }"), /cannot load \.\/absent\.ts: .*absent\.ts/);
  assert.match(
    await reasonOf("{ type: ./broken.ts, stream: lines }"),
    /cannot load \.\/broken\.ts: it does not even load/,
  );
  assert.match(await reasonOf("{ type: './kinds.ts#none', stream: lines }"), /\.\/kinds\.ts must export none/);
  assert.match(await reasonOf("{ type: 'absent#x', stream: lines }"), /no package absent is installed/);
  assert.match(await reasonOf("{ type: '@team/absent', stream: lines }"), /no package @team\/absent is installed/);
});

test("a misspelled kind of Headrace still gets the nearest known name", async () => {
  assert.match(await reasonOf("{ type: fil, stream: lines }"), /unknown type of source fil: did you mean file\?/);
  assert.match(await reasonOf(FINE, "{ type: stdot }"), /unknown type of sink stdot: did you mean stdout\?/);
});

test("a node runs a source and a sink of a user's module", async () => {
  const node = await runningNode(
    `
log: { type: memory }
streams: { lines: { partitions: 2, durability: memory } }
sources: { in: { type: ./kinds.ts, stream: lines, to: 20, headers: about } }
pipelines: { all: { from: lines, to: [out] } }
sinks: { out: { type: "./kinds.ts#keeper", as: keptByKeeper } }
`,
    { folder },
  );
  try {
    const kept = () => (globalThis as { keptByKeeper?: readonly { n: number; about: object }[] }).keptByKeeper ?? [];
    await eventually(() => (kept().length >= 20 ? true : undefined));
    const sorted = [...kept()].sort((left, right) => left.n - right.n);
    assert.equal(
      sorted,
      Array.from({ length: 20 }, (_, n) => ({ n, about: { by: "in" } })),
    );
  } finally {
    await node.end();
  }
});

test.after(() => rm(folder, { recursive: true }));

test.run();
