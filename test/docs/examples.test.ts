/**
 * Checks the examples of the pages: code type-checks and runs, configurations pass `lint`, and command lines are
 * parsed.
 */
import { execFile } from "node:child_process";
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { Command, CommanderError } from "commander";
import { build } from "esbuild";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { reasonOf } from "../../protocols/errors.ts";
import { checkFile } from "../../scripts/console/check_file.ts";
import { type Block, blocksOf, commandsOf, readPages, wordsOf } from "../support/doc_examples.ts";
import { headrace } from "../support/processes/headrace_command.ts";
import { runningNode } from "../support/processes/running_node.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const run = promisify(execFile);

const pages = await readPages();
const blocks = [...pages].flatMap(([page, text]) => blocksOf(page, text));
const examples = (language: string): Block[] =>
  blocks.filter((block) => block.language === language && block.fragment === undefined);
const isPipelineTests = ({ text }: Block): boolean => /^tests:/m.test(text);

let folder: string;
test.before(async () => {
  // Within the checkout, so that an example finds packages like a user's program.
  const cache = join(ROOT, "node_modules", ".cache");
  await mkdir(cache, { recursive: true });
  folder = await mkdtemp(join(cache, "headrace-examples-"));
});
test.after(() => rm(folder, { recursive: true, force: true }));

test("every block names its language, or why it is no working example", () => {
  const languages = new Set(blocks.map(({ language }) => language));
  // A language beyond these needs a test of its own here.
  for (const language of languages) assert.ok(["", "ts", "sh", "yaml"].includes(language), language);
  for (const language of ["ts", "sh", "yaml"]) assert.ok(examples(language).length > 0, language);
});

test("TypeScript in the pages type-checks against the sources", async () => {
  const files = examples("ts").map(({ text }, index) => ({ name: `example_${index}.ts`, text }));
  for (const { name, text } of files) await writeFile(join(folder, name), `${text}\nexport {};\n`);
  await writeFile(join(folder, "package.json"), '{ "type": "module" }');
  const compilerOptions = {
    noUnusedLocals: false,
    paths: { headrace: [join(ROOT, "protocols", "mod.ts")] },
    lib: ["es2023", "dom"],
  };
  const settings = {
    extends: join(ROOT, "tsconfig.json"),
    compilerOptions,
    include: [],
    files: files.map(({ name }) => name),
  };
  await writeFile(join(folder, "tsconfig.json"), JSON.stringify(settings));
  const { stdout } = await run(process.execPath, [join(ROOT, "node_modules/typescript/bin/tsc"), "-p", folder]).catch(
    (error: { stdout: string }) => error,
  );
  assert.is(
    stdout,
    "",
    examples("ts")
      .map(({ at }) => at)
      .join(),
  );
});

test("TypeScript in the pages runs against a node, with the stated result", async () => {
  const node = await runningNode("log: { type: memory }\nstreams: { events: { partitions: 1, durability: memory } }\n");
  for (const [index, { at, text }] of examples("ts").entries()) {
    assert.ok(text.includes("ws://127.0.0.1:7070"), at);
    const program = join(folder, `program_${index}.mjs`);
    await build({
      stdin: {
        contents: text.replaceAll("ws://127.0.0.1:7070", node.endpoint.replace("/v1/connect", "")),
        loader: "ts",
      },
      alias: { headrace: join(ROOT, "protocols", "mod.ts") },
      bundle: true,
      platform: "browser",
      format: "esm",
      external: ["ws"],
      // As the example's remark says of Node 20.
      banner: { js: 'import WebSocketOfWs from "ws"; globalThis.WebSocket ??= WebSocketOfWs;' },
      outfile: program,
      absWorkingDir: ROOT,
      logLevel: "silent",
    });
    await run(process.execPath, [program], { timeout: 30_000 });
  }
  const response = await fetch(`${node.address}/v1/streams/events/partitions/0/records`);
  const { records } = (await response.json()) as { records: { event: unknown }[] };
  assert.equal(
    records.map(({ event }) => event),
    [{ device: "sensor-1", value: 21.5 }],
  );
  assert.equal(await node.end(), []);
});

test("configurations in the pages pass lint", async () => {
  const configurations = examples("yaml").filter((block) => !isPipelineTests(block));
  assert.ok(configurations.length > 0);
  for (const { at, text } of configurations) {
    for (const [, file = ""] of text.matchAll(/schemaFile: (\S+)/g))
      await writeFile(join(folder, file), '{ "type": "object", "properties": { "amount": { "type": "number" } } }');
    const path = join(folder, "headrace.yaml");
    await writeFile(path, text);
    const checked = await checkFile(path);
    assert.equal(checked.kind === "refused" ? checked.problems : [], [], at);
  }
});

test("pipeline tests in the pages pass, on a pipeline of their kind", async () => {
  const tests = examples("yaml").filter(isPipelineTests);
  assert.ok(tests.length > 0);
  await writeFile(
    join(folder, "headrace.yaml"),
    `
streams: { hosts: { partitions: 1 } }
pipelines:
  alerts:
    from: hosts
    steps: [{ filter: event.cpu > 0.9 }, { map: { host: event.host, percent: event.cpu * 100.0 } }]
    to: [out]
sinks: { out: { type: stdout } }
`,
  );
  for (const { at, text } of tests) {
    await writeFile(join(folder, "headrace.test.yaml"), text);
    const { code, stdout } = await headrace(["test"], { folder });
    assert.is(code, 0, `${at}: ${stdout}`);
  }
});

/** The program's own parser of command lines, whose actions do nothing. */
async function parser(): Promise<Command> {
  const program = new Command("headrace");
  const commands = new URL("../../scripts/commands/", import.meta.url);
  for (const file of await readdir(commands)) {
    const module = (await import(new URL(file, commands).href)) as Record<string, unknown>;
    for (const [name, add] of Object.entries(module))
      if (name.startsWith("add") && typeof add === "function") add(program);
  }
  const silence = (command: Command): void => {
    command.exitOverride().configureOutput({ writeOut: () => undefined, writeErr: () => undefined });
    if (command !== program) command.action(() => undefined);
    for (const one of command.commands) silence(one);
  };
  silence(program);
  return program;
}

async function refusalOf(words: readonly string[]): Promise<string | undefined> {
  try {
    await (await parser()).parseAsync(words, { from: "user" });
    return undefined;
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return undefined; // help was shown
    return reasonOf(error);
  }
}

test("command lines in the pages are parsed", async () => {
  const found = [...pages].flatMap(([page, text]) => commandsOf(page, text));
  assert.ok(found.length > 30);
  const known = new Set((await parser()).commands.map((command) => command.name()));
  for (const { at, text, isInline } of found) {
    const words = wordsOf(text);
    assert.ok(known.has(words[0] ?? ""), `${at}: ${text}`);
    if (!isInline || words.length > 1) assert.is(await refusalOf(words), undefined, `${at}: ${text}`);
  }
  assert.ok(await refusalOf(["tail"])); // what is not understood is noticed
  assert.ok(await refusalOf(["tail", "orders", "--form", "10m"]));
});

test("shell lines in the pages name existing scripts and valid command lines", async () => {
  const { scripts } = JSON.parse(await readFile(join(ROOT, "package.json"), "utf8")) as {
    scripts: Record<string, string>;
  };
  for (const { at, text } of examples("sh")) {
    for (const line of text.split("\n").flatMap((one) => one.replace(/\s#.*$/, "").split(/&&|\|/))) {
      const words = wordsOf(line.trim());
      const [program, ...rest] = words;
      if (program === "npm") {
        const [script = "", ...args] = rest[0] === "run" ? rest.slice(1).filter((word) => word !== "-s") : rest;
        assert.ok(script === "ci" || script in scripts, `${at}: ${line}`);
        if (script === "headrace") assert.is(await refusalOf(args.slice(1)), undefined, `${at}: ${line}`);
      } else assert.ok(["echo"].includes(program ?? ""), `${at}: ${line}`); // another program needs a check here
    }
  }
});

test.run();
