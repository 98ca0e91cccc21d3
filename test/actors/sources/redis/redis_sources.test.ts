import { test } from "uvu";
import * as assert from "uvu/assert";
import { redisGroupSource } from "../../../../actors/sources/redis/redis_group_source.ts";
import { redisSource } from "../../../../actors/sources/redis/redis_source.ts";
import type {
  NamedItem,
  PlacedItem,
  SourceBatch,
  SourceItem,
  SourceReader,
} from "../../../../actors/sources/source.ts";
import { applicationOf } from "../../../conformance/sources/house_places.ts";
import { eventually } from "../../../support/processes/running_node.ts";
import { requireRedis, startRedis } from "../../../support/redis/redis_server.ts";

requireRedis();
const server = await startRedis();
const app = await applicationOf(server);
let streams = 0;
const newStream = () => `s${++streams}`;

/** One life of a reader. Gives out its batches one by one. */
class Life<Item extends PlacedItem | NamedItem> {
  readonly #stop = new AbortController();
  readonly #reader: SourceReader<Item>;
  readonly #batches: AsyncIterator<SourceBatch<Item>>;
  readonly notes: Notes;

  constructor(reader: SourceReader<Item>, notes: Notes) {
    this.#reader = reader;
    this.#batches = reader.read(this.#stop.signal)[Symbol.asyncIterator]();
    this.notes = notes;
  }

  async next(): Promise<SourceBatch<Item>> {
    return (await this.#batches.next()).value as SourceBatch<Item>;
  }

  /** The next batch with items, as the texts of their field `n`. */
  async read(): Promise<readonly unknown[]> {
    for (;;) {
      const { items } = await this.next();
      if (items.length > 0) return items.map(({ item }) => textOf(item));
    }
  }

  acknowledge(batch: SourceBatch<Item>): Promise<void> {
    return this.#reader.acknowledge?.(batch) ?? Promise.resolve();
  }

  async end(): Promise<void> {
    this.#stop.abort();
    await this.#batches.return?.();
    await this.#reader.close();
  }
}

const textOf = (item: SourceItem): unknown => (item.kind === "event" ? item.event.n : item.reason);

class Notes {
  readonly logged: string[] = [];
  readonly troubles: (string | undefined)[] = [];
  lostCount = 0;

  contextOf(shard: string) {
    return {
      ...{ name: `source/${shard}`, shard, nowMs: Date.now },
      log: (level: string, message: string, fields: object = {}) =>
        void this.logged.push(`${level} ${message} ${JSON.stringify(fields)}`),
      trouble: (code: string | undefined) => void this.troubles.push(code),
      lost: (count: number) => {
        this.lostCount += count;
      },
    };
  }
}

async function byPosition(stream: string, more: object = {}, resume?: object): Promise<Life<PlacedItem>> {
  const notes = new Notes();
  const options = { url: server.url, streams: [stream], ...more };
  return new Life(await redisSource.open(options, notes.contextOf(stream), resume as never), notes);
}

async function byGroup(stream: string, more: object = {}): Promise<Life<NamedItem>> {
  const notes = new Notes();
  const options = { url: server.url, streams: [stream], group: "g", ...more };
  return new Life(await redisGroupSource.open(options, notes.contextOf(stream), undefined), notes);
}

const add = async (stream: string, ...texts: readonly string[]) => {
  const ids: string[] = [];
  for (const n of texts) ids.push(await app.xAdd(stream, "*", { n }));
  return ids;
};

test("an entry's position is its id, and its time the milliseconds of the id", async () => {
  const stream = newStream();
  await app.xAdd(stream, "1700000000000-7", { n: "a" });
  const life = await byPosition(stream);
  await life.next();
  const { items, resume } = await life.next();
  assert.equal(items, [
    { item: { kind: "event", event: { n: "a" }, timeMs: 1_700_000_000_000 }, term: 1_700_000_000_000, position: 7 },
  ]);
  assert.equal(resume, { id: "1700000000000-7", entries: 1 });
  await life.end();
});

test("X1: the end where reading begins is stored first, so entries that come before the first restart are read", async () => {
  const stream = newStream();
  await add(stream, "old");
  const first = await byPosition(stream, { from: "end" });
  const { items, resume } = await first.next();
  assert.equal(items, []);
  await first.end();
  await add(stream, "new");
  const second = await byPosition(stream, { from: "end" }, resume);
  assert.equal(await second.read(), ["new"]);
  await second.end();
});

test("X2: entries that were trimmed before they were read are logged and counted, once", async () => {
  const stream = newStream();
  await add(stream, "1", "2");
  const first = await byPosition(stream);
  await first.next();
  const { resume } = await first.next();
  await first.end();
  await add(stream, "3", "4", "5", "6");
  await app.xTrim(stream, "MAXLEN", 2);
  const second = await byPosition(stream, {}, resume);
  assert.equal(await second.read(), ["5", "6"]);
  assert.is(second.notes.lostCount, 2);
  assert.match(second.notes.logged.join("\n"), /error entries were removed.*"entries":2/);
  await add(stream, "7");
  assert.equal(await second.read(), ["7"]);
  await app.xTrim(stream, "MAXLEN", 0);
  await add(stream, "8");
  assert.equal(await second.read(), ["8"]);
  assert.is(second.notes.lostCount, 2);
  await second.end();
});

test("X2: what was trimmed after it was read, or before the source ever read, is no loss", async () => {
  const stream = newStream();
  await add(stream, "1", "2", "3");
  await app.xTrim(stream, "MAXLEN", 2);
  const life = await byPosition(stream);
  assert.equal(await life.read(), ["2", "3"]);
  await app.xTrim(stream, "MAXLEN", 0);
  await add(stream, "4");
  assert.equal(await life.read(), ["4"]);
  assert.is(life.notes.lostCount, 0);
  await life.end();
});

test("X3: a stream that was made anew behind what was read is told as trouble", async () => {
  const stream = newStream();
  await app.xAdd(stream, "5-1", { n: "new" });
  const life = await byPosition(stream, {}, { id: "9-0", entries: 1 });
  const reading = life.read();
  await eventually(() => (life.notes.troubles.includes("NOT_READY") ? true : undefined));
  assert.match(life.notes.logged.join("\n"), /must not lie behind what was read \(9-0\): current value is 5-1/);
  await app.xAdd(stream, "9-1", { n: "later" });
  assert.equal(await reading, ["later"]);
  assert.is(life.notes.troubles.at(-1), undefined);
  await life.end();
});

test("a stream that does not exist yet is waited for, by both kinds", async () => {
  for (const open of [byPosition, byGroup]) {
    const stream = newStream();
    const life = await open(stream);
    const reading = life.read();
    await eventually(() => (life.notes.troubles.length > 0 ? true : undefined));
    assert.is(await app.exists(stream), 0);
    await add(stream, "first");
    assert.equal(await reading, ["first"]);
    assert.is(life.notes.troubles.at(-1), undefined);
    await life.end();
  }
});

test("Y1: what an earlier life was given and did not acknowledge comes first, then what is new", async () => {
  const stream = newStream();
  await add(stream, "1", "2");
  const first = await byGroup(stream);
  await first.next();
  await first.end();
  await add(stream, "3");
  const second = await byGroup(stream);
  const again = await second.next();
  assert.equal(
    again.items.map(({ item }) => textOf(item)),
    ["1", "2"],
  );
  await second.acknowledge(again);
  assert.equal(await second.read(), ["3"]);
  const { pending } = (await app.xPending(stream, "g")) as { pending: number };
  assert.is(pending, 1);
  await second.end();
});

test("Y2: entries that another consumer left unacknowledged are taken over", async () => {
  const stream = newStream();
  await add(stream, "1");
  await app.xGroupCreate(stream, "g", "0");
  await app.xReadGroup("g", "another", { key: stream, id: ">" });
  const life = await byGroup(stream, { claimAfterMs: 100 });
  assert.equal(await life.read(), ["1"]);
  await life.end();
});

test("Y3: an entry that was deleted while it was pending is acknowledged, logged and counted", async () => {
  const stream = newStream();
  const [id = ""] = await add(stream, "1", "2");
  const first = await byGroup(stream);
  await first.next();
  await first.end();
  await app.xDel(stream, id);
  const second = await byGroup(stream);
  assert.equal(await second.read(), ["2"]);
  assert.is(second.notes.lostCount, 1);
  assert.is(((await app.xPending(stream, "g")) as { pending: number }).pending, 1);
  await second.end();
});

test("a key that holds no stream is told as trouble and by the live check", async () => {
  const key = newStream();
  await app.set(key, "text");
  for (const open of [byPosition, byGroup]) {
    const life = await open(key);
    const reading = life.next();
    await eventually(() => (life.notes.troubles.includes("WRONGTYPE") ? true : undefined));
    await life.end();
    await reading;
  }
  const options = { url: server.url, streams: [key] };
  const refused = await redisSource.test?.(options, new Notes().contextOf("")).catch((error: Error) => error);
  assert.match(String(refused), /WRONGTYPE/);
  await redisSource.test?.({ ...options, streams: [newStream()] }, new Notes().contextOf(""));
  const away = { ...options, url: "redis://127.0.0.1:1" };
  const error = await redisSource.test?.(away, new Notes().contextOf("")).catch((reason: Error) => reason);
  assert.match(String(error), /ECONNREFUSED/);
});

test("a stop ends a read that waits at once", async () => {
  const life = await byPosition(newStream());
  await life.next();
  const reading = life.next();
  const startedMs = performance.now();
  await life.end();
  await reading;
  assert.ok(performance.now() - startedMs < 1_000);
});

test.after(async () => {
  app.destroy();
  await server.stop();
});

test.run();
