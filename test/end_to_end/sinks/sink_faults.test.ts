import { mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { headrace } from "../../support/processes/headrace_command.ts";
import { eventually, runningNode } from "../../support/processes/running_node.ts";

const configuration = (sink: string) => `
log: { type: memory }
streams: { orders: { partitions: 1, durability: memory } }
sinks: { out: ${sink} }
pipelines: { p: { from: orders, to: [out] } }
`;

async function inFolder(body: (folder: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "headrace-sinks-"));
  try {
    await body(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

test("a node does not start with a sink whose options cannot work, and names the sink and the reason", () =>
  inFolder(async (folder) => {
    await writeFile(join(folder, "taken"), "not a folder");
    const cases = [
      ["{ type: file, directory: ../taken }", /sinks\.out: .*folder that this process can write: EEXIST/],
      ["{ type: file, directory: ../taken/below }", /sinks\.out: .*folder that this process can write: ENOTDIR/],
      ["{ type: file, directory: out, format: csv }", /sinks\.out: Cannot write CSV as 'columns'/],
      ["{ type: http, url: 'http://user:secret@127.0.0.1/' }", /sinks\.out: Cannot post records/],
    ] as const;
    for (const [sink, said] of cases) {
      await writeFile(join(folder, "headrace.yaml"), configuration(sink));
      const ended = await headrace(["up", "--port", "0", "--data", join(folder, "data")], { folder });
      assert.is(ended.code, 78, `${sink}: ${ended.stderr}`);
      assert.match(ended.stderr, said);
      assert.not.match(ended.stderr, /\n\s+at /, "no stack trace for a user's mistake");
    }
  }));

interface Standing {
  readonly state: string;
  readonly reason?: string;
  readonly deliveredRecords: number;
}

test("a node starts in spite of a fault that may pass: the sink reports the reason, waits and goes on by itself", () =>
  inFolder(async (folder) => {
    const directory = join(folder, "out");
    await mkdir(directory);
    await writeFile(join(directory, "orders"), "in the way of the stream's folder");
    const node = await runningNode(configuration(`{ type: file, directory: ${JSON.stringify(directory)} }`));
    const standing = async (): Promise<Standing | undefined> => {
      const { sinks } = (await (await fetch(`${node.address}/v1/sinks`)).json()) as { sinks: Standing[] };
      return sinks[0];
    };
    const waiting = await eventually(async () => {
      const found = await standing();
      return found?.state === "retrying" ? found : undefined;
    });
    assert.match(waiting.reason ?? "", /ENOTDIR|EEXIST/);
    const producer = node.producer({ producerId: "p", stream: "orders" });
    await producer.send({ n: 1 });
    await producer.close();
    await rm(join(directory, "orders"));
    await eventually(async () => ((await standing())?.deliveredRecords === 1 ? true : undefined));
    assert.equal(await readdir(join(directory, "orders")), ["0"]);
    assert.equal(await node.end(), []);
  }));

test.run();
