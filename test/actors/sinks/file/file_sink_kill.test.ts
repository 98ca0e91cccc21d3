import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { partitionId } from "../../../../protocols/position.ts";
import { readFileSink } from "../../../support/read_file_sink.ts";
import { seededRandom } from "../../../support/seeded_random.ts";

const WRITER = fileURLToPath(new URL("../../../support/processes/file_sink_writer.ts", import.meta.url));
const ROUNDS = 6;

/** Runs the writer until it has committed `commits` batches, then kills it. Answers the last offset that it printed. */
function writeUntilKilled(folder: string, owner: number, commits: number): Promise<number> {
  const isDeno = "Deno" in globalThis;
  const args = isDeno ? ["run", "-A", "--no-lock", WRITER] : ["--import", "tsx", WRITER];
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [...args, folder, String(owner)], { stdio: ["ignore", "pipe", "inherit"] });
    let output = "";
    child.stdout.on("data", (chunk: Buffer) => {
      output += chunk;
      if (output.split("\n").length > commits) child.kill("SIGKILL");
    });
    child.on("close", (_code, signal) => {
      if (signal === "SIGKILL") resolve(Number(output.split("\n").at(-2)));
      else reject(new Error(`the writer ended by itself: ${output}`));
    });
  });
}

test("after SIGKILL at any moment the folder holds every committed record once, in order", async () => {
  const folder = mkdtempSync(join(tmpdir(), "headrace-kill-"));
  const random = seededRandom(7);
  try {
    let told = -1;
    for (let owner = 1; owner <= ROUNDS; owner += 1) {
      told = await writeUntilKilled(folder, owner, 1 + random.below(60));
      const checkpoint = new Uint8Array(readFileSync(join(folder, "checkpoint")));
      const texts = await readFileSink(folder, { stream: "readings", partition: partitionId(0) }, checkpoint);
      const found = texts
        .join("")
        .split("\n")
        .slice(0, -1)
        .map((line) => JSON.parse(line).at as number);
      assert.equal(
        found,
        Array.from({ length: found.length }, (_, at) => at),
      );
      assert.ok(found.length > told, `holds ${found.length}, told ${told}`);
    }
    assert.ok(told > 50);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test.run();
