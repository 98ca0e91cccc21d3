/** The events that the benchmarks send: 8 required typed fields with a format and an enum, about 150 bytes, unique keys. */
import type { Event } from "../protocols/event.ts";

export const WORKLOAD_SCHEMA = {
  type: "object",
  required: ["id", "at", "device", "kind", "value", "count", "ok", "site"],
  properties: {
    id: { type: "string" },
    at: { type: "string", format: "date-time" },
    device: { type: "string" },
    kind: { enum: ["temperature", "humidity", "pressure", "motion"] },
    value: { type: "number" },
    count: { type: "integer", minimum: 0 },
    ok: { type: "boolean" },
    site: { type: "string" },
  },
  additionalProperties: false,
} as const;

const KINDS = WORKLOAD_SCHEMA.properties.kind.enum;

/** The n-th event of a client. */
export const workloadEvent = (client: number, n: number): Event => ({
  id: `${client}-${n}-6f1c2b7e`,
  at: "2026-11-23T10:15:30.123Z",
  device: `device-${(n * 7_919) % 10_000}`,
  kind: KINDS[n & 3] ?? "motion",
  value: 20 + (n % 100) / 7,
  count: n,
  ok: n % 3 !== 0,
  site: "building-7/floor-3",
});
