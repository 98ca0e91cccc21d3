/**
 * A connection of a load generator: says hello, opens its chain in every partition, and sends appends frame by frame.
 * No batching, no buffer and no resending, so that only the node is measured.
 */

import type { Event } from "../../protocols/event.ts";
import type { Sequence } from "../../protocols/sequence.ts";
import { encodeEvents } from "../../protocols/values/event_codec.ts";
import { decodeFrame, encodeFrame } from "../../protocols/wire/codec.ts";
import { type AckFrame, type ClientFrame, type NodeFrame, SUBPROTOCOL_MSGPACK } from "../../protocols/wire/frames.ts";
import { GatheredSocket } from "./clients/gathered_socket.ts";

export interface BenchConnectionOptions {
  readonly endpoint: string;
  readonly stream: string;
  readonly partitions: number;
  readonly producerId: string;
  /** Each frame has a trace context of its own. */
  readonly isTraced?: boolean;
  readonly onAck: (ack: AckFrame) => void;
}

interface Chain {
  /** Sequence of the next event. */
  next: number;
  last: Sequence | null;
  /** Sequence of the last event acknowledged, -1 before the first. */
  acked: number;
}

export class BenchConnection {
  readonly #options: BenchConnectionOptions;
  readonly #socket: GatheredSocket;
  readonly #chains: readonly Chain[];
  #producerEpoch = 0;
  #creditBytes = 0;
  #bytesUnderWay = 0;
  /** Appends that wait for credit, in order. */
  readonly #waiting: Uint8Array[] = [];

  private constructor(options: BenchConnectionOptions, socket: GatheredSocket) {
    this.#options = options;
    this.#socket = socket;
    this.#chains = Array.from({ length: options.partitions }, () => ({ next: 0, last: null, acked: -1 }));
  }

  /** Resolves once every chain is open. Rejects, like `closed`, on a frame that a good client never gets. */
  static async open(options: BenchConnectionOptions): Promise<BenchConnection> {
    const socket = new GatheredSocket(options.endpoint, SUBPROTOCOL_MSGPACK);
    socket.binaryType = "nodebuffer";
    const connection = new BenchConnection(options, socket);
    connection.closed = connection.#serve();
    await Promise.race([connection.#opened(), connection.closed]);
    return connection;
  }

  /** Resolves when the connection has closed in order. */
  closed: Promise<void> = Promise.resolve();
  #chainsOpen = 0;
  #onOpen: (() => void) | undefined;

  /** How many events were sent to a partition and not acknowledged. */
  underWay(partition: number): number {
    const chain = this.#chains[partition];
    return chain === undefined ? 0 : chain.next - chain.acked - 1;
  }

  get isSettled(): boolean {
    return this.#chains.every(({ next, acked }) => acked === next - 1);
  }

  /** Sends events as one frame. */
  append(partition: number, events: readonly Event[]): void {
    const chain = this.#chains[partition] as Chain;
    const frame = encodeFrame(
      {
        type: "append",
        stream: this.#options.stream,
        partition,
        producerEpoch: this.#producerEpoch,
        previousSequence: chain.last,
        sequences: { first: [0, chain.next, 0], count: events.length },
        ...(this.#options.isTraced === true
          ? { traceparent: TRACEPARENTS[chain.next % TRACEPARENTS.length] as string }
          : {}),
        events: encodeEvents(events, { asRecords: events.length > 1 }),
      },
      SUBPROTOCOL_MSGPACK,
    );
    this.#waiting.push(frame as Uint8Array);
    this.#sendWithinCredit();
    chain.next += events.length;
    chain.last = [0, chain.next - 1, 0];
  }

  /** How many events this ack is the first to acknowledge. */
  countAcked({ partition, lastSequence }: AckFrame): number {
    const chain = this.#chains[partition] as Chain;
    const count = lastSequence[1] - chain.acked;
    chain.acked = lastSequence[1];
    return count;
  }

  close(): void {
    this.#socket.close();
  }

  #opened(): Promise<void> {
    return new Promise((resolve) => {
      this.#onOpen = resolve;
    });
  }

  #serve(): Promise<void> {
    const { producerId } = this.#options;
    return new Promise((resolve, reject) => {
      this.#socket.on("open", () => this.#send({ type: "hello", client: "bench", producerId, instance: "i" }));
      this.#socket.on("message", (data) => {
        const frame = decodeFrame(data as Buffer, SUBPROTOCOL_MSGPACK) as NodeFrame;
        if (!this.#take(frame)) reject(new Error(`the node told a load generator ${JSON.stringify(frame)}`));
      });
      this.#socket.on("close", () => resolve());
      this.#socket.on("error", reject);
    });
  }

  /** False for a frame that a good client never gets. */
  #take(frame: NodeFrame): boolean {
    const { stream } = this.#options;
    switch (frame.type) {
      case "welcome":
        this.#producerEpoch = frame.producerEpoch ?? 0;
        this.#creditBytes = frame.creditBytes;
        for (const partition of this.#chains.keys())
          this.#send({ type: "open", stream, partition, producerEpoch: this.#producerEpoch });
        return true;
      case "opened":
        this.#chainsOpen += 1;
        if (this.#chainsOpen === this.#chains.length) this.#onOpen?.();
        return true;
      case "ack":
        // An ack may give back more credit than its batches took. Then the credit grows; only the difference matters here.
        this.#bytesUnderWay -= frame.creditBytes;
        this.#options.onAck(frame);
        this.#sendWithinCredit();
        return frame.verdicts === undefined;
      default:
        return false;
    }
  }

  /** One append may always be under way, however large. */
  #sendWithinCredit(): void {
    let sent = 0;
    for (const frame of this.#waiting) {
      if (this.#bytesUnderWay > 0 && this.#bytesUnderWay + frame.length > this.#creditBytes) break;
      this.#bytesUnderWay += frame.length;
      this.#socket.sendGathered(frame);
      sent += 1;
    }
    this.#waiting.splice(0, sent);
  }

  #send(frame: ClientFrame): void {
    this.#socket.sendGathered(encodeFrame(frame, SUBPROTOCOL_MSGPACK));
  }
}

/** Trace contexts that differ from frame to frame, made beforehand. */
const TRACEPARENTS = Array.from(
  { length: 4_096 },
  (_, n) => `00-${(n + 1).toString(16).padStart(32, "0")}-b7ad6b7169203331-01`,
);
