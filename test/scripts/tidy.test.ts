import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { checkCitations } from "../../scripts/tidy/citation_checks.ts";
import { checkContents, reportSizes } from "../../scripts/tidy/content_checks.ts";
import { checkCycles, checkImports } from "../../scripts/tidy/import_checks.ts";
import { checkModels } from "../../scripts/tidy/model_checks.ts";
import { checkPages } from "../../scripts/tidy/page_checks.ts";
import { importsOf, mask } from "../../scripts/tidy/source_text.ts";
import { readPages, readTree } from "../../scripts/tidy/tree.ts";

function withTree<Result>(files: Record<string, string>, use: (root: string) => Result): Result {
  const root = mkdtempSync(join(tmpdir(), "tidy-"));
  try {
    for (const [path, text] of Object.entries(files)) {
      mkdirSync(dirname(join(root, path)), { recursive: true });
      writeFileSync(join(root, path), text);
    }
    return use(root);
  } finally {
    rmSync(root, { recursive: true });
  }
}

/** The faults of a tree, as "path:line". */
const faultsOf = (files: Record<string, string>): string[] =>
  withTree(files, (root) => {
    const tree = readTree(root);
    const faults = [...checkImports(tree), ...checkCycles(tree), ...checkContents(tree)];
    return faults.map(({ path, line }) => (line === undefined ? path : `${path}:${line}`));
  });

test("imports are found in every form, and not in comments, strings, templates or patterns", () => {
  const text = [
    'import a, { type B } from "a";',
    'import type { C } from "./c.ts";',
    'export * from "./d.ts";',
    "import {",
    "  e,",
    "} from './e.ts';",
    'import "./f.ts";',
    'const g = await import("./g.ts");',
    'type H = typeof import("h");',
    '// import "no1";',
    '/* import "no2"; */',
    "const s = 'import \"no3\"';",
    'const t = `import "no4"; $' + '{"x"} import "no5";`;',
    'const p = /["\'`]/.test(s) ? 1 : 2; // import "no6";',
    'export type { I } from "./i.ts";',
    'const quotient = a / 2; import "./j.ts"; const more = 1 / 2;',
  ].join("\n");
  assert.equal(
    [...importsOf(text)]
      .sort((one, other) => one.line - other.line)
      .map(({ specifier, isTypeOnly, line }) => `${line} ${specifier}${isTypeOnly ? " type" : ""}`),
    ["1 a", "2 ./c.ts type", "3 ./d.ts", "4 ./e.ts", "7 ./f.ts", "8 ./g.ts", "9 h type", "15 ./i.ts type", "16 ./j.ts"],
  );
});

test("masking keeps every line and column in place", () => {
  const text = "const a = `x $" + '{f({ b: "}" })} y`; // end\nconst c = "/*"; const d = 1; /* e\n f */ g();';
  const { code, withStrings } = mask(text);
  assert.is(code.length, text.length);
  assert.is(withStrings.length, text.length);
  assert.is(code.indexOf("const d"), text.indexOf("const d"));
  assert.is(code.indexOf("g()"), text.indexOf("g()"));
  assert.is(code.indexOf("end"), -1);
});

test("a clean tree has no faults", () => {
  assert.equal(
    faultsOf({
      "deps.ts": 'export { x } from "msgpackr";\n',
      "protocols/a.ts": 'import { x } from "../deps.ts";\nexport const a = x;\n',
      "models/m.ts": 'import { a } from "../protocols/a.ts";\nexport const m = a;\n',
      "actors/log/log.ts": "export interface Log {}\n",
      "actors/kernel/k.ts": 'import type { Ref } from "nact";\nexport type K = Ref<never>;\n',
      "actors/sinks/s.ts":
        'import type { Log } from "../log/log.ts";\nimport { readFileSync } from "node:fs";\nimport type { K } from "../kernel/k.ts";\n',
      "supervisors/configuration/environment.ts": "export const home = process.env.HOME;\n",
      "test/a.test.ts": 'import { test } from "uvu";\ntest.run();\n',
    }),
    [],
  );
});

test("imports that point right are faults, type-only ones included", () => {
  const actor = { "actors/log/log.ts": "export type A = 1;\n", "test/t.ts": "export type T = 1;\n" };
  assert.equal(faultsOf({ ...actor, "protocols/p.ts": 'import type { A } from "../actors/log/log.ts";\n' }), [
    "protocols/p.ts:1",
  ]);
  assert.equal(faultsOf({ ...actor, "scripts/s.ts": '\nimport type { T } from "../test/t.ts";\n' }), [
    "scripts/s.ts:2",
  ]);
  assert.equal(faultsOf({ ...actor, "dashboard/d.ts": 'import type { A } from "../actors/log/log.ts";\n' }), [
    "dashboard/d.ts:1",
  ]);
});

test("a station may import another's contract and nothing else of it", () => {
  const files = { "actors/log/log.ts": "export {};\n", "actors/log/embedded/lmdb_log.ts": "export {};\n" };
  const imports = 'import "../log/log.ts";\nimport "../log/embedded/lmdb_log.ts";\n';
  assert.equal(faultsOf({ ...files, "actors/sinks/a.ts": imports }), ["actors/sinks/a.ts:2"]);
});

/** The faults of citations, as "path:line", of a source whose room has a test and a page beside it. */
const citationFaults = (files: Record<string, string>): string[] =>
  withTree(files, (root) => checkCitations(readTree(root), readPages(root)).map(({ path, line }) => `${path}:${line}`));
const MACHINE = "/**\n * Decides.\n *   D1. One.\n *   D2. Two.\n */\n";
const TESTED = { "test/actors/sinks/a.test.ts": '// sink D1 and D2\ntest("a");\n' };

test("a rule is cited by its number in its room, and elsewhere after the name of its part", () => {
  const files = { "actors/sinks/sink_machine.ts": MACHINE, ...TESTED };
  assert.equal(
    citationFaults({ ...files, "actors/sinks/a.ts": "/** D1. */\n", "actors/b.ts": "/** sink D2 */\n" }),
    [],
  );
  assert.equal(citationFaults({ ...files, "actors/b.ts": "/** D2 */\n", "docs/a.md": "\nsink D3\n" }), [
    "actors/b.ts:1",
    "docs/a.md:2",
  ]);
});

test("a rule that no test cites, one that is defined twice, and a rule of the system without its page are faults", () => {
  const suite = { "supervisors/conformance/a.ts": '// sink D1\ntest("sink D2");\n' };
  assert.equal(citationFaults({ "actors/sinks/sink_machine.ts": MACHINE, ...suite }), []);
  assert.equal(citationFaults({ "actors/sinks/sink_machine.ts": MACHINE }), [
    "actors/sinks/sink_machine.ts:3",
    "actors/sinks/sink_machine.ts:4",
  ]);
  const twice = MACHINE.replace("D2", "D1");
  assert.equal(citationFaults({ "actors/sinks/sink_machine.ts": twice, ...TESTED }), [
    "test/actors/sinks/a.test.ts:1", // it cites the rule that has lost its number
    "actors/sinks/sink_machine.ts:4",
  ]);
  const namesake = { "actors/sinks/sink_machine.ts": MACHINE, "actors/log/sink_state.ts": MACHINE };
  const again = citationFaults({ ...namesake, ...TESTED });
  for (const line of [3, 4]) assert.ok(again.includes(`actors/sinks/sink_machine.ts:${line}`), "it has a namesake");
  const cites = { "actors/a.ts": "/** E7, E8 */\n" };
  assert.equal(citationFaults({ ...cites, "docs/exactly_once.md": "# Rules\n\n## E7 Epochs\n" }), ["actors/a.ts:1"]);
});

test("a link in a page leads to a file, and its anchor to a heading", () => {
  const page = [
    "# The way",
    "[a](b.md#two-words)",
    "[b](b.md#three)",
    "[c](../gone.ts)",
    "`[d](no)` [e](https://a.b)",
  ].join("\n");
  withTree({ "docs/a.md": page, "docs/b.md": "## Two words\n" }, (root) =>
    assert.equal(
      checkPages(root, readPages(root)).map(({ line }) => line),
      [3, 4],
    ),
  );
});

test("cycles are faults, through types too", () => {
  const cycle = {
    "protocols/a.ts": 'import type { B } from "./b.ts";\n',
    "protocols/b.ts": 'import { a } from "./a.ts";\n',
  };
  assert.is(faultsOf(cycle).length, 1);
});

test("packages are named in deps.ts alone, but for types", () => {
  assert.equal(faultsOf({ "actors/log/a.ts": 'import { x } from "redis";\nimport type { Y } from "redis";\n' }), [
    "actors/log/a.ts:1",
  ]);
});

test("nact is known to the kernel alone, in types and as a driver", () => {
  assert.equal(faultsOf({ "actors/log/a.ts": 'import type { Ref } from "nact";\nawait loadDriver("nact");\n' }), [
    "actors/log/a.ts:1",
    "actors/log/a.ts:2",
  ]);
});

test("a model's driver is known to the enrichment alone, and a neutral folder loads none", () => {
  const load = (name: string) => `export const one = loadDriver("${name}");\n`;
  assert.equal(faultsOf({ "actors/enrichment/a.ts": load("onnxruntime"), "actors/log/b.ts": load("redis") }), []);
  assert.equal(faultsOf({ "actors/log/a.ts": load("onnxruntime") }), ["actors/log/a.ts:1"]);
  assert.equal(faultsOf({ "models/one/card.ts": load("redis") }), ["models/one/card.ts:1"]);
});

test("a model's folder holds its card, its artifact, its definition and its training", () => {
  const model = { "models/one/card.ts": "", "models/one/model.onnx": "", "models/one/train.py": "", "models/a.ts": "" };
  const found = (files: Record<string, string>) => withTree(files, (root) => checkModels(root));
  assert.equal(found({ ...model, "models/one/one_model.ts": "" }), []);
  assert.equal(
    found({ ...model, "models/two/model.onnx": "" }).map(({ path, message }) => [
      path,
      /hold (\S+):/.exec(message)?.[1],
    ]),
    [
      ["models/one", "one_model.ts"],
      ["models/two", "card.ts"],
      ["models/two", "train.py"],
      ["models/two", "two_model.ts"],
    ],
  );
  assert.equal(found({ "actors/a.ts": "" }), []);
});

test("protocols use no runtime's own names", () => {
  const files = {
    "protocols/a.ts":
      'import "node:fs";\nprocess.exit();\nconst b = Buffer.from("");\nconst c = "process.exit";\nx.process.go();\n',
  };
  assert.equal(faultsOf(files).sort(), ["protocols/a.ts:1", "protocols/a.ts:2", "protocols/a.ts:3"]);
});

test("the environment is read in one file", () => {
  assert.equal(faultsOf({ "actors/log/a.ts": "const a = process.env.HOME;\nconst b = Deno.env.get('HOME');\n" }), [
    "actors/log/a.ts:1",
    "actors/log/a.ts:2",
  ]);
});

test("names that say nothing and default exports are faults", () => {
  assert.equal(faultsOf({ "actors/log/log_utils.ts": "export {};\n" }), ["actors/log/log_utils.ts"]);
  assert.equal(faultsOf({ "actors/log/a.ts": "export default 1;\n" }), ["actors/log/a.ts:1"]);
});

test("a test that never runs is a fault, also where a comment says that it runs", () => {
  assert.equal(faultsOf({ "test/a.test.ts": "// test.run();\n" }), ["test/a.test.ts"]);
});

test("long files and functions are reported", () => {
  const long = `export function f(): void {\n${"  g();\n".repeat(310)}}\n`;
  const reported = withTree({ "actors/log/a.ts": long }, (root) => reportSizes(readTree(root)));
  assert.equal(
    reported.map((one) => one.message),
    ["313 lines", "a function of 312 lines"],
  );
});

test("the command fails with a line for each fault, and passes a clean tree", () => {
  const script = fileURLToPath(new URL("../../scripts/tidy.ts", import.meta.url));
  const run = (root: string) => {
    const args = "Deno" in globalThis ? ["run", "-A", script, root] : ["--import", "tsx", script, root];
    return spawnSync(process.execPath, args, {
      encoding: "utf8",
      cwd: fileURLToPath(new URL("../../", import.meta.url)),
    });
  };
  const bad = withTree({ "actors/log/a.ts": 'import { x } from "redis";\n' }, run);
  assert.is(bad.status, 1);
  assert.match(bad.stderr, /actors\/log\/a\.ts:1: Cannot import redis as packages are named in deps\.ts alone/);
  const unresolved = withTree({ "actors/log/a.ts": "// By Q7.\nexport {};\n" }, run);
  assert.is(unresolved.status, 1);
  assert.match(unresolved.stderr, /actors\/log\/a\.ts:1: Cannot cite \w+ as it must be a rule of this room/);
  assert.is(withTree({ "README.md": "[the page](docs/gone.md)\n", "actors/log/a.ts": "export {};\n" }, run).status, 1);
  assert.is(withTree({ "actors/log/a.ts": "export {};\n" }, run).status, 0);
});

test("commands write to a terminal in one place, by whatever name they reach it", () => {
  const ways = [
    'console.log("a")',
    'console["error"]("b")',
    'process.stdout.write("c")',
    "process . stderr",
    "const { stdout } = process;",
    'fs.writeSync(2, "d")',
  ];
  const files = Object.fromEntries(ways.map((way, at) => [`scripts/commands/way_${at}.ts`, `${way}\n`]));
  assert.equal(
    faultsOf(files),
    Object.keys(files).map((path) => `${path}:1`),
  );
  assert.equal(
    faultsOf({ "scripts/console/output.ts": ways.join("\n"), "scripts/other.ts": "// console.log(1)\n" }),
    [],
  );
});

test.run();
