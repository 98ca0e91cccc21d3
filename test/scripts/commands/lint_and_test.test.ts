import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { headrace, jsonLines } from "../../support/processes/headrace_command.ts";

const SOUND = `
streams:
  hosts: { schema: { type: object, properties: { cpu: { type: number } } } }
pipelines:
  alerts:
    from: hosts
    steps:
      - filter: event.cpu > 0.8
      - map: { host: event.host, percent: event.cpu * 100.0 }
    to: [out]
sinks:
  out: { type: stdout }
`;
const TESTS = `
tests:
  - name: only hot hosts are kept
    pipeline: alerts
    given: [{ host: a, cpu: 0.5 }, { host: b, cpu: 0.9 }]
    expect: [{ host: b, percent: 90 }]
  - name: a host without cpu is set aside
    pipeline: alerts
    given: [{ host: c }]
    expectFailure: cpu
`;

let folder: string;
test.before(async () => {
  folder = await mkdtemp(join(tmpdir(), "headrace-lint-"));
});
test.after(() => rm(folder, { recursive: true, force: true }));
const put = (name: string, text: string) => writeFile(join(folder, name), text);

test("a sound configuration has no problems", async () => {
  await put("headrace.yaml", SOUND);
  const ended = await headrace(["lint"], { folder });
  assert.is(ended.code, 0, ended.stderr);
  assert.is(ended.stdout, "headrace.yaml: no problems\n");
});

test("a typo is reported with its line and the nearest key, and the exit code is 78", async () => {
  await put("typo.yaml", "streams:\n  hosts:\n    partitons: 3\n");
  const ended = await headrace(["lint", "typo.yaml"], { folder });
  assert.is(ended.code, 78);
  assert.match(
    ended.stdout,
    /^typo.yaml:3: \/streams\/hosts\/partitons: unknown key partitons: did you mean partitions\?/,
  );
});

test("a kind of the user's own module is loaded: lint judges its shape and its options, and tells its warnings", async () => {
  const source = (more: string) => `export const source = { type: "own", open: async () => {}, ${more} };\n`;
  const schema =
    'optionsSchema: { type: "object", properties: { rate: { type: "integer" } }, additionalProperties: false }';
  await put("own.mjs", source(`${schema}, warningsOf: () => [{ key: "rate", reason: "this rate is high" }]`));
  await put("half.mjs", source('identity: "name"'));
  const lint = async (module: string, rate: unknown) => {
    await put(
      "own.yaml",
      `streams: { s: {} }\nsources: { in: { type: "${module}#source", stream: s, rate: ${rate} } }\n`,
    );
    return headrace(["lint", "own.yaml"], { folder });
  };
  const sound = await lint("./own.mjs", 5);
  assert.is(sound.code, 0, sound.stdout);
  assert.match(sound.stdout, /own.yaml:2: \/sources\/in\/rate: warning: this rate is high/);
  assert.match((await lint("./own.mjs", "much")).stdout, /\/sources\/in\/rate: must be integer/);
  const half = await lint("./half.mjs", 5);
  assert.is(half.code, 78);
  assert.match(
    half.stdout,
    /identity must be one of position, message_id: .*optionsSchema must be an object: it is missing/,
  );
});

test("a part of a published schema that judges no event is a warning, and the exit code is 0", async () => {
  const schema =
    '{ $schema: "http://json-schema.org/draft-07/schema#", propertys: {}, properties: { a: { format: phone } } }';
  await put("warned.yaml", `streams:\n  hosts:\n    schema: ${schema}\n`);
  const ended = await headrace(["lint", "warned.yaml"], { folder });
  assert.is(ended.code, 0, ended.stdout);
  assert.match(
    ended.stdout,
    /^warned.yaml:3: \/streams\/hosts\/schema\/propertys: warning: .*did you mean properties\?/,
  );
  assert.match(ended.stdout, /unknown format phone/);
  assert.match(ended.stdout, /no problems, 2 warnings/);
  const told = jsonLines((await headrace(["lint", "warned.yaml", "--json"], { folder })).stdout);
  assert.equal(
    told.map(({ kind }) => kind),
    ["warning", "warning", "summary"],
  );
});

test("a file source's path that looks like a pattern is a warning with its line", async () => {
  const source = (path: string) =>
    `  s:\n    { type: file, stream: hosts, format: lines, path: ${JSON.stringify(path)} }\n`;
  for (const path of ["logs/*.log", "logs/app-?.log", "logs/app[12].log"]) {
    await put("pattern.yaml", `${SOUND}sources:\n${source(path)}`);
    const ended = await headrace(["lint", "pattern.yaml"], { folder });
    assert.is(ended.code, 0, ended.stdout);
    assert.match(
      ended.stdout,
      /^pattern.yaml:15: \/sources\/s\/path: warning: the path holds . and is taken literally/,
    );
  }
  await put("pattern.yaml", `${SOUND}sources:\n${source("logs/app.log")}`);
  assert.match((await headrace(["lint", "pattern.yaml"], { folder })).stdout, /no problems\n/);
});

test("expressions and schemas are compiled, and a fault is reported with its line", async () => {
  const broken = SOUND.replace("event.cpu > 0.8", "event.cpu >").replace("type: number", "type: nombre");
  await put("broken.yaml", broken);
  const ended = await headrace(["lint", "broken.yaml", "--json"], { folder });
  assert.is(ended.code, 78);
  const problems = jsonLines(ended.stdout).filter(({ kind }) => kind === "problem");
  assert.equal(
    problems.map(({ line, path }) => [line, path]),
    [
      [3, "/streams/hosts/schema"],
      [8, "/pipelines/alerts/steps/0"],
    ],
  );
});

test("options of a sink that cannot work are reported with the sink's line", async () => {
  const sinks = "  rows: { type: file, directory: x, format: csv }\n  hook: { type: http, url: 'http://' }\n";
  await put("sinks.yaml", `${SOUND}${sinks}`);
  const ended = await headrace(["lint", "sinks.yaml", "--json"], { folder });
  assert.is(ended.code, 78);
  const problems = jsonLines(ended.stdout).filter(({ kind }) => kind === "problem");
  assert.equal(
    problems.map(({ line, path }) => [line, path]),
    [
      [13, "/sinks/rows"],
      [14, "/sinks/hook"],
    ],
  );
});

test("two sinks that would write one stream to the same folder are refused", async () => {
  const text = (to: string) => `
streams: { hosts: {}, others: {} }
sinks:
  a: { type: file, directory: out }
  b: { type: file, directory: ./x/../out }
pipelines:
  p: { from: hosts, to: [a] }
  q: { from: ${to}, to: [b] }
`;
  await put("shared.yaml", text("hosts"));
  const refused = await headrace(["lint", "shared.yaml"], { folder });
  assert.is(refused.code, 78);
  assert.match(refused.stdout, /^shared.yaml:5: \/sinks\/b: .*sink a writes the same stream there/);
  await put("shared.yaml", text("others"));
  assert.is((await headrace(["lint", "shared.yaml"], { folder })).code, 0, "each stream has a folder of its own");
});

test("a missing file causes no stack trace", async () => {
  const ended = await headrace(["lint", "nowhere.yaml"], { folder });
  assert.is(ended.code, 66);
  assert.match(ended.stderr, /^headrace: Cannot read nowhere.yaml: ENOENT/);
});

test("the tests beside a configuration pass, one line each", async () => {
  await put("headrace.yaml", SOUND);
  await put("headrace.test.yaml", TESTS);
  const ended = await headrace(["test"], { folder });
  assert.is(ended.code, 0, ended.stdout + ended.stderr);
  assert.match(
    ended.stdout,
    /^ok {6}only hot hosts are kept\nok {6}a host without cpu is set aside\n2 passed, 0 failed\n$/,
  );
});

test("a pipeline with other outputs fails its test, with the expected and the actual outputs", async () => {
  await put("other.yaml", SOUND.replace("0.8", "0.95"));
  await put("other.test.yaml", TESTS);
  const ended = await headrace(["test", "other.test.yaml", "--json"], { folder });
  assert.is(ended.code, 1);
  const [first, second, summary] = jsonLines(ended.stdout);
  assert.equal([first?.result, first?.actual, first?.expected], ["failed", [], [{ host: "b", percent: 90 }]]);
  assert.is(second?.result, "passed");
  assert.equal([summary?.passed, summary?.failed], [1, 1]);
});

test("a test of a pipeline that does not exist is refused with its line", async () => {
  await put("headrace.yaml", SOUND);
  await put("headrace.test.yaml", "tests:\n  - name: x\n    pipeline: alrts\n    given: []\n    expect: []\n");
  const ended = await headrace(["test"], { folder });
  assert.is(ended.code, 78);
  assert.match(
    ended.stderr,
    /headrace.test.yaml:3: \/tests\/0\/pipeline: unknown pipeline alrts: did you mean alerts\?/,
  );
});

test.run();
