import { test } from "uvu";
import * as assert from "uvu/assert";
import { HostMetricsReader } from "../../../actors/sources/host_metrics_source.ts";

test("counters that could not be read once give the rate since the last reading, not since the start of the machine", async () => {
  if (process.platform !== "linux") return;
  const received = [1_000_000, undefined, 1_006_000];
  let reading = -1;
  const readText = async (path: string): Promise<string> => {
    const bytes = received[reading];
    if (bytes === undefined) throw new Error("EACCES");
    if (path === "/proc/net/dev") return `head\nhead\n  eth0: ${bytes} 0 0 0 0 0 0 0 ${bytes} 0\n`;
    return `   8 0 sda 0 0 ${bytes / 500} 0 0 0 ${bytes / 500} 0\n`;
  };
  const nowMs = () => {
    reading += 1;
    return reading * 3_000;
  };
  const reader = new HostMetricsReader({ everyMs: 1 }, { nowMs, log: () => undefined }, 1, readText);
  const rates: unknown[] = [];
  const over = new AbortController();
  for await (const { items } of reader.read(over.signal)) {
    const events = items.flatMap(({ item }) => (item.kind === "event" ? [item.event] : []));
    rates.push(events.filter(({ unit }) => unit === "bytes_per_second").map(({ metric, value }) => [metric, value]));
    if (reading === received.length - 1) over.abort();
  }
  assert.equal(rates, [
    [],
    [],
    [],
    [
      ["network.received", 1_000],
      ["network.sent", 1_000],
      ["disk.read", 1_024],
      ["disk.written", 1_024],
    ],
  ]);
});

test.run();
