import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { applicationOf } from "../../conformance/sources/house_places.ts";
import { eventually, runningNode } from "../../support/processes/running_node.ts";
import { requireRedis, startRedis } from "../../support/redis/redis_server.ts";

requireRedis();

interface Stored {
  readonly n: number;
  readonly about: { readonly origin: string };
  readonly at: number;
}

async function storedIn(address: string): Promise<readonly (readonly Stored[])[]> {
  return Promise.all(
    [0, 1].map(async (partition) => {
      const answer = await fetch(`${address}/v1/streams/lines/partitions/${partition}/records?limit=1000`);
      const { records } = (await answer.json()) as { readonly records: readonly { readonly event: Stored }[] };
      return records.map(({ event }) => event);
    }),
  );
}

const configurationOf = (type: string, url: string) => `
log: { type: lmdb }
streams: { lines: { partitions: 2 } }
sources:
  orders:
    type: ${type}
    stream: lines
    url: ${url}
    streams: [orders, returns]
    payload: event
    key: origin
    headers: about
    time: at
    ${type === "redis_group" ? "group: headrace" : ""}
`;

for (const type of ["redis", "redis_group"]) {
  test(`${type}: entries of two streams are stored once over restarts of the node and of that Redis`, async () => {
    const server = await startRedis({ appendfsync: "always" });
    const app = await applicationOf(server);
    const folder = await mkdtemp(join(tmpdir(), "headrace-redis-sources-"));
    let put = 0;
    const add = async (count: number) => {
      for (let one = 0; one < count; one += 1) {
        const stream = put % 2 === 0 ? "orders" : "returns";
        await app.xAdd(stream, `${1_000 + put}-1`, { event: JSON.stringify({ n: put }), origin: `shop ${put % 5}` });
        put += 1;
      }
    };
    try {
      for (const round of [1, 2, 3]) {
        await add(40);
        const node = await runningNode(configurationOf(type, server.url), { folder });
        try {
          await add(40);
          if (round === 2) {
            await server.restart();
            await eventually(() => (app.isReady ? true : undefined));
            await add(20);
          }
          await eventually(async () => ((await storedIn(node.address)).flat().length >= put ? true : undefined));
          const partitions = await storedIn(node.address);
          const numbers = partitions.flat().map(({ n }) => n);
          assert.equal(
            numbers.sort((left, right) => left - right),
            Array.from({ length: put }, (_, n) => n),
          );
          for (const { n, about, at } of partitions.flat()) {
            assert.equal([about, at], [{ origin: `shop ${n % 5}` }, 1_000 + n]);
          }
          // The message's key chooses the partition: all entries of one shop lie in one.
          const shops = partitions.map((events) => new Set(events.map(({ about }) => about.origin)));
          assert.is((shops[0]?.size ?? 0) + (shops[1]?.size ?? 0), 5);
        } finally {
          await node.end();
        }
      }
    } finally {
      app.destroy();
      await server.stop();
      await rm(folder, { recursive: true });
    }
  });
}

test.run();
