/**
 * The load generator of NATS JetStream: one message an event, with a dedupe id, a number of them in flight per client.
 */
import { jetstream, jetstreamManager } from "@nats-io/jetstream";
import { type NatsConnection, wsconnect } from "@nats-io/nats-core";
import { connect } from "@nats-io/transport-node";
import { workloadEvent } from "../../workload.ts";

export interface NatsLoadOptions {
  /** `ws://...` or `nats://...`. */
  readonly url: string;
  readonly clients: number;
  readonly inFlightEvents: number;
  readonly warmUpMs: number;
  readonly measureMs: number;
}

const open = (url: string): Promise<NatsConnection> => {
  // nats-core's WebSocket transport needs the global class, which Node 20 lacks.
  return url.startsWith("ws") ? wsconnect({ servers: url }) : connect({ servers: url });
};

export async function natsLoad(options: NatsLoadOptions): Promise<number> {
  if (globalThis.WebSocket === undefined) globalThis.WebSocket = (await import("ws")).WebSocket as never;
  const admin = await open(options.url);
  const manager = await jetstreamManager(admin);
  await manager.streams.add({ name: "bench", subjects: ["bench"], max_bytes: 2_000_000_000 });
  const encoder = new TextEncoder();
  const beginMs = performance.now() + options.warmUpMs;
  const endMs = beginMs + options.measureMs;
  const run = `${Date.now()}`;
  let acked = 0;
  const publishing = async (client: number): Promise<void> => {
    const connection = await open(options.url);
    const js = jetstream(connection);
    let n = 0;
    const chain = async (): Promise<void> => {
      while (performance.now() < endMs) {
        const id = n++;
        await js.publish("bench", encoder.encode(JSON.stringify(workloadEvent(client, id))), {
          msgID: `${run}-${client}-${id}`,
        });
        const now = performance.now();
        if (now >= beginMs && now < endMs) acked += 1;
      }
    };
    await Promise.all(Array.from({ length: Math.ceil(options.inFlightEvents / options.clients) }, chain));
    await connection.close();
  };
  await Promise.all(Array.from({ length: options.clients }, (_, client) => publishing(client)));
  await manager.streams.delete("bench");
  await admin.close();
  return acked / (options.measureMs / 1_000);
}
