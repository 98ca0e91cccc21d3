import { test } from "uvu";
import * as assert from "uvu/assert";
import { type AnySink, SINKS } from "../../../actors/sinks/registry.ts";
import { checkConfiguration } from "../../../supervisors/configuration/configuration.ts";
import { KNOWN_KINDS } from "../../../supervisors/configuration/known_kinds.ts";
import { checkSink } from "../../../supervisors/configuration/sink_check.ts";

const check = (text: string) => checkConfiguration(text, "/", KNOWN_KINDS);
const problemsOf = async (text: string) => {
  const loaded = await check(text);
  return loaded.kind === "refused" ? loaded.problems : [];
};

test("pipelines of one stream deliver to one sink under different names, whatever their order", async () => {
  const text = (one: string, two: string) => `streams: { a: {} }
sinks: { out: { type: stdout } }
pipelines: { one: { from: a, to: [${one}] }, two: { from: a, to: [${two}] } }
`;
  const named = (as: string) => `{ sink: out, as: ${as} }`;
  for (const [one, two] of [
    ["out", named("slow")],
    [named("slow"), "out"],
    [named("slow"), named("slower")],
  ] as const) {
    const loaded = await check(text(one, two));
    if (loaded.kind !== "loaded") throw new Error(JSON.stringify(loaded.problems));
    const targets = Object.values(loaded.configuration.pipelines).flatMap(({ to }) => to);
    const written = [one, two].map((entry) =>
      entry === "out" ? { sink: "out" } : { sink: "out", as: entry.slice(17, -2) },
    );
    assert.equal(targets, written);
    await checkSink("out", loaded.configuration, "/");
  }
  const [twice] = await problemsOf(text(named("slow"), named("slow")));
  assert.equal(
    [twice?.path, twice?.reason],
    ["/pipelines/two/to/0", "sink out is fed from stream a by pipeline one already: another as than slow is needed"],
  );
  assert.match((await problemsOf(text("out", `{ sink: uot, as: slow }`)))[0]?.reason ?? "", /did you mean out\?/);
  assert.match((await problemsOf(text("out", `{ sink: out }`)))[0]?.reason ?? "", /must have required property 'as'/);
  assert.match((await problemsOf(text("out", `{ sink: out, at: b }`))).at(-1)?.reason ?? "", /did you mean as\?/);
  assert.match((await problemsOf(text("out", "out@slow")))[0]?.reason ?? "", /must match pattern/);
  const long = await problemsOf(text("out", named("s".repeat(97))));
  assert.match(long[0]?.reason ?? "", /sink and as together must have at most 99 characters: current value is out@sss/);
  assert.equal(await problemsOf(text("out", named("s".repeat(96)))), []);
});

test("a sink of a kind that does not keep deliveries apart takes none with a name", async () => {
  const loaded = await check(`streams: { a: {} }
sinks: { out: { type: stdout } }
pipelines: { one: { from: a, to: [out] }, two: { from: a, to: [{ sink: out, as: slow }] } }
`);
  if (loaded.kind !== "loaded") throw new Error(JSON.stringify(loaded.problems));
  const { keepsDeliveriesApart: _, ...definition } = SINKS.get("stdout") as AnySink;
  const own = { sources: new Map(), sinks: new Map([["stdout", definition as AnySink]]) };
  const reason = await checkSink("out", { ...loaded.configuration, own }, "/").catch((error: Error) => error.message);
  assert.match(String(reason), /sinks\.out: Cannot deliver with 'as', as pipeline two does/);
  const { one } = loaded.configuration.pipelines;
  if (one === undefined) throw new Error("no pipeline");
  await checkSink("out", { ...loaded.configuration, own, pipelines: { one } }, "/");
});

test("a stream has a bounded number of deliveries, as one supervising actor has them all", async () => {
  const text = (names: number, steps: string) => `streams: { a: {}, b: {} }
sinks: { out: { type: stdout } }
pipelines:
  one: { from: a, to: [${Array.from({ length: 45 }, (_, n) => `{ sink: out, as: x${n} }`).join()}] }
  two: { from: a, steps: [${steps}], to: [${Array.from({ length: names }, (_, n) => `{ sink: out, as: y${n} }`).join()}] }
  other: { from: b, to: [out] }
`;
  const reasonOf = async (names: number, steps: string) => (await problemsOf(text(names, steps)))[0]?.reason;
  assert.is(await reasonOf(45, "{ filter: event.n > 0 }"), undefined);
  const must = "stream a must have at most 90 deliveries, with one more for each pipeline that computes once";
  assert.is(await reasonOf(46, ""), `${must}: current value is 91`);
  assert.is(await reasonOf(45, COUNT), `${must}: current value is 91`, "an outbox is an actor too");
});

test("two sinks of one place are refused where they share any of their streams", async () => {
  const loaded = await check(`streams: { a: {}, b: {} }
sinks: { one: { type: file, directory: /x }, two: { type: file, directory: /x } }
pipelines: { p: { from: a, to: [one] }, q: { from: b, to: [one] }, r: { from: b, to: [two] } }
`);
  if (loaded.kind !== "loaded") throw new Error(JSON.stringify(loaded.problems));
  const refused = await checkSink("two", loaded.configuration, undefined).catch((error: Error) => error.message);
  assert.match(String(refused), /sink one writes the same stream there/);
  const { p, r } = loaded.configuration.pipelines;
  if (p === undefined || r === undefined) throw new Error("no pipelines");
  await checkSink("two", { ...loaded.configuration, pipelines: { p, r } }, undefined);
});

const COUNT = "{ count: { by: event.k, every: 1m } }";
const withOutputs = (outputs: string, steps = COUNT, from = "a", more = "") => `streams: { a: {}, b: {} }
sinks: { out: { type: stdout }, late: { type: stdout }, to_a: { type: stream, stream: a }, to_b: { type: stream, stream: b } }
pipelines: { p: { from: ${from}, steps: [${steps}], to: [out], outputs: ${outputs} } ${more} }
`;

test("the sinks of a named output are those of the configuration, under names like those of `to`", async () => {
  const loaded = await check(withOutputs("{ late: [late, { sink: out, as: late }] }"));
  if (loaded.kind !== "loaded") throw new Error(JSON.stringify(loaded.problems));
  assert.equal(loaded.configuration.pipelines.p?.outputs, { late: [{ sink: "late" }, { sink: "out", as: "late" }] });
  const reasonOf = async (text: string) => {
    const [problem] = await problemsOf(text);
    return `${problem?.path}: ${problem?.reason}`;
  };
  assert.match(
    await reasonOf(withOutputs("{ late: [lat] }")),
    /^\/pipelines\/p\/outputs\/late\/0: unknown sink lat: did you mean late/,
  );
  assert.match(
    await reasonOf(withOutputs("{ late: [out] }")),
    /outputs\/late\/0: sink out is fed from stream a by pipeline p already: give this delivery a name of its own/,
  );
  const circle = withOutputs("{ late: [to_b] }", COUNT, "a", ", back: { from: b, to: [to_a] }");
  assert.match(await reasonOf(circle), /stream a leads back to itself/);
  assert.match(await reasonOf(withOutputs("{ late: [] }")), /must NOT have fewer than 1 items/);
});

test("an output that no step has is refused, with the outputs that the steps have", async () => {
  const reasonsOf = async (text: string) => (await problemsOf(text)).map(({ path, reason }) => `${path}: ${reason}`);
  assert.equal(await reasonsOf(withOutputs("{ later: [late] }")), [
    "/pipelines/p/outputs/later: unknown output later: the steps have [late]",
  ]);
  assert.equal(await reasonsOf(withOutputs("{ late: [late] }", "")), [
    "/pipelines/p/outputs/late: unknown output late: the steps have no named outputs",
  ]);
  const merged = withOutputs("{ late: [late] }", "", "[a, b]");
  assert.equal(await reasonsOf(merged), [], "records of merged streams may come from the future");
});

test.run();
