// biome-ignore-all lint/suspicious/noTemplateCurlyInString: a configuration names variables this way
/** Secrets of the configuration work, and no text of the node or a command shows them. */
import { once } from "node:events";
import { mkdtemp, rm, stat, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { headrace, jsonLines } from "../../support/processes/headrace_command.ts";
import { eventually, runningNode } from "../../support/processes/running_node.ts";

const SECRET = "sekret-7f3a9c-of-the-test";
process.env.HEADRACE_TEST_SECRET = SECRET;
/** A step that says in its errors what its own client was told. */
const THROWS = `export const create = () => ({
  run() { throw new Error("refused " + process.env.HEADRACE_TEST_SECRET); },
  snapshot: () => [],
  restore() {},
});`;
const folder = await mkdtemp(join(tmpdir(), "headrace-secrets-"));

test("a sink gets its secrets, and its failures are reported without them", async () => {
  const seen: string[] = [];
  const endpoint = createServer((request, response) => {
    seen.push(`${request.url} ${request.headers.authorization}`);
    response.writeHead(500).end(`no entry for ${request.headers.authorization} at ${request.url}`);
  }).listen(0, "127.0.0.1");
  await once(endpoint, "listening");
  const { port } = endpoint.address() as { port: number };
  const node = await runningNode(`
log: { type: memory }
streams: { s: { partitions: 1, durability: memory } }
sinks:
  hook:
    type: http
    url: "http://127.0.0.1:${port}/services/\${HEADRACE_TEST_SECRET}?key=other-secret-value"
    headers: { authorization: { valueEnv: HEADRACE_TEST_SECRET } }
pipelines: { p: { from: s, to: [hook] } }
`);
  const producer = node.producer({ producerId: "p", stream: "s" });
  await producer.send({ n: 1 });
  await producer.close();
  const standing = async () => (await fetch(`${node.address}/v1/sinks`)).text();
  const told = await eventually(async () => {
    const text = await standing();
    return text.includes("retrying") ? text : undefined;
  });
  assert.is(seen[0], `/services/${SECRET}?key=other-secret-value ${SECRET}`);
  for (const text of [told, ...node.logged]) assert.not.match(text, /sekret|other-secret-value/);
  assert.match(told, /"sink":"hook"/);
  await node.end();
  endpoint.close();
});

test("dead letters hold no secret that an endpoint or a step repeated", async () => {
  const endpoint = createServer((request, response) => {
    const token = request.headers.authorization?.split(" ")[1];
    const filler = "x".repeat(request.headers["x-form"] === "cut" ? 300 - "400 ".length - 20 : 0);
    response.writeHead(400).end(`${filler}${request.headers["x-form"] === "whole" ? `Bearer ${token}` : token}`);
  }).listen(0, "127.0.0.1");
  await once(endpoint, "listening");
  const { port } = endpoint.address() as { port: number };
  process.env.HEADRACE_TEST_HEADER = `Bearer ${SECRET}`;
  const sink = (form: string, value: string) =>
    `{ type: http, url: "http://127.0.0.1:${port}/", headers: { x-form: ${form}, authorization: ${value} } }`;
  const place = await mkdtemp(join(folder, "letters-"));
  await writeFile(join(place, "throws.mjs"), THROWS);
  const node = await runningNode(
    `
log: { type: memory }
streams: { s: { partitions: 1, durability: memory } }
sinks:
  whole: ${sink("whole", "{ valueEnv: HEADRACE_TEST_HEADER }")}
  token: ${sink("token", "{ valueEnv: HEADRACE_TEST_HEADER }")}
  cut: ${sink("cut", '"Bearer ${HEADRACE_TEST_SECRET}"')}
  step: { type: stdout }
  stored: { type: stdout }
pipelines:
  p: { from: s, to: [whole, token, cut] }
  q: { from: s, to: [step], steps: [{ map: { at: 'timestamp("\${HEADRACE_TEST_SECRET}")' } }] }
  r: { from: s, to: [stored], steps: [{ call: "./throws.mjs#create" }] }
`,
    { folder: place },
  );
  const producer = node.producer({ producerId: "p", stream: "s" });
  await producer.sendAndConfirm({ n: 1 });
  await producer.close();
  for (const name of ["whole", "token", "cut", "step", "stored"]) {
    const path = `${node.address}/v1/streams/s/partitions/0/records?channel=dead_letters/${name}`;
    const letter = await eventually(async () => {
      const text = await (await fetch(path)).text();
      return text.includes('"reason"') ? text : undefined;
    });
    assert.not.match(letter, /sekret/, name);
    assert.match(letter, /\[hidden\]/, name);
  }
  for (const text of node.logged) assert.not.match(text, /sekret/);
  await node.end();
  endpoint.close();
});

test("lint and the start name the unset variable with its line, and show no value of a set one", async () => {
  await writeFile(
    join(folder, "headrace.yaml"),
    'streams:\n  s: { partitions: "${HEADRACE_TEST_SECRET}" }\nsinks:\n  o: { type: http, url: "http://a.example/${ABSENT_HERE}" }\n',
  );
  const unset = await headrace(["lint"], { folder });
  assert.is(unset.code, 78);
  assert.is(unset.stdout, "headrace.yaml:4: /sinks/o/url: variable ABSENT_HERE must be set: it is not\n");
  const started = await headrace(["up"], { folder });
  assert.is(started.code, 78);
  assert.match(started.stderr, /headrace\.yaml:4: \/sinks\/o\/url: variable ABSENT_HERE must be set/);
  const wrong = await headrace(["lint", "--json"], { folder, environment: { ABSENT_HERE: "x" } });
  const [problem] = jsonLines(wrong.stdout);
  assert.equal([problem?.path, problem?.line], ["/streams/s/partitions", 2]);
  assert.not.match(`${wrong.stdout}${wrong.stderr}`, /sekret/);
});

test("lint warns of a secret in clear text, does not show it, and ends with 0", async () => {
  const file = join(folder, "clear.yaml");
  await writeFile(
    file,
    'streams: { s: {} }\nsinks:\n  o: { type: http, url: "https://in.example/x", headers: { authorization: "Bearer clear-text-token" } }\n',
  );
  const { code, stdout } = await headrace(["lint", file], { folder });
  assert.is(code, 0);
  assert.match(
    stdout,
    /clear\.yaml:3: \/sinks\/o\/headers\/authorization: warning: authorization holds a secret in clear text/,
  );
  assert.not.match(stdout, /clear-text-token/);
});

test("a node makes its data folder readable by its owner alone", async () => {
  const node = await runningNode("log: { type: lmdb }\nstreams: { s: { partitions: 1 } }");
  assert.is((await stat(join(node.folder, "data"))).mode & 0o777, 0o700);
  await node.end();
});

test.after(() => rm(folder, { recursive: true, force: true }));

test.run();
