/** A full disk under stdout or stderr ends no node, and fails a command that prints a result. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, existsSync, openSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { headraceArguments } from "../support/processes/headrace_program.ts";
import { eventually } from "../support/processes/running_node.ts";
import { freePort } from "../support/redis/redis_server.ts";

/** A file that takes no bytes, like one on a full disk. */
const FULL = "/dev/full";

const PRINTING = `
node: { logLevel: debug }
streams: { s: { partitions: 1 } }
sinks: { o: { type: stdout } }
pipelines: { p: { from: s, to: [o] } }
`;

let folder: string;
test.before(async () => {
  folder = await mkdtemp(join(tmpdir(), "headrace-full-"));
  await writeFile(join(folder, "headrace.yaml"), PRINTING);
});
const started = new Set<ChildProcess>();
test.after(async () => {
  for (const child of started) child.kill("SIGKILL");
  await rm(folder, { recursive: true, force: true });
});

function start(args: readonly string[], full: readonly ("stdout" | "stderr")[]) {
  const disk = openSync(FULL, "w");
  const output = (name: "stdout" | "stderr") => (full.includes(name) ? disk : "pipe");
  const child = spawn(process.execPath, headraceArguments(args), {
    cwd: folder,
    stdio: ["ignore", output("stdout"), output("stderr")],
  });
  closeSync(disk);
  started.add(child);
  const said = child.stderr === null ? Promise.resolve("") : text(child.stderr);
  child.stdout?.resume();
  const ended = once(child, "close").then(async ([code, signal]) => ({ code, signal, said: await said }));
  return { child, ended };
}

const answerOf = (url: string, init?: RequestInit): Promise<{ status: number; text: string } | undefined> =>
  fetch(url, init).then(
    async (response) => ({ status: response.status, text: await response.text() }),
    () => undefined, // not yet, or no more
  );

for (const full of [["stdout"], ["stderr"], ["stdout", "stderr"]] as const) {
  test(`a node lives on when the disk under ${full.join(" and ")} is full, and its records wait`, async () => {
    if (!existsSync(FULL)) return; // Linux has it
    const port = await freePort();
    const { child, ended } = start(["up", "--port", String(port), "--data", full.join("-")], full);
    const address = `http://127.0.0.1:${port}`;
    const isAlive = () => child.exitCode === null && child.signalCode === null;
    const until = async (path: string, wanted: RegExp) =>
      await eventually(async () => {
        assert.ok(isAlive(), "the node has ended");
        return wanted.test((await answerOf(`${address}${path}`))?.text ?? "") || undefined;
      });
    await until("/healthz", /./);
    const sent = await answerOf(`${address}/v1/streams/s/events`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: '{"n":1}',
    });
    assert.is(sent?.status, 200);
    const isStdoutFull = full.some((name) => name === "stdout");
    await until("/v1/sinks", isStdoutFull ? /"retrying"/ : /"o"/);
    assert.is((await answerOf(`${address}/healthz`))?.status, 200);
    child.kill("SIGTERM");
    const { code, signal, said } = await ended;
    assert.is(signal, null);
    assert.ok([0, 75].includes(code), `${code} ${said}`);
  });
}

for (const args of [["lint", "headrace.yaml"], ["--help"], ["lint", "--help"]]) {
  test(`${args.join(" ")} fails, and reports it, when the disk has no room for its output`, async () => {
    if (!existsSync(FULL)) return;
    const { code, said } = await start(args, ["stdout"]).ended;
    assert.is(code, 74);
    assert.match(said, /^headrace: Cannot print the result as standard output must take it: ENOSPC[^\n]*\n$/);
  });
}

test("a remark without room changes no exit code", async () => {
  if (!existsSync(FULL)) return;
  assert.is((await start(["lint", "none.yaml"], ["stderr"]).ended).code, 66);
});

test.run();
