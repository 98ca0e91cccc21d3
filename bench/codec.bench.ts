/**
 * Measures how fast batches are scanned, decoded and encoded, on one core: 500 events of 150 bytes of JSON and 8
 * fields. Then measures the cost of numbers that keep their kind: a JSON frame to events, beside the same steps with
 * msgpackr's own numbers.
 *
 *   node --import tsx bench/codec.bench.ts
 */
import { performance } from "node:perf_hooks";
import type { Event } from "../protocols/event.ts";
import { epoch } from "../protocols/position.ts";
import { decodeEvents, EVENT_LIMITS, encodeEvents } from "../protocols/values/event_codec.ts";
import { fromJsonValue } from "../protocols/values/json_values.ts";
import { parseJson } from "../protocols/values/parse_json.ts";
import { scanEvents } from "../protocols/values/scan.ts";
import { wireValue } from "../protocols/values/unreadable.ts";
import { decodeFrame, encodeFrame, FRAME_LIMITS } from "../protocols/wire/codec.ts";
import { type AppendFrame, SUBPROTOCOL_JSON } from "../protocols/wire/frames.ts";
import type { Fields } from "../protocols/wire/narrow.ts";
import { parseFrame } from "../protocols/wire/parse_frame.ts";
import { median, medians, quantile, record } from "./support/results.ts";

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

// Numbers keep their kind ---------------------------------------------------------------------------------------------

const ROUNDS = 7;
/** Turns in a round. They are short and alternate, so that other work of the machine meets both contenders. */
const TURNS = 200;
const UNDISTURBED = 0.1;
/** Half of a surrogate pair, which the node looks for too. */
const HALF_CHARACTER = /\\u[dD][89a-fA-F]/;
const AS_THEY_ARE = { mayBeLong: false, mayBeMinusZero: false };

const CONTENDERS: Readonly<Record<"kept" | "bare", (text: string) => AppendFrame>> = {
  kept: (text) => decodeFrame(text, SUBPROTOCOL_JSON) as AppendFrame,
  bare: (text) => {
    const { events, ...rest } = parseJson(text, FRAME_LIMITS) as Fields;
    if (HALF_CHARACTER.test(text)) throw new Error("the workload has whole characters alone");
    const values = (events as unknown[]).map((event) => wireValue(fromJsonValue(event) as Event));
    const packed = encodeEvents(values, { asRecords: true, numbers: AS_THEY_ARE });
    return parseFrame({ ...(fromJsonValue(rest) as Fields), events: packed }) as AppendFrame;
  },
};

/** Nanoseconds an event, in the turns that other work of the machine disturbed least. */
function compared(text: string): { readonly kept: number; readonly bare: number; readonly ratio: number } {
  const took = { kept: [] as number[], bare: [] as number[] };
  for (let turn = 0; turn < TURNS; turn++) {
    for (const name of turn % 2 === 0 ? (["kept", "bare"] as const) : (["bare", "kept"] as const)) {
      const startedAt = performance.now();
      decodeEvents(CONTENDERS[name](text).events);
      took[name].push(((performance.now() - startedAt) * 1e6) / EVENTS.length);
    }
  }
  const [keptNs, bareNs] = [quantile(took.kept, UNDISTURBED), quantile(took.bare, UNDISTURBED)];
  return { kept: keptNs, bare: bareNs, ratio: keptNs / bareNs };
}

const WORKLOADS: Readonly<Record<string, readonly Readonly<Record<string, unknown>>[]>> = {
  "times as text": EVENTS,
  "times in milliseconds": EVENTS.map((event, index) => ({ ...event, at: 1_790_000_000_000 + index })),
  "small negative numbers": EVENTS.map((event, index) => ({ ...event, value: -0.5 - index, count: index % 2 })),
  "a -0 of 50 events": EVENTS.map((event, index) => ({ ...event, value: index % 50 === 0 ? -0 : event.value })),
};
const runs: Record<string, number[]> = {};
const ratios: Record<string, number> = {};
for (const [name, events] of Object.entries(WORKLOADS)) {
  const frame: AppendFrame = {
    type: "append",
    stream: "readings",
    partition: 0,
    producerEpoch: epoch(1),
    previousSequence: null,
    sequences: { first: [1, 1, 0], count: events.length },
    events: encodeEvents(events, { asRecords: true }),
  };
  const text = encodeFrame(frame, SUBPROTOCOL_JSON) as string;
  compared(text); // warm
  const rounds = Array.from({ length: ROUNDS }, () => compared(text));
  runs[`${name}, kept`] = rounds.map((round) => round.kept);
  runs[`${name}, bare`] = rounds.map((round) => round.bare);
  ratios[name] = median(rounds.map(({ ratio }) => ratio));
  console.log(
    `JSON to events, ${name}: ${median(runs[`${name}, kept`] ?? []).toFixed(0)} ns an event, bare ${median(runs[`${name}, bare`] ?? []).toFixed(0)}, ratio ${ratios[name]?.toFixed(3)}`,
  );
}
record({
  name: "codec",
  command: "node --import tsx bench/codec.bench.ts",
  workload: "a JSON frame of 500 events to MessagePack and decoded, ns an event; bare: msgpackr's numbers as they are",
  runs,
  median: medians(runs),
  ratios,
});
