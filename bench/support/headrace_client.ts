/** A load generator that speaks the protocol frame by frame: closed loop, a fixed number of batches in flight per chain. */
import { decodeFrame, encodeFrame } from "../../protocols/codec.ts";
import { encodeEvents } from "../../protocols/event_codec.ts";
import { type ClientFrame, type NodeFrame, SUBPROTOCOL_MSGPACK } from "../../protocols/frames.ts";
import type { Sequence } from "../../protocols/sequence.ts";
import { workloadEvent } from "../workload.ts";
import { GatheredSocket } from "./gathered_socket.ts";

export interface LoadOptions {
  readonly endpoint: string;
  readonly stream: string;
  readonly partitions: number;
  readonly connections: number;
  readonly batchEvents: number;
  /** Events under way in all. */
  readonly inFlightEvents: number;
  readonly warmUpMs: number;
  readonly measureMs: number;
}

/** Acknowledged events a second during the measured time. */
export async function headraceLoad(options: LoadOptions): Promise<number> {
  const perChain = Math.max(
    1,
    Math.round(options.inFlightEvents / options.batchEvents / options.connections / options.partitions),
  );
  const clock = { beginMs: performance.now() + options.warmUpMs, endMs: 0, acked: 0 };
  clock.endMs = clock.beginMs + options.measureMs;
  await Promise.all(
    Array.from({ length: options.connections }, (_, client) => connection(client, perChain, options, clock)),
  );
  return clock.acked / (options.measureMs / 1_000);
}

function connection(
  client: number,
  perChain: number,
  options: LoadOptions,
  clock: { readonly beginMs: number; readonly endMs: number; acked: number },
): Promise<void> {
  const { batchEvents } = options;
  const socket = new GatheredSocket(options.endpoint, SUBPROTOCOL_MSGPACK);
  socket.binaryType = "nodebuffer";
  const chains = Array.from({ length: options.partitions }, () => ({
    next: 0,
    last: null as Sequence | null,
    acked: -1,
  }));
  let producerEpoch = 0;
  let n = 0;
  const send = (frame: ClientFrame) => socket.sendGathered(encodeFrame(frame, SUBPROTOCOL_MSGPACK));
  const pump = (partition: number) => {
    const chain = chains[partition];
    if (chain === undefined) return;
    while (chain.next - (chain.acked + 1) < perChain * batchEvents) {
      const events = Array.from({ length: batchEvents }, () => workloadEvent(client, n++));
      send({
        type: "append",
        stream: options.stream,
        partition,
        producerEpoch,
        previousSequence: chain.last,
        sequences: { first: [0, chain.next, 0], count: batchEvents },
        events: encodeEvents(events, { asRecords: batchEvents > 1 }),
      });
      chain.next += batchEvents;
      chain.last = [0, chain.next - 1, 0];
    }
  };
  return new Promise((resolve, reject) => {
    const onFrame = (frame: NodeFrame) => {
      if (frame.type === "welcome") {
        producerEpoch = frame.producerEpoch ?? 0;
        for (const partition of chains.keys()) send({ type: "open", stream: options.stream, partition, producerEpoch });
      } else if (frame.type === "opened") pump(frame.partition);
      else if (frame.type === "ack") {
        const chain = chains[frame.partition];
        if (chain === undefined) return;
        const now = performance.now();
        if (now >= clock.beginMs && now < clock.endMs) clock.acked += frame.lastSequence[1] - chain.acked;
        chain.acked = frame.lastSequence[1];
        if (now < clock.endMs) pump(frame.partition);
        else if (chains.every(({ acked, next }) => acked === next - 1)) socket.close();
        if (frame.verdicts !== undefined) reject(new Error(`rejected: ${JSON.stringify(frame.verdicts[0])}`));
      } else if (frame.type !== "credit") reject(new Error(JSON.stringify(frame)));
    };
    socket.on("open", () =>
      send({ type: "hello", client: "bench", producerId: `bench-${client}-${Date.now()}`, instance: "i" }),
    );
    socket.on("message", (data) => onFrame(decodeFrame(data as Buffer, SUBPROTOCOL_MSGPACK) as NodeFrame));
    socket.on("close", () => resolve());
    socket.on("error", reject);
  });
}
