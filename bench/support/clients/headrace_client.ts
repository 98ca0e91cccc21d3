/**
 * A load generator that speaks the protocol frame by frame: closed loop, a fixed number of batches in flight per chain.
 */
import { workloadEvent } from "../../workload.ts";
import { BenchConnection } from "../bench_connection.ts";

export interface LoadOptions {
  readonly endpoint: string;
  readonly stream: string;
  readonly partitions: number;
  readonly connections: number;
  readonly batchEvents: number;
  /** Most events under way, over all connections. */
  readonly inFlightEvents: number;
  readonly warmUpMs: number;
  readonly measureMs: number;
  /** Each frame has a trace context of its own. Default: none has one. */
  readonly isTraced?: boolean;
}

interface Count {
  readonly beginMs: number;
  readonly endMs: number;
  acked: number;
}

/** Acknowledged events a second during the measured time. */
export async function headraceLoad(options: LoadOptions): Promise<number> {
  const { inFlightEvents, batchEvents, connections, partitions, warmUpMs, measureMs } = options;
  const perChain = Math.max(1, Math.round(inFlightEvents / batchEvents / connections / partitions));
  const beginMs = performance.now() + warmUpMs;
  const count: Count = { beginMs, endMs: beginMs + measureMs, acked: 0 };
  await Promise.all(Array.from({ length: connections }, (_, client) => load(client, perChain, options, count)));
  return count.acked / (measureMs / 1_000);
}

async function load(client: number, perChain: number, options: LoadOptions, count: Count): Promise<void> {
  const { batchEvents, endpoint, stream, partitions, isTraced = false } = options;
  let n = 0;
  const pump = (connection: BenchConnection, partition: number) => {
    while (connection.underWay(partition) < perChain * batchEvents) {
      connection.append(
        partition,
        Array.from({ length: batchEvents }, () => workloadEvent(client, n++)),
      );
    }
  };
  const connection: BenchConnection = await BenchConnection.open({
    endpoint,
    stream,
    partitions,
    isTraced,
    producerId: `bench-${client}-${Date.now()}`,
    onAck: (ack) => {
      const now = performance.now();
      const acked = connection.countAcked(ack);
      if (now >= count.beginMs && now < count.endMs) count.acked += acked;
      if (now < count.endMs) pump(connection, ack.partition);
      else if (connection.isSettled) connection.close();
    },
  });
  for (let partition = 0; partition < partitions; partition += 1) pump(connection, partition);
  await connection.closed;
}
