import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";

const WRITER = fileURLToPath(new URL("../../../support/processes/file_sink_writer.ts", import.meta.url));
const COMMITS = 40;

test("F1: the bytes of a commit are on disk before the checkpoint that covers them is written", () => {
  if ("Deno" in globalThis || spawnSync("strace", ["-V"]).status !== 0) {
    return console.log("not tried here: strace is not installed, or the runtime is not Node");
  }
  const folder = mkdtempSync(join(tmpdir(), "headrace-flush-"));
  try {
    const trace = join(folder, "trace");
    const calls = "trace=openat,pwrite64,fdatasync,fsync,rename";
    const writer = [process.execPath, "--import", "tsx", WRITER, folder, "1", String(COMMITS)];
    const run = spawnSync("strace", ["-f", "-y", "-s", "0", "-e", calls, "-o", trace, ...writer]);
    assert.is(run.status, 0, String(run.stderr));
    const writesThrough = new Set<string>();
    const dirty = new Set<string>();
    let writes = 0;
    let commits = 0;
    for (const line of readFileSync(trace, "utf8").split("\n")) {
      const path = /[<"]([^<>"]*\.part)[>"]/.exec(line)?.[1] ?? "";
      if (/openat\(.*O_DSYNC/.test(line)) writesThrough.add(path);
      else if (line.includes("pwrite64(") && path !== "") {
        writes += 1;
        if (!writesThrough.has(path)) dirty.add(path);
      } else if (/f(data)?sync\(/.test(line)) dirty.delete(path);
      else if (line.includes("rename(")) {
        assert.equal([...dirty], [], `checkpoint ${commits} came before the flush`);
        commits += 1;
      }
    }
    assert.ok(commits > COMMITS, "the opening and every batch were committed");
    assert.ok(writes >= COMMITS);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test.run();
