/** A producer and a consumer over real sockets, while their partitions move from server to server. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import WebSocket from "ws";
import { Consumer } from "../../../protocols/client/consumer/consumer.ts";
import { Producer } from "../../../protocols/client/producer/producer.ts";
import { connectWebSocket } from "../../../protocols/client/websocket_connection.ts";
import { SUBPROTOCOL_JSON, SUBPROTOCOL_MSGPACK, type Subprotocol } from "../../../protocols/wire/frames.ts";
import { OwnerFronts } from "../../support/fakes/owner_fronts.ts";
import { runningNode } from "../../support/processes/running_node.ts";
import { seededRandom } from "../../support/seeded_random.ts";

const PARTITIONS = 4;
const EVENTS = 4_000;
const FRONTS = 3;

const connectBy = (subprotocol: Subprotocol) => connectWebSocket({ subprotocol, webSocket: WebSocket as never });

/** Reads until every partition has the given number of records, and answers these. */
async function readAll(consumer: Consumer, count: number): Promise<number[][]> {
  const seen: number[][] = Array.from({ length: PARTITIONS }, () => []);
  let left = count;
  for await (const item of consumer.subscribe({ stream: "readings", from: "earliest", windowBytes: 65_536 })) {
    if (item.kind !== "records") continue;
    for (const { event } of item.records) seen[item.partition]?.push(event.n as number);
    left -= item.records.length;
    if (left <= 0) break;
  }
  return seen;
}

/** Rejects with the state of the servers if a run comes to a halt. */
const HALTED_AFTER_MS = 90_000;

function unlessHalted<Value>(fronts: OwnerFronts, where: () => string, work: Promise<Value>): Promise<Value> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      const owners = `owners ${fronts.owners.join()} of ${fronts.addresses.join(" ")}`;
      reject(new Error([`halted: ${where()}`, owners, ...fronts.heard].join("\n")));
    }, HALTED_AFTER_MS);
    work.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}

for (const subprotocol of [SUBPROTOCOL_MSGPACK, SUBPROTOCOL_JSON] as const) {
  test(`partitions are followed from server to server, each event stored and read once and in order (${subprotocol})`, async () => {
    const node = await runningNode(
      `log: { type: memory }\nstreams: { readings: { partitions: ${PARTITIONS}, durability: memory } }\n`,
    );
    const fronts = await OwnerFronts.start(node.endpoint, "readings", FRONTS, [0, 1, 2, 0]);
    const random = seededRandom(7);
    const addresses = fronts.addresses.slice(0, 1);
    const connect = connectBy(subprotocol);
    let acked = 0;
    const followed = new Set<string | undefined>();
    const producer = new Producer({
      connect,
      addresses,
      producerId: "p",
      stream: "readings",
      batchEventsMax: 20,
      bufferEventsMax: 400,
      onMoved: ({ address }) => followed.add(address),
      onAck: ({ count }) => {
        const before = acked;
        acked += count;
        if (Math.floor(before / 100) === Math.floor(acked / 100)) return;
        fronts.move(random.below(PARTITIONS), random.below(FRONTS));
        if (random.below(5) === 0) fronts.cut(random.below(FRONTS));
      },
    });
    const reader = new Consumer({ connect, addresses });
    const reading = readAll(reader, EVENTS);
    const writing = async () => {
      for (let n = 0; n < EVENTS; n++) await producer.send({ n }, { partition: n % PARTITIONS });
      await producer.flush();
    };
    await unlessHalted(fronts, () => `${acked} of ${EVENTS} acknowledged`, writing());
    const seen = await unlessHalted(fronts, () => "all acknowledged, and not all read", reading);
    const direct = new Consumer({ connect, addresses: [node.endpoint] });
    const stored = await unlessHalted(fronts, () => "the log does not hold all", readAll(direct, EVENTS));
    for (let partition = 0; partition < PARTITIONS; partition++) {
      const given = Array.from({ length: EVENTS / PARTITIONS }, (_, index) => index * PARTITIONS + partition);
      assert.equal(stored[partition], given);
      assert.equal(seen[partition], given);
    }
    assert.ok(fronts.movesTold > 20 && followed.size === FRONTS, `${fronts.movesTold} ${[...followed].join()}`);
    const closed = await unlessHalted(fronts, () => "the producer does not close", producer.close());
    assert.equal(closed.inDoubt, []);
    reader.close();
    direct.close();
    await unlessHalted(fronts, () => "the servers do not close", fronts.end());
    assert.equal(await unlessHalted(fronts, () => "the node does not end", node.end()), []);
  });
}

test("after an owner is gone the client tries the given addresses until its partitions have an owner again", async () => {
  const node = await runningNode(
    "log: { type: memory }\nstreams: { readings: { partitions: 4, durability: memory } }\n",
  );
  const fronts = await OwnerFronts.start(node.endpoint, "readings", 2, [0, 1, 0, 0]);
  const connect = connectBy(SUBPROTOCOL_MSGPACK);
  const options = { connect, addresses: fronts.addresses.slice(0, 1) };
  const producer = new Producer({ ...options, producerId: "p", stream: "readings" });
  await producer.sendAndConfirm({ n: 0 }, { partition: 1 });
  await fronts.close(1);
  const later = producer.sendAndConfirm({ n: 1 }, { partition: 1 });
  assert.is((await producer.sendAndConfirm({ n: 2 }, { partition: 0 })).kind, "stored"); // other partitions do not wait for this one
  fronts.move(1, 0);
  assert.is((await later).kind, "stored");
  const consumer = new Consumer(options);
  const seen = await readAll(consumer, 3);
  assert.equal(seen.slice(0, 2), [[2], [0, 1]]);
  await producer.close();
  consumer.close();
  await fronts.end();
  assert.equal(await node.end(), []);
});

test.run();
