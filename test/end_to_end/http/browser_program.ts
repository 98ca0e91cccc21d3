/** The program that runs in the browser: bundled with the clients, called by `browser.test.ts`. */
import {
  type ConsumedItem,
  Consumer,
  connectWebSocket,
  Producer,
  type Subprotocol,
  type WirePosition,
} from "../../../protocols/mod.ts";

interface Task {
  readonly endpoint: string;
  readonly subprotocol: Subprotocol;
  readonly count: number;
  /** The number of times that the wire is cut, spread over the events that are sent. */
  readonly cuts?: number;
}

declare global {
  interface Window {
    program: typeof program;
    /** Has the test cut the wire; resolves once it is cut. */
    cutWire(): Promise<void>;
  }
}

async function produce({ endpoint, subprotocol, count, cuts = 0 }: Task) {
  let acked = 0;
  let welcomes = 0;
  let rejected = 0;
  let onNextWelcome = () => {};
  const producer = new Producer({
    connect: connectWebSocket({ subprotocol }),
    addresses: [endpoint],
    producerId: `browser/${subprotocol}`,
    stream: "readings",
    batchEventsMax: 50,
    bufferEventsMax: 500,
    onWelcome: () => {
      welcomes++;
      onNextWelcome();
    },
    onRejected: () => rejected++,
    onAck: (ack) => {
      acked += ack.count;
    },
  });
  const eventsPerPart = Math.ceil(count / (cuts + 1));
  for (let n = 0; n < count; n++) {
    if (n > 0 && n % eventsPerPart === 0) {
      // Each cut ends a connection of this producer: the next part waits until the producer is connected again.
      const isConnectedAgain = new Promise<void>((resolve) => {
        onNextWelcome = resolve;
      });
      await window.cutWire();
      await isConnectedAgain;
    }
    const event = { n, of: subprotocol, text: "\u00e4\u{1f30a}", at: new Date(n), bytes: new Uint8Array([n & 255]) };
    await producer.send(n === 7 ? { ...event, n: "not a number" } : event, { partition: n % 2 });
  }
  const { inDoubt } = await producer.close({ timeoutMs: 30_000 });
  return { acked, rejected, welcomes, inDoubt: inDoubt.length };
}

/** The events of this subprotocol that were read, by partition; `isWhole` where every value came back unchanged. */
async function consume({ endpoint, subprotocol, count }: Task) {
  const consumer = new Consumer({ connect: connectWebSocket({ subprotocol }), addresses: [endpoint] });
  const seen: number[][] = [[], []];
  let isWhole = true;
  let left = count;
  for await (const item of consumer.subscribe({ stream: "readings", from: "earliest", windowBytes: 65_536 })) {
    if (item.kind !== "records") throw new Error(`unexpected: ${item.kind}`);
    for (const { event } of item.records) {
      if (event.of !== subprotocol) continue;
      const n = event.n as number;
      seen[item.partition]?.push(n);
      const isBytes = event.bytes instanceof Uint8Array && event.bytes[0] === (n & 255);
      const isTime = event.at instanceof Date && event.at.getTime() === n;
      isWhole &&= isBytes && isTime && event.text === "\u00e4\u{1f30a}";
      left--;
    }
    if (left <= 0) break;
  }
  consumer.close();
  return { seen, isWhole };
}

async function firstItem(endpoint: string, subprotocol: Subprotocol, stream: string, from: WirePosition) {
  const consumer = new Consumer({ connect: connectWebSocket({ subprotocol }), addresses: [endpoint] });
  const items = consumer.subscribe({ stream, partitions: [{ partition: 0, from }] });
  const { value } = (await items.next()) as IteratorYieldResult<ConsumedItem>;
  const next = (await items.next()) as IteratorYieldResult<ConsumedItem>;
  consumer.close();
  return { first: value, thenFrom: next.value.kind === "records" ? next.value.records[0]?.position.offset : undefined };
}

const program = { produce, consume, firstItem };
window.program = program;
