/** Real processes: a node that follows a file is killed at any moment, while the file grows and is rotated. */
import { type ChildProcess, spawn } from "node:child_process";
import { appendFile, mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { headraceArguments } from "../../support/processes/headrace_program.ts";
import { eventually } from "../../support/processes/running_node.ts";

const ROOT = fileURLToPath(new URL("../../../", import.meta.url));
const KILLS = 3;
const LINES_A_LIFE = 4_000;

interface Started {
  readonly child: ChildProcess;
  readonly address: string;
}

function start(folder: string): Promise<Started> {
  const args = ["up", "--json", "--port", "0", "--config", join(folder, "headrace.yaml")];
  const child = spawn(process.execPath, headraceArguments(args), {
    cwd: ROOT,
    stdio: ["ignore", "pipe", "inherit"],
  });
  return new Promise((resolve, reject) => {
    child.once("exit", (code) => reject(new Error(`the node ended with ${code}`)));
    if (child.stdout === null) return;
    createInterface({ input: child.stdout }).on("line", (line) => {
      const { address } = JSON.parse(line) as { address?: string };
      if (address !== undefined) resolve({ child, address });
    });
  });
}

const kill = (child: ChildProcess, signal: NodeJS.Signals): Promise<unknown> =>
  new Promise((resolve) => {
    child.removeAllListeners("exit").once("exit", resolve);
    child.kill(signal);
  });

async function stored(address: string): Promise<number[]> {
  const found: number[] = [];
  for (let partition = 0; partition < 3; partition += 1) {
    for (let from = 0; ; ) {
      const path = `/v1/streams/lines/partitions/${partition}/records?limit=1000&from=${from}`;
      const { records, endOffset } = (await (await fetch(`${address}${path}`)).json()) as {
        records: readonly { readonly event: { readonly n: number } }[];
        endOffset: number;
      };
      found.push(...records.map(({ event }) => event.n));
      from += records.length;
      if (from >= endOffset) break;
    }
  }
  return found;
}

const endOffsets = async (address: string): Promise<number> => {
  const { partitions } = (await (await fetch(`${address}/v1/streams/lines`)).json()) as {
    partitions: readonly { readonly endOffset: number }[];
  };
  return partitions.reduce((sum, { endOffset }) => sum + endOffset, 0);
};

test("every line of a growing, rotated file is in the stream exactly once, over kills of the node", async () => {
  const folder = await mkdtemp(join(tmpdir(), "headrace-file-"));
  const path = join(folder, "app.ndjson");
  await writeFile(
    join(folder, "headrace.yaml"),
    `
node: { data: data, logLevel: error }
streams: { lines: { partitions: 3 } }
sources: { file: { type: file, stream: lines, path: ${path}, format: ndjson, everyMs: 10 } }
`,
  );
  // Written before the node starts: a file that is rotated away before the node has seen it is never read.
  await writeFile(path, "");
  let next = 0;
  const write = async (count: number) => {
    for (const end = next + count; next < end; ) {
      const size = Math.min(500, end - next);
      await appendFile(path, Array.from({ length: size }, (_, at) => `{"n":${next + at}}\n`).join(""));
      next += size;
    }
  };
  for (let life = 0; life < KILLS; life += 1) {
    const { child, address } = await start(folder);
    const already = await endOffsets(address);
    const writing = write(LINES_A_LIFE).then(async () => {
      await rename(path, `${path}.${KILLS - life}`);
      await write(LINES_A_LIFE / 2);
    });
    // Kill the node in the middle: some lines of this life are stored; in the first life, all lines written so far.
    const wanted = life === 0 ? LINES_A_LIFE : already + 1;
    await eventually(async () => ((await endOffsets(address)) >= wanted ? true : undefined));
    await kill(child, "SIGKILL");
    await writing;
  }
  const { child, address } = await start(folder);
  await eventually(async () => ((await endOffsets(address)) >= next ? true : undefined));
  const found = (await stored(address)).sort((left, right) => left - right);
  assert.equal(
    found,
    Array.from({ length: next }, (_, n) => n),
  );
  await kill(child, "SIGTERM");
  await rm(folder, { recursive: true });
});

test.run();
