/**
 * The contents of the kept samples of stored formats: one small log with every kind of stored value, the same each time it
 * is written. Also dumps a store as text, and fills a store from a sample.
 */

import type { OrderedStore } from "../../../actors/log/embedded/ordered_store.ts";
import type { Claim, Log, OpenChainOutcome } from "../../../actors/log/log.ts";
import { loadDriver } from "../../../deps.ts";
import { epoch } from "../../../protocols/position.ts";
import { dense, partition } from "../../conformance/log/log_batches.ts";

export const SAMPLE_PARTITION = partition(0);
/** Above every clock, so that the log makes the same epochs at any time. */
export const SAMPLE_EPOCH = 9_000_000_000_000;
const SETTINGS = { tier: "memory", chains: { dedupeWindowMs: 60_000, producersMax: 100 } } as const;

export const claimSample = (log: Log, atLeast = SAMPLE_EPOCH, leaderEpoch = 3): Promise<Claim> =>
  log.claim(SAMPLE_PARTITION, { leaderEpoch, tableVersion: 7 }, epoch(atLeast), SETTINGS);

export const openSampleChain = (log: Log, { ownership }: Claim): Promise<OpenChainOutcome> =>
  log.openChain(ownership, "records", "sensor", 5, 2_000);

export async function writeSampleLog(log: Log): Promise<void> {
  const { ownership } = await claimSample(log);
  const position = {
    extra: { position: { line: 17 }, traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01" },
  };
  const batches = [dense("sensor", 0, 3, { rejected: [1], ...position }), dense("http/key", 0, 1)];
  await log.append(ownership, { channel: "records", batches, checkpoints: new Map([["sink/a", Buffer.from("at 2")]]) });
  const again = await claimSample(log, SAMPLE_EPOCH + 10);
  await log.append(again.ownership, { channel: "records", batches: [dense("sensor", 3, 1)] });
  await log.append(again.ownership, { channel: "outbox/p", batches: [dense("p", 0, 2)] });
  await log.append(again.ownership, { channel: "dead_letters/a", batches: [dense("sink/a/0", 0, 1)] });
  await log.openChain(again.ownership, "records", "silent", 4, 1_500);
  await log.welcomeProducer("sensor", "instance-1", SAMPLE_EPOCH, 1_000);
  await log.writeMetadata("schemas/orders", Buffer.from("{}"), 0);
}

/** Writes chains that belong to principals. Chains of earlier releases name none. */
export async function writeOwnedSample(log: Log): Promise<void> {
  const { ownership } = await claimSample(log);
  const extra = { owner: "plant" };
  const batches = [
    dense("sensor", 0, 1, { extra: { ...extra, position: { line: 17 } } }),
    dense("meter", 0, 1, { extra }),
    dense("http/key", 0, 1, { extra: { owner: "web" } }),
    dense("nobody's", 0, 1),
  ];
  await log.append(ownership, { channel: "records", batches });
  await log.openChain(ownership, "records", "silent", 4, 1_500, "lab");
}

/** All keys of a store with their values in hex. */
export const dumpStore = (store: OrderedStore): [string, string][] =>
  Array.from(store.range("\u0001", "\uffff"), ([key, value]) => [key, Buffer.from(value).toString("hex")]);

export async function fillStore(store: OrderedStore, sample: readonly (readonly [string, string])[]): Promise<void> {
  await store.commit(new Map(sample.map(([key, hex]) => [key, Buffer.from(hex, "hex")]))).committed;
}

/** Commands that make each key as it is, with arguments in hex, without the keys that a node makes for itself. */
export async function dumpRedis(port: number, prefix: string): Promise<string[][]> {
  return withRedis(port, async (send) => {
    const keys = ((await send("KEYS", `${prefix}*`)) as Buffer[]).map(String).sort();
    const commands: Buffer[][] = [];
    for (const key of keys) {
      if (["cluster_id", "probe"].includes(key.slice(prefix.length))) continue;
      const type = String(await send("TYPE", key));
      if (type === "string") commands.push([Buffer.from("SET"), Buffer.from(key), (await send("GET", key)) as Buffer]);
      if (type === "hash") {
        const fields = (await send("HGETALL", key)) as Buffer[];
        const pairs = fields.flatMap((name, at) => (at % 2 === 0 ? [[name, fields[at + 1] as Buffer]] : []));
        pairs.sort(([left], [right]) => Buffer.compare(left as Buffer, right as Buffer));
        commands.push([Buffer.from("HSET"), Buffer.from(key), ...pairs.flat()]);
      }
      if (type === "zset") {
        const members = (await send("ZRANGE", key, "0", "-1")) as Buffer[];
        commands.push([
          Buffer.from("ZADD"),
          Buffer.from(key),
          ...members.flatMap((member) => [Buffer.from("0"), member]),
        ]);
      }
      if (type === "stream") {
        for (const [id, fields] of (await send("XRANGE", key, "-", "+")) as [Buffer, Buffer[]][]) {
          commands.push([Buffer.from("XADD"), Buffer.from(key), id, ...fields]);
        }
      }
    }
    return commands.map((command) => command.map((part) => part.toString("hex")));
  });
}

export const fillRedis = (port: number, sample: readonly (readonly string[])[]): Promise<void> =>
  withRedis(port, async (send) => {
    for (const command of sample) await send(...command.map((hex) => Buffer.from(hex, "hex")));
  });

type Send = (...args: (string | Buffer)[]) => Promise<unknown>;

async function withRedis<Value>(port: number, run: (send: Send) => Promise<Value>): Promise<Value> {
  const { createClient, RESP_TYPES } = await loadDriver("redis");
  const client = createClient({
    url: `redis://127.0.0.1:${port}`,
    RESP: 2,
    commandOptions: { typeMapping: { [RESP_TYPES.BLOB_STRING]: Buffer } },
  });
  await client.connect();
  try {
    return await run((...args) => client.sendCommand(args));
  } finally {
    client.destroy();
  }
}
