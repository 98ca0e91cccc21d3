/** A reader of stdout that goes away (`| head -1`) ends a command that only prints, and changes no other command. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { startCommand } from "../support/processes/headrace_command.ts";
import { eventually, runningNode } from "../support/processes/running_node.ts";
import { freePort } from "../support/redis/redis_server.ts";

const PRINTING = `
streams: { s: { partitions: 1 } }
sinks: { o: { type: stdout } }
pipelines: { p: { from: s, to: [o] } }
`;

let folder: string;
test.before(async () => {
  folder = await mkdtemp(join(tmpdir(), "headrace-reader-"));
});
test.after(() => rm(folder, { recursive: true, force: true }));

test("the exit code is the same with and without a reader", async () => {
  await writeFile(join(folder, "broken.yaml"), "streams:\n  s: { partitons: 1 }\n");
  const { child, ended } = startCommand(["lint", "broken.yaml"], { folder, input: "" });
  child.stdout.destroy();
  assert.is((await ended).code, 78);
});

test("tail ends with 0 when its reader goes away", async () => {
  const node = await runningNode("log: { type: memory }\nstreams: { s: { partitions: 1 } }");
  const producer = node.producer({ producerId: "p", stream: "s" });
  await producer.send({ n: 1 });
  const { child, ended, line } = startCommand(["tail", "s", "--from", "earliest", "--address", node.address]);
  await line(/"n":1/);
  child.stdout.destroy();
  await eventually(async () => {
    await producer.send({ n: 2 });
    return child.exitCode === null ? undefined : true;
  });
  assert.is((await ended).code, 0);
  await producer.close();
  await node.end();
});

test("a node outlives the reader of its stdout: it takes events, and its stdout sink tries again", async () => {
  await writeFile(join(folder, "headrace.yaml"), PRINTING);
  const port = await freePort();
  const { child, ended, line } = startCommand(["up", "--port", String(port), "--data", "data"], { folder, input: "" });
  await line(/127\.0\.0\.1/);
  child.stdout.destroy();
  const address = `http://127.0.0.1:${port}`;
  const post = async () =>
    (
      await fetch(`${address}/v1/streams/s/events`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: '{"n":1}',
      })
    ).status;
  assert.is(await post(), 200);
  await eventually(async () =>
    /"retrying"/.test(await (await fetch(`${address}/v1/sinks`)).text()) ? true : undefined,
  );
  assert.is(await post(), 200);
  child.kill("SIGTERM");
  const { code, signal } = await ended;
  assert.equal([code === 0 || code === 130 || code === 143, signal], [true, null], String(code));
});

test.run();
