/** Unusable arguments of `up` are reported with their value, and never as a bug. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { headrace } from "../../support/processes/headrace_command.ts";

let folder: string;
test.before(async () => {
  folder = await mkdtemp(join(tmpdir(), "headrace-up-"));
  await writeFile(join(folder, "file"), "");
  await writeFile(
    join(folder, "redis.yaml"),
    "log: { type: redis, url: redis://127.0.0.1/notadb }\nstreams: { s: {} }\n",
  );
});
test.after(() => rm(folder, { recursive: true, force: true }));

for (const [args, code, said] of [
  [["--port", "99999"], 64, /Cannot use --port as it must be a port from 0 to 65535: current value is 99999/],
  [["--port", "0", "--data", "file"], 78, /Cannot keep data as .* must be a folder.*: current value is .*file/],
  [["--port", "0", "--data", "file/below"], 78, /Cannot keep data as .* must be a folder.*: current value is .*file/],
  [["--cluster", "redis://u:hidden@127.0.0.1/notadb"], 64, /Cannot use --cluster as .* current value is \/notadb/],
  [["--config", "redis.yaml"], 78, /redis.yaml:1: .*number of a database.*: current value is \/notadb/],
] as const) {
  test(`up ${args.join(" ")} names the valid form and the given value`, async () => {
    const ended = await headrace(["up", ...args], { folder });
    assert.is(ended.code, code, ended.stderr);
    assert.match(ended.stderr, said);
    assert.not.match(ended.stderr, /bug of Headrace|hidden/);
  });
}

test.run();
