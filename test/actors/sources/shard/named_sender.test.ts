import { test } from "uvu";
import * as assert from "uvu/assert";
import { createMemoryLog } from "../../../../actors/log/embedded/memory_log.ts";
import { PartitionChoice } from "../../../../actors/sources/shard/item_events.ts";
import { NamedSender } from "../../../../actors/sources/shard/named_sender.ts";
import type { NamedItem } from "../../../../actors/sources/source.ts";
import type { SendOptions } from "../../../../protocols/client/producer/producer.ts";
import { FencedError } from "../../../../protocols/errors.ts";
import { partitionOfKey } from "../../../../protocols/partitioner.ts";
import type { Sequence } from "../../../../protocols/sequence.ts";

const item = (messageId: string, key?: string): NamedItem => ({
  messageId,
  item: { kind: "event", event: { id: messageId }, ...(key === undefined ? {} : { key }) },
});

/** What a sender does to the log and to its producer, in order. */
class World {
  readonly log = createMemoryLog();
  readonly calls: string[] = [];
  readonly sent: SendOptions[] = [];
  last: Sequence | undefined;
  /** Called before each stored page is read. */
  onRead: () => void = () => {};
  /** A later life has opened the chains. */
  isFenced = false;

  open(choice = new PartitionChoice({ partitions: 2 })): Promise<NamedSender> {
    return NamedSender.open({
      name: "s",
      stream: "lines",
      choice,
      fields: {},
      nowMs: () => 0,
      log: {
        readMetadata: (key) => {
          this.calls.push("read");
          this.onRead();
          return this.log.readMetadata(key);
        },
        writeMetadata: async (...given) => {
          const written = await this.log.writeMetadata(...given);
          this.calls.push("written");
          return written;
        },
      },
      producer: {
        open: async (_stream, partition) => {
          await undefined;
          if (this.isFenced) throw new FencedError("PRODUCER_FENCED", "Cannot open as another instance runs");
          this.calls.push(`opened ${partition}`);
          return { lastSequence: this.last, position: undefined };
        },
        send: async (_event, options) => {
          this.calls.push("sent");
          if (options !== undefined) this.sent.push(options);
        },
      },
    });
  }
}

const signal = new AbortController().signal;

test("N1: the chain of every partition is opened before a stored id is read", async () => {
  const world = new World();
  await world.open();
  assert.equal(world.calls.slice(0, 3), ["opened 0", "opened 1", "read"]);
  assert.equal(world.calls.lastIndexOf("opened 1"), 1);
});

test("N1: the ids of items that are not in the log are taken out of the store before anything is sent", async () => {
  const world = new World();
  await (await world.open()).send([item("a")], signal);
  await (await world.open()).send([item("a")], signal); // the chain is empty: `a` was not stored
  world.last = world.sent.at(-1)?.sequence;
  const third = await world.open();
  await third.send([item("a")], signal);
  assert.is(world.sent.length, 2);
  // A life that dies right after its opening leaves no id that the next one takes for stored.
  const died = new World();
  await (await died.open()).send([item("a")], signal);
  await died.open();
  died.last = [9, 0, 0]; // the chain has gone on meanwhile
  await (await died.open()).send([item("a")], signal);
  assert.is(died.sent.length, 2);
});

test("N4: a life that reads the ids of a later one does not take that one's items for never sent", async () => {
  const world = new World();
  const later = await world.open();
  const slow = new World();
  Object.assign(slow, { log: world.log });
  await later.send([item("a")], signal);
  slow.onRead = () => {
    slow.isFenced = true;
  };
  assert.match(String(await slow.open().catch((reason: Error) => reason)), /another instance runs/);
  assert.not.ok(slow.calls.includes("written"));
  world.last = world.sent.at(-1)?.sequence;
  await (await world.open()).send([item("a")], signal);
  assert.is(world.sent.length, 1);
});

test("N2: the ids of a batch are stored before its first item is sent", async () => {
  const world = new World();
  const sender = await world.open();
  world.calls.length = 0;
  await sender.send([item("a"), item("b")], signal);
  assert.equal(world.calls, ["written", "sent", "sent"]);
});

test("the key chooses the partition, else the id does", async () => {
  const world = new World();
  const sender = await world.open();
  await sender.send([item("a", "one"), item("b")], signal);
  assert.equal(
    world.sent.map(({ partition }) => partition),
    [partitionOfKey("one", 2), partitionOfKey("b", 2)],
  );
  const keyed = new World();
  await (await keyed.open(new PartitionChoice({ partitions: 97, key: "/id" }))).send([item("c", "one")], signal);
  assert.is(keyed.sent[0]?.partition, partitionOfKey("c", 97));
});

test("a second life that runs at the same time cannot store ids: the earlier one ends", async () => {
  const world = new World();
  const [one, two] = [await world.open(), await world.open()];
  await two.send([item("b")], signal);
  const error = await one.send([item("a")], signal).catch((reason: Error) => reason);
  assert.match(String(error), /one node alone may run it/);
  assert.is(world.sent.length, 1);
});

test("ids and batches beyond their bounds are refused before anything is stored", async () => {
  const world = new World();
  const sender = await world.open();
  world.calls.length = 0;
  const many = Array.from({ length: 4_097 }, (_, at) => item(`m${at}`));
  for (const items of [[item("")], [item("x".repeat(257))], [item(7 as never)], many]) {
    const error = await sender.send(items, signal).catch((reason: Error) => reason);
    assert.match(String(error), /Cannot send/);
  }
  assert.equal(world.calls, []);
});

test.run();
