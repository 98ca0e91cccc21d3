/**
 * Small frames that a client may send as fast as it likes: each makes work for the node and costs the client nothing.
 * `replay` also makes the node read all its records, 64 times.
 */
import type { ClientFrame } from "../../../protocols/wire/frames.ts";

export const FLOODS = ["credit", "subscribe", "open", "replay"] as const;
export type Flood = (typeof FLOODS)[number];

const SUBSCRIPTIONS = 64;

/** Subscribes to every partition of the benchmark's stream. */
export const subscribeToAll = (subscription: number, partitions: number, from: "earliest" | "latest"): ClientFrame => ({
  type: "subscribe",
  subscription,
  stream: "bench",
  partitions: Array.from({ length: partitions }, (_, partition) => ({ partition, from })),
  creditBytes: 67_108_864,
});

/** The n-th frame of a flood, from 0. */
export function frameOf(flood: Flood, n: number, partitions: number): ClientFrame {
  if (flood === "credit") return { type: "credit", subscription: 1, creditBytes: 0 };
  if (flood === "open") return { type: "open", stream: "bench", partition: 0, producerEpoch: 1 };
  return subscribeToAll(n % SUBSCRIPTIONS, partitions, flood === "replay" ? "earliest" : "latest");
}
