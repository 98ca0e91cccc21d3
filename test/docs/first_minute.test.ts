/** Runs the first minute of README.md line by line, on a free port and in a fresh folder. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { blocksOf, readPages } from "../support/doc_examples.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const readme = (await readPages()).get("README.md") ?? "";
const lines = blocksOf("README.md", readme)
  .filter(({ language }) => language === "sh")
  .flatMap(({ text }) => text.split("\n"));
const lineWith = (words: string): string => {
  const found = lines.find((line) => line.includes(words));
  if (found === undefined) throw new Error(`README.md has no line with ${words}`);
  return found;
};

function shell(line: string, environment: Readonly<Record<string, string>>): ChildProcess {
  const env = { ...process.env, ...environment };
  return spawn("sh", ["-c", line], { cwd: ROOT, env, stdio: ["ignore", "pipe", "inherit"], detached: true });
}

/** The first line that matches; the process goes on. */
async function firstLine(child: ChildProcess, pattern: RegExp): Promise<RegExpExecArray> {
  if (child.stdout === null) throw new Error("it has no output");
  const output: string[] = [];
  for await (const line of createInterface({ input: child.stdout })) {
    const found = pattern.exec(line);
    output.push(line);
    if (found === null) continue;
    child.stdout.resume();
    return found;
  }
  throw new Error(`it ended without ${pattern}:\n${output.join("\n")}`);
}

/** Sends the signal of Ctrl-C to everything that the line started. */
async function interrupt(child: ChildProcess): Promise<void> {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, "close");
  process.kill(-child.pid, "SIGINT");
  await ended;
}

test("npm start, a line that follows the stream, one that sends an event, and one over HTTP", async () => {
  const data = await mkdtemp(join(tmpdir(), "headrace-first-minute-"));
  const node = shell(lineWith("npm start   ").replace("npm ci && ", ""), {
    HEADRACE_PORT: "0",
    HEADRACE_DATA: data,
  });
  let tail: ChildProcess | undefined;
  try {
    const [, address = ""] = await firstLine(node, /up: (http:\/\/127\.0\.0\.1:\d+)/);
    const at = { HEADRACE_ADDRESS: address };
    tail = shell(lineWith("tail host_metrics"), at);
    await firstLine(tail, /"cpu/);
    const sending = shell(lineWith("produce events"), at);
    sending.stdout?.resume();
    assert.equal(await once(sending, "close"), [0, null]);
    const curl = /`(curl [^`]+)`/.exec(readme.replace(/\n/g, " "))?.[1] ?? "";
    assert.ok(curl.includes("http://127.0.0.1:7070"));
    const posting = shell(`${curl.replace("http://127.0.0.1:7070", address)} --fail --silent`, {});
    posting.stdout?.resume();
    assert.equal(await once(posting, "close"), [0, null]);
    const { partitions } = (await (await fetch(`${address}/v1/streams/events`)).json()) as {
      partitions: { partition: number }[];
    };
    const events: unknown[] = [];
    for (const { partition } of partitions) {
      const response = await fetch(`${address}/v1/streams/events/partitions/${partition}/records`);
      const { records } = (await response.json()) as { records: { event: unknown }[] };
      events.push(...records.map(({ event }) => event));
    }
    assert.equal(events, [{ hello: "world" }, { hello: "world" }]);
  } finally {
    if (tail !== undefined) await interrupt(tail);
    await interrupt(node);
    await rm(data, { recursive: true, force: true });
  }
});

test.run();
