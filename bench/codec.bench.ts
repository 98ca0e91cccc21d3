/**
 * How fast batches are scanned, decoded and encoded, on one core: 500 events of 150 bytes of JSON and 8 fields.
 *
 *   node --import tsx bench/codec.bench.ts
 */
import { performance } from "node:perf_hooks";
import { decodeEvents, EVENT_LIMITS, encodeEvents } from "../protocols/event_codec.ts";
import { scanEvents } from "../protocols/scan.ts";

const EVENTS = Array.from({ length: 500 }, (_, index) => ({
  id: `evt-${String(index).padStart(10, "0")}`,
  at: "2026-11-23T10:03:11.000Z",
  device: `sensor-${index % 50}`,
  kind: ["temperature", "humidity"][index % 2],
  value: 20 + index / 7,
  count: index,
  ok: index % 3 === 0,
  unit: "celsius degrees",
}));

/** Million events a second, over `forMs`. */
function rate(act: () => unknown, forMs = 700): number {
  for (let warm = 0; warm < 300; warm++) act();
  const startedAt = performance.now();
  let turns = 0;
  while (performance.now() - startedAt < forMs) {
    act();
    turns++;
  }
  return (turns * EVENTS.length) / (performance.now() - startedAt) / 1_000;
}

for (const asRecords of [true, false]) {
  const bytes = Uint8Array.from(encodeEvents(EVENTS, { asRecords }));
  const rates = {
    scan: rate(() => scanEvents(bytes, EVENT_LIMITS, EVENT_LIMITS.batchEventsMax)),
    scanAndDecode: rate(() => decodeEvents(bytes)),
    encode: rate(() => encodeEvents(EVENTS, { asRecords })),
  };
  const text = Object.entries(rates).map(([name, value]) => `${name} ${value.toFixed(2)} M/s`);
  console.log(
    `${asRecords ? "records" : "maps"} (${(bytes.length / EVENTS.length).toFixed(0)} bytes an event): ${text.join(", ")}`,
  );
}
