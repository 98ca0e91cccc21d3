/** A node that can not start ends, and leaves nothing open: whoever runs it starts it again. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { connect, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { startProcess } from "../../scripts/console/local_process.ts";
import { requireRedis, startRedis } from "../support/redis_server.ts";

requireRedis();

const ENDS_WITHIN_MS = 20_000;

/** A way to Redis on which all connections break whenever metadata is read, once `armedBy` has passed. */
async function startTrap(toPort: number, armedBy: string): Promise<{ readonly port: number; close(): Promise<void> }> {
  const open = new Set<Socket>();
  let isArmed = false;
  const server = createServer((near) => {
    const far = connect(toPort, "127.0.0.1");
    for (const [socket, other] of [
      [near, far],
      [far, near],
    ] as const) {
      open.add(socket);
      socket.on("error", () => other.destroy());
      socket.on("close", () => {
        open.delete(socket);
        other.destroy();
      });
    }
    far.pipe(near);
    near.on("data", (bytes: Buffer) => {
      isArmed ||= bytes.includes(armedBy);
      if (isArmed && bytes.includes("HGETALL") && bytes.includes("metadata"))
        for (const socket of open) socket.destroy();
      else far.write(bytes);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  return {
    port: typeof address === "object" && address !== null ? address.port : 0,
    async close() {
      for (const socket of open) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

for (const [when, armedBy] of [
  ["at its first look at the streams", "name=headrace"],
  ["after it has looked for its cluster", "name=headrace_cluster"],
] as const) {
  test(`a node whose store goes away while it starts, ${when}, ends and says why`, async () => {
    const folder = await mkdtemp(join(tmpdir(), "headrace-start-"));
    const redis = await startRedis({ appendfsync: "everysec" });
    const trap = await startTrap(redis.port, armedBy);
    const config = join(folder, "headrace.yaml");
    const log = `log: { type: redis, url: "redis://127.0.0.1:${trap.port}" }`;
    await writeFile(config, `${log}\nstreams: { readings: { durability: everysec } }\ncluster: {}\n`);
    const node = await startProcess({
      program: process.execPath,
      args: [
        ...["--import", "tsx", fileURLToPath(new URL("../../scripts/headrace.ts", import.meta.url)), "up", "--json"],
        ...["--config", config, "--name", "a", "--port", "0", "--data", join(folder, "data")],
      ],
      logFile: join(folder, "a.log"),
      hasInput: true,
    });
    const hangs = setTimeout(() => node.signal("SIGKILL"), ENDS_WITHIN_MS);
    const ending = await node.ended;
    clearTimeout(hangs);
    const told = await node.tail();
    assert.match(told, /STORE_UNAVAILABLE/);
    assert.is(ending, "exit code 69", told);
    await trap.close();
    await redis.stop();
    await rm(folder, { recursive: true });
  });
}

test.run();
