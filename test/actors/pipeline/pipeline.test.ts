import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import {
  compilePipeline,
  type PipelineResult,
  runRecord,
  type StepSettings,
} from "../../../actors/pipeline/pipeline.ts";
import { position } from "../../../protocols/position.ts";
import { cpuTimeMs } from "../../support/cpu_time.ts";

const CONTEXT = { stream: "readings", partition: 3, position: position(5, 42), timeMs: 1_700_000_000_123 };

async function run(steps: readonly StepSettings[], event: Record<string, unknown>): Promise<PipelineResult> {
  const pipeline = await compilePipeline("hot", steps, ".");
  return runRecord(pipeline, event, CONTEXT);
}

const keeps = async (filter: string, event: Record<string, unknown>) => {
  const result = await run([{ filter }], event);
  return result.kind === "outputs" ? result.events.length === 1 : result.reason;
};

const value = async (source: string, event: Record<string, unknown>) => {
  const result = await run([{ map: { value: source } }], event);
  return result.kind === "outputs" ? result.events[0]?.value : result.reason;
};

test("a comparison holds for numbers in every form: doubles, whole numbers and big integers", async () => {
  for (const cpu of [0.9, 1, 5n]) assert.is(await keeps("event.cpu > 0.8", { cpu }), true, `${cpu}`);
  for (const count of [4, 3.5, 4n, 2 ** 60]) assert.is(await keeps("event.count > 3", { count }), true, `${count}`);
  for (const count of [3, 3n, -1]) assert.is(await keeps("event.count > 3", { count }), false, `${count}`);
  for (const count of [5, 5n]) assert.is(await keeps("event.count == 5 && 5 in [event.count]", { count }), true);
});

test("arithmetic mixes event numbers and literals", async () => {
  for (const count of [5, 5n]) {
    assert.is(await value("event.count + 1", { count }), 6);
    assert.is(await value("event.count * 2 - offset", { count }), -32);
    assert.is(await value("event.count % 2 == 1", { count }), true);
  }
  assert.is(await value("event.count / 2", { count: 5 }), 2.5);
  assert.is(await value("event.count + 0.5", { count: 5n }), 5.5);
  assert.equal(await value("event.list.map(x, x * 2)", { list: [1, 2.5] }), [2, 5]);
  assert.is(await value("7 / 2", {}), 3);
  assert.is(await value("9007199254740993", {}), 9007199254740993n, "an integer that no number holds stays exact");
});

test("an expression sees the stream, the partition, the offset and the time of its record", async () => {
  assert.is(await value('stream + "/" + string(partition) + "/" + string(offset)', {}), "readings/3/42");
  assert.is(await value("timeMs % 1000", {}), 123);
});

test("map makes a new event, or adds to the old one with keep; an absent optional is left out", async () => {
  const event = { host: "a", cpu: 0.5 };
  const map = { load: "event.cpu * 100", zone: "event.?zone" };
  assert.equal(await run([{ map }], event), { kind: "outputs", events: [{ load: 50 }] });
  assert.equal(await run([{ map, keep: true }], event), {
    kind: "outputs",
    events: [{ host: "a", cpu: 0.5, load: 50 }],
  });
});

test("a field named __proto__ is data", async () => {
  const result = await run([{ map: { __proto__x: "1", ["__proto__"]: "2" } as Record<string, string> }], {});
  assert.is(result.kind, "outputs");
  assert.is(({} as Record<string, unknown>).polluted, undefined);
});

test("an expression without a value sets its record aside with the reason and the place", async () => {
  const result = await run([{ filter: "event.missing > 1" }], { cpu: 1 });
  assert.is(result.kind, "failed");
  assert.match(
    result.kind === "failed" ? result.reason : "",
    /pipelines\.hot\.steps\[0\]\.filter.*missing.*character 7/,
  );
  assert.match(`${await keeps("event.cpu", { cpu: 1 })}`, /must be true or false/);
});

const refused: Record<string, [string, RegExp]> = {
  "a syntax error": ["event.cpu >", /character/],
  "an unknown variable": ["evnt.cpu > 1", /Unknown variable: evnt at character 1/],
  "a type error": ['offset + "a"', /\+/],
  "a long expression": [`event.a == "${"x".repeat(5_000)}"`, /4096 characters/],
  "deeply nested macros": ["event.a.all(x, event.a.all(y, event.a.all(z, x == y && y == z)))", /nested at most 2/],
};

for (const [name, [filter, reason]] of Object.entries(refused)) {
  test(`${name} is refused when the pipeline is compiled`, async () => {
    try {
      await compilePipeline("hot", [{ filter }], ".");
    } catch (error) {
      assert.is((error as { code: string }).code, "INVALID_CONFIGURATION");
      assert.match((error as Error).message, reason);
      assert.match((error as Error).message, /pipelines\.hot\.steps\[0\]\.filter/);
      return;
    }
    assert.unreachable();
  });
}

test("a pattern that hangs a backtracking matcher is answered within 5 s of processor time", async () => {
  const startedMs = cpuTimeMs();
  assert.is(await keeps('event.text.matches("^(a+)+$")', { text: `${"a".repeat(40)}b` }), false);
  assert.is(await keeps('event.text.matches("b$")', { text: "ab" }), true);
  assert.ok(cpuTimeMs() - startedMs < 5_000);
});

test("an output larger than the limit sets its record aside", async () => {
  assert.match(`${await value("event.a + event.a + event.a", { a: "x".repeat(500_000) })}`, /smaller than/);
});

test("call runs a user's function: an event, several, none, a promise; its errors set the record aside", async () => {
  const folder = mkdtempSync(join(tmpdir(), "headrace-call-"));
  try {
    writeFileSync(
      join(folder, "enrich.mjs"),
      `export default (event, context) => ({ ...event, at: context.position.offset });
       export const twice = async (event) => [event, event];
       export const none = () => undefined;
       export const wrong = () => 5;
       export const bad = () => { throw new Error("no such host"); };
       export const away = () => { throw Object.assign(new Error("away"), {}); };`,
    );
    const call = async (name: string) =>
      runRecord(await compilePipeline("hot", [{ call: `./enrich.mjs#${name}` }], folder), { a: 1 }, CONTEXT);
    assert.equal(await call("default"), { kind: "outputs", events: [{ a: 1, at: 42 }] });
    assert.equal(await call("twice"), { kind: "outputs", events: [{ a: 1 }, { a: 1 }] });
    assert.equal(await call("none"), { kind: "outputs", events: [] });
    assert.match(JSON.stringify(await call("wrong")), /must be an event/);
    assert.match(JSON.stringify(await call("bad")), /STEP_FAILED.*no such host/);
    const { isDeterministic } = await compilePipeline("hot", [{ call: "./enrich.mjs" }], folder);
    assert.is(isDeterministic, false);
    for (const reference of ["./enrich.mjs#missing", "./absent.mjs"]) {
      await compilePipeline("hot", [{ call: reference }], folder).then(
        () => assert.unreachable(),
        (error: { code: string }) => assert.is(error.code, "INVALID_CONFIGURATION"),
      );
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("filter and map alone are deterministic", async () => {
  assert.is((await compilePipeline("hot", [{ filter: "true" }, { map: { a: "1" } }], ".")).isDeterministic, true);
});

test.run();
