import { readFile } from "node:fs/promises";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { EXIT, EXIT_MEANINGS } from "../../scripts/console/exit_codes.ts";
import { headrace } from "../support/processes/headrace_command.ts";

const page = (name: string) => readFile(new URL(`../../docs/${name}`, import.meta.url), "utf8");
const commandsOf = (help: string): string[] =>
  [...(help.split("Commands:")[1] ?? "").matchAll(/^ {2}(\w+)/gm)]
    .map((found) => found[1]!)
    .filter((name) => name !== "help");

test("docs/cli.md has a section with an example for each command, and no other", async () => {
  const { stdout, code } = await headrace(["--help"]);
  assert.is(code, 0);
  const sections = (await page("cli.md")).split(/^## /m).slice(1);
  const documented = sections.map((section) => /^`headrace (\w+)`/.exec(section)?.[1] ?? section);
  assert.equal(documented.sort(), commandsOf(stdout).sort());
  for (const section of sections) {
    const name = /^`headrace (\w+)`/.exec(section)?.[1];
    assert.match(section, new RegExp(`^ {4}headrace ${name}\\b`, "m"));
  }
});

test("every option in an example of docs/cli.md is an option of its command, and every command's help has examples", async () => {
  const { stdout } = await headrace(["--help"]);
  const text = await page("cli.md");
  for (const name of commandsOf(stdout)) {
    const help = (await headrace([name, "--help"])).stdout;
    assert.match(help, /^Examples?:$/m, name);
    assert.match(help, /--json/, name);
    const known = new Set([...help.matchAll(/(--[a-z-]+)/g)].map((found) => found[1]));
    const examples = [...text.matchAll(new RegExp(`^ {4}headrace ${name}\\b.*$`, "gm"))].map((found) => found[0]);
    const used = examples.flatMap((example) => example.match(/--[a-z-]+/g) ?? []);
    for (const option of used) assert.ok(known.has(option), `${name} ${option}`);
  }
});

test("docs/operations.md has the exit codes of the program", async () => {
  const rows = [...(await page("operations.md")).matchAll(/^\| (\d+) +\| (.*?) +\|$/gm)].map(([, code, text]) => [
    code,
    text,
  ]);
  const expected = Object.entries(EXIT).map(([name, code]) => [String(code), EXIT_MEANINGS[name as keyof typeof EXIT]]);
  assert.equal(rows, expected);
});

test("an unknown command is refused with the nearest known one", async () => {
  const ended = await headrace(["lnt"]);
  assert.is(ended.code, 64);
  assert.match(ended.stderr, /unknown command 'lnt'[\s\S]*Did you mean lint\?/);
});

test.run();
