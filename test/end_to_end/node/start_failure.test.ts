/** A node that cannot start ends and leaves nothing open, so that it can be started again. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { startProcess } from "../../../scripts/console/local_cluster/local_process.ts";
import { type MovableAddress, startMovableAddress } from "../../support/clients/movable_address.ts";
import { headraceArguments } from "../../support/processes/headrace_program.ts";
import { requireRedis, startRedis } from "../../support/redis/redis_server.ts";

requireRedis();

const ENDS_WITHIN_MS = 20_000;

/** A way to Redis on which all connections break whenever metadata is read, once `armedBy` has passed. */
function startTrap(toPort: number, armedBy: string): Promise<MovableAddress> {
  let isArmed = false;
  return startMovableAddress(toPort, (bytes) => {
    isArmed ||= bytes.includes(armedBy);
    return isArmed && bytes.includes("HGETALL") && bytes.includes("metadata");
  });
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
      args: headraceArguments([
        ...["up", "--json", "--config", config, "--name", "a", "--port", "0", "--data", join(folder, "data")],
      ]),
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
