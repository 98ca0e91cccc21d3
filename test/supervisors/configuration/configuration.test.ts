import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { checkConfiguration, type KnownKinds } from "../../../supervisors/configuration/configuration.ts";
import { checkSink } from "../../../supervisors/configuration/sink_check.ts";

const kinds: KnownKinds = {
  sources: new Map([
    ["host_metrics", { type: "object", properties: { everyMs: { type: "integer" } }, additionalProperties: false }],
  ]),
  sinks: new Map([
    [
      "file",
      {
        type: "object",
        properties: { directory: { type: "string" } },
        required: ["directory"],
        additionalProperties: false,
      },
    ],
    ["stream", { type: "object", properties: { stream: { type: "string" } } }],
    ["stdout", { type: "object", properties: {}, additionalProperties: false }],
  ]),
};

const check = (text: string) => checkConfiguration(text, "/", kinds);
const problemsOf = async (text: string) => {
  const loaded = await check(text);
  return loaded.kind === "refused" ? loaded.problems : [];
};

test("omitted values get their defaults, and sizes and durations are read with their units", async () => {
  const loaded = await check("streams:\n  orders:\n    retention: { size: 2GiB, age: 12h }\n");
  assert.is(loaded.kind, "loaded");
  if (loaded.kind !== "loaded") return;
  const { streams, node, log } = loaded.configuration;
  assert.is(streams.orders?.retention.sizeBytes, 2 * 1024 ** 3);
  assert.is(streams.orders?.retention.ageMs, 12 * 3_600_000);
  assert.is(streams.orders?.durability, "fsync");
  assert.is(node.port, 7070);
  assert.is(log.type, "lmdb");
});

test("the bounds of a sink's batches are its own, with their units, and no options of its kind", async () => {
  const sink = (batch: string) => `sinks:\n  out: { type: stream, stream: s, batch: ${batch} }\nstreams: { s: {} }\n`;
  const loaded = await check(sink("{ bytesMax: 8MiB, lingerMs: 2s }"));
  if (loaded.kind !== "loaded") throw new Error(JSON.stringify(loaded.problems));
  assert.equal(loaded.configuration.sinks.out, {
    type: "stream",
    start: "earliest",
    batch: { bytesMax: 8 * 1024 ** 2, lingerMs: 2_000 },
    options: { stream: "s" },
  });
  for (const wrong of ["{ recordsMax: 100001 }", "{ recordsMax: 0 }", "{ lingerMs: 600001 }", "{ records: 1 }"]) {
    const [problem] = await problemsOf(sink(wrong));
    assert.match(problem?.path ?? "", /^\/sinks\/out\/batch\//, wrong);
  }
});

test("a bound of a batch that is beyond the allowed ones, as text with a unit, is refused", async () => {
  const loaded = await check("sinks:\n  out: { type: stdout, batch: { bytesMax: 65MiB } }\n");
  const problems =
    loaded.kind === "refused"
      ? loaded.problems.map(({ reason }) => reason)
      : [await checkSink("out", loaded.configuration, undefined).catch((error: Error) => error.message)];
  assert.match(problems[0] ?? "", /'batch.bytesMax' must be .* to 67108864: current value is 68157440/);
});

test("an unknown key is refused with its line and the nearest known key", async () => {
  const [problem] = await problemsOf("streams:\n  orders:\n    partitons: 4\n");
  assert.equal(problem, {
    line: 3,
    path: "/streams/orders/partitons",
    reason: "unknown key partitons: did you mean partitions?",
  });
});

test("all problems are reported at once", async () => {
  const problems = await problemsOf("node:\n  port: 99999\nstreams:\n  a:\n    partitions: 0\n");
  assert.equal(
    problems.map((problem) => problem.line),
    [2, 5],
  );
  assert.match(problems[0]?.reason ?? "", /must be <= 65535: current value is 99999/);
});

test("unknown names are refused with the nearest known name", async () => {
  const text = `streams: { orders: {} }
sinks: { archive: { type: file, directory: out } }
pipelines:
  keep: { from: ordres, to: [archiv] }
`;
  const problems = await problemsOf(text);
  assert.match(problems[0]?.reason ?? "", /unknown stream ordres: did you mean orders/);
  assert.match(problems[1]?.reason ?? "", /unknown sink archiv: did you mean archive/);
});

test("headers and time of a source are its own keys, and must name two fields", async () => {
  const text = (time: string) =>
    `streams: { s: {} }\nsources: { m: { type: host_metrics, stream: s, headers: about, time: ${time} } }\n`;
  const loaded = await check(text("at"));
  assert.is(loaded.kind, "loaded");
  if (loaded.kind !== "loaded") return;
  assert.equal(loaded.configuration.sources.m, {
    ...{ type: "host_metrics", stream: "s", headers: "about", time: "at", options: {} },
  });
  const [problem] = await problemsOf(text("about"));
  assert.equal(
    [problem?.path, problem?.reason],
    ["/sources/m/time", "headers and time must name two fields: both are about"],
  );
});

test("options of a kind are checked by the kind's own schema", async () => {
  const [missing, unknown] = await problemsOf("sinks:\n  archive:\n    type: file\n    directori: out\n");
  assert.match(missing?.reason ?? "", /must have required property 'directory'/);
  assert.equal([unknown?.line, unknown?.reason], [4, "unknown key directori: did you mean directory?"]);
  const problems = await problemsOf("sinks:\n  archive:\n    type: fil\n");
  assert.match(problems[0]?.reason ?? "", /unknown type of sink fil: did you mean file/);
});

test("a sink is fed by pipelines of several streams, and by one pipeline of each", async () => {
  const text = (from: string) => `streams: { a: {}, b: {} }
sinks: { out: { type: file, directory: out } }
pipelines: { one: { from: a, to: [out] }, two: { from: ${from}, to: [out] } }
`;
  assert.equal(await problemsOf(text("b")), []);
  assert.equal(await problemsOf(text("[b, a]")), []);
  for (const from of ["a", "[a, b]"])
    assert.match(
      (await problemsOf(text(from)))[0]?.reason ?? "",
      /sink out is fed from stream a by pipeline one already: give this delivery a name of its own, such as \{ sink: out, as: two \}/,
    );
});

test("streams that are read together are known and have as many partitions", async () => {
  const text = (from: string) => `streams: { a: {}, b: { partitions: 4 }, c: { partitions: 5 } }
sinks: { out: { type: file, directory: out } }
pipelines: { one: { from: ${from}, to: [out] } }
`;
  assert.equal(await problemsOf(text("[a, b]")), []);
  const reasonOf = async (from: string) => (await problemsOf(text(from)))[0]?.reason ?? "";
  assert.match(await reasonOf("[a, c]"), /must have as many partitions, with the same keys: current values are 4, 5/);
  assert.match(await reasonOf("[a, d]"), /unknown stream d/);
  assert.match(await reasonOf("[a, a]"), /duplicate/);
});

test("pipelines that lead back to their own input are refused", async () => {
  const text = `streams: { a: {}, b: {} }
sinks: { toB: { type: stream, stream: b }, toA: { type: stream, stream: a } }
pipelines: { one: { from: a, to: [toB] }, two: { from: b, to: [toA] } }
`;
  assert.match((await problemsOf(text))[0]?.reason ?? "", /stream a leads back to itself/);
});

test("text that is not YAML is refused with its line", async () => {
  const [problem] = await problemsOf("streams:\n  a: [\n");
  assert.ok((problem?.line ?? 0) >= 2);
});

test("redis without an address is refused", async () => {
  assert.match((await problemsOf("log: { type: redis }\n"))[0]?.reason ?? "", /needs a url/);
});

test("the address of Redis must be given once, and only for a log of type redis", async () => {
  const sentinel = "{ master: m, urls: [redis://s:26379] }";
  const reasonOf = async (text: string) => {
    const [problem] = await problemsOf(text);
    return problem === undefined ? undefined : `${problem.line} ${problem.path} ${problem.reason}`;
  };
  assert.is(await reasonOf("log: { type: redis, urls: [redis://a:6379, redis://b:6379] }\n"), undefined);
  assert.is(await reasonOf(`log: { type: redis, sentinel: ${sentinel} }\n`), undefined);
  assert.match(
    (await reasonOf(`log: { type: redis, url: redis://a, sentinel: ${sentinel} }\n`)) ?? "",
    /^1 \/log one of url, urls and sentinel must say where Redis is: given are url and sentinel$/,
  );
  assert.match(
    (await reasonOf(`log:\n  type: lmdb\n  sentinel: ${sentinel}\n`)) ?? "",
    /^3 \/log\/sentinel sentinel is for a log of type redis: log.type is lmdb$/,
  );
  assert.match((await reasonOf("log: { type: redis, urls: [http://a] }\n")) ?? "", /must match pattern.*http:\/\/a/);
  assert.match((await reasonOf("log: { type: redis, urls: [] }\n")) ?? "", /must NOT have fewer than 1 items/);
  assert.match(
    (await reasonOf("log: { type: redis, sentinel: { name: m, urls: [redis://s] } }\n")) ?? "",
    /master|unknown key name/,
  );
});

test("a step has exactly one kind, and a key that no step reads is refused with the nearest known one", async () => {
  const reasonOf = async (step: string) => {
    const text = `streams: { s: {} }\nsinks: { o: { type: stream, stream: s2 } }\npipelines:\n  p:\n    from: s\n    steps:\n      - ${step}\n    to: [o]\n`;
    return (await problemsOf(text.replace("{ s: {} }", "{ s: {}, s2: {} }"))).map(
      ({ reason, line }) => `${line}: ${reason}`,
    );
  };
  assert.match(
    (await reasonOf('{ filter: "true", map: { a: "1" } }'))[0] ?? "",
    /^7: must have exactly one of filter, map, call, count/,
  );
  assert.match((await reasonOf('{ filtr: "true" }'))[0] ?? "", /did you mean filter\?/);
  assert.match((await reasonOf('{ filter: "true", keep: true }'))[0] ?? "", /keep is for a step of map/);
  assert.match((await reasonOf("{ keep: true }"))[0] ?? "", /exactly one of/);
  const counts = [
    ["{ by: event.a }", /must have the key every/],
    ["{ by: event.a, every: 1m, evry: 1m }", /unknown key evry: did you mean every/],
    ["{ by: event.a, every: soon }", /every must be a duration, such as 1m: current value is "soon"/],
    ["{ by: event.a, every: 0s }", /every must be a duration/],
    ["{ by: 5, every: 1m }", /by must be an expression/],
    ["event.a", /must be a map/],
  ] as const;
  for (const [count, reason] of counts) assert.match((await reasonOf(`{ count: ${count} }`))[0] ?? "", reason);
  const joins = [
    ["{ on: { a: event.x }, within: 1m }", /on must name two streams, each with an expression/],
    ["{ on: { a: event.x, b: event.y } }", /must have the key within/],
    ["{ on: { a: event.x, b: event.y }, within: 1m }", /on must name the two streams of from/],
  ] as const;
  for (const [join, reason] of joins) assert.match((await reasonOf(`{ join: ${join} }`)).join("\n"), reason);
  assert.match((await reasonOf("{ filter: true }"))[0] ?? "", /must be text: current value is true/);
  assert.match((await reasonOf("{ map: { a: 1 } }"))[0] ?? "", /a must be an expression/);
  assert.match((await reasonOf('{ map: { a: "1" }, keep: yes please }'))[0] ?? "", /true or false/);
  assert.equal(await reasonOf('{ map: { a: "1" }, keep: true }'), []);
});

test("a schema that checks nothing, and a stream with two schemas, are refused", async () => {
  const folder = await mkdtemp(join(tmpdir(), "headrace-schemas-"));
  try {
    const contents = { "empty.json": "", "nothing.json": "{}", "list.json": "[]", "real.json": '{"type":"object"}' };
    for (const [name, text] of Object.entries(contents)) await writeFile(join(folder, name), text);
    const reasonOf = async (stream: string) => {
      const loaded = await checkConfiguration(`streams: { s: { ${stream} } }`, folder, kinds);
      return loaded.kind === "refused" ? loaded.problems[0]?.reason : undefined;
    };
    assert.match((await reasonOf("schemaFile: empty.json")) ?? "", /it holds nothing/);
    assert.match((await reasonOf("schemaFile: nothing.json")) ?? "", /takes every event/);
    assert.match((await reasonOf("schemaFile: list.json")) ?? "", /a map of keywords/);
    assert.match((await reasonOf("schema: {}")) ?? "", /fewer than 1/);
    assert.match(
      (await reasonOf("schemaFile: real.json, schema: { type: object }")) ?? "",
      /one of schema and schemaFile/,
    );
    assert.is(await reasonOf("schemaFile: real.json"), undefined);
    await writeFile(join(folder, "huge.json"), JSON.stringify({ enum: ["x".repeat(1_048_576)] }));
    assert.match(
      (await reasonOf("schemaFile: huge.json")) ?? "",
      /^must have at most 1048576 bytes: huge.json has 1048/,
    );
    await writeFile(join(folder, "deep.json"), `${'{"not":'.repeat(50_000)}{}${"}".repeat(50_000)}`);
    assert.match((await reasonOf("schemaFile: deep.json")) ?? "", /^cannot be read: /);
  } finally {
    await rm(folder, { recursive: true });
  }
});

test("a schema reads alike in JSON and in YAML, numbers beyond 2^53 too", async () => {
  const folder = await mkdtemp(join(tmpdir(), "headrace-schemas-"));
  try {
    const json =
      '{"properties": {"n": {"maximum": 9007199254740993, "multipleOf": 1e-2, "default": -1}}, "required": []}';
    const yaml = "properties: {n: {maximum: 9007199254740993, multipleOf: 1e-2, default: -1}}\nrequired: []\n";
    await writeFile(join(folder, "a.json"), json);
    await writeFile(join(folder, "a.yaml"), yaml);
    const schemaOf = async (file: string) => {
      const loaded = await checkConfiguration(`streams: { s: { schemaFile: ${file} } }`, folder, kinds);
      return loaded.kind === "loaded" ? loaded.configuration.streams.s?.schema : loaded.problems;
    };
    const schema = await schemaOf("a.json");
    assert.equal(schema, await schemaOf("a.yaml"));
    assert.equal(schema, {
      properties: { n: { maximum: 2n ** 53n + 1n, multipleOf: 0.01, default: -1 } },
      required: [],
    });
  } finally {
    await rm(folder, { recursive: true });
  }
});

test("relative paths of tokens, keys and certificates begin at the configuration's folder, absolute ones stay", async () => {
  const loaded = await checkConfiguration(
    `security:
  tokens: [{ name: a, valueFile: tokens/a, scopes: [admin] }]
  tls: { certificateFile: /etc/tls/node.pem, keyFile: ../node.key }
`,
    "/etc/headrace",
    kinds,
  );
  if (loaded.kind !== "loaded") return assert.unreachable(JSON.stringify(loaded.problems));
  const { tokens, tls } = loaded.configuration.security;
  assert.is(tokens[0]?.valueFile, "/etc/headrace/tokens/a");
  assert.equal([tls?.certificateFile, tls?.keyFile], ["/etc/tls/node.pem", "/etc/node.key"]);
});

test("integers of schemas are exact, and event times have a unit", async () => {
  const loaded = await check(
    "streams: { s: { schema: { maximum: 9007199254740993 }, eventTime: { pointer: /t, unit: s } }, u: { eventTime: /t } }",
  );
  assert.is(loaded.kind, "loaded");
  if (loaded.kind !== "loaded") return;
  const { s, u } = loaded.configuration.streams;
  assert.is(s?.schema?.maximum, 9_007_199_254_740_993n);
  assert.equal(
    [s?.eventTime, u?.eventTime],
    [
      { pointer: "/t", unit: "s" },
      { pointer: "/t", unit: "ms" },
    ],
  );
  assert.match(
    (await problemsOf("streams: { s: { eventTime: { pointer: /t, units: s } } }")).map(({ reason }) => reason).join(),
    /did you mean unit\?/,
  );
});

test.run();
