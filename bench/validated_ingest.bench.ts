/**
 * Measures ingestion into the embedded log: acknowledged events a second, and processor time of the node for each
 * event. A node that counts the steps of each validation runs beside the same node with Ajv, which counts none, and one
 * without a schema.
 *
 *   node --import tsx bench/validated_ingest.bench.ts [rounds] [ms of each measurement]
 */
import { headraceLoad } from "./support/clients/headrace_client.ts";
import { cpuMs } from "./support/process_cpu.ts";
import { type NodeSettings, startHeadrace } from "./support/processes.ts";
import { median, medians, record } from "./support/results.ts";

const [rounds = "9", forMs = "3000"] = process.argv.slice(2);
const WARM_UP_MS = 1_000;
const LOAD = { stream: "bench", partitions: 16, connections: 4, batchEvents: 500, inFlightEvents: 32_000 };
const NODE: NodeSettings = { log: "{ type: lmdb }", durability: "fsync" };

const contenders: Readonly<Record<string, NodeSettings>> = {
  counted: NODE,
  ajv: { ...NODE, imports: ["./bench/support/with_ajv.ts"] },
  "no schema": { ...NODE, schema: "none" },
};

const runs: Record<string, number[]> = {};
const push = (name: string, value: number) => {
  runs[name] = [...(runs[name] ?? []), value];
};
for (let round = 0; round < Number(rounds); round += 1) {
  // Each contender goes first in turn, so that other work of the machine meets all of them.
  const names = Object.keys(contenders);
  const order = names.map((_, index) => names[(index + round) % names.length] ?? "");
  for (const name of order) {
    const node = await startHeadrace(contenders[name] ?? NODE);
    const load = { endpoint: node.endpoint, ...LOAD };
    await headraceLoad({ ...load, warmUpMs: 0, measureMs: WARM_UP_MS });
    const before = cpuMs(node.pid);
    const perSecond = await headraceLoad({ ...load, warmUpMs: 0, measureMs: Number(forMs) });
    const nsPerEvent = ((cpuMs(node.pid) - before) * 1e6) / ((perSecond * Number(forMs)) / 1_000);
    await node.stop();
    push(`${name}, events/s`, Math.round(perSecond));
    push(`${name}, cpu ns an event`, Math.round(nsPerEvent));
    console.log(
      `round ${round + 1}: ${name.padEnd(10)} ${Math.round(perSecond)} events/s, ${Math.round(nsPerEvent)} ns of cpu`,
    );
  }
}
const ratio = (unit: string, left: string, right: string): number =>
  median(
    (runs[`${left}, ${unit}`] ?? []).map((value, index) => value / (runs[`${right}, ${unit}`]?.[index] ?? Number.NaN)),
  );
const ratios = Object.fromEntries(
  ["events/s", "cpu ns an event"].flatMap((unit) =>
    ["ajv", "no schema"].map((other) => [`${unit}, counted / ${other}`, ratio(unit, "counted", other)]),
  ),
);
console.log(medians(runs), ratios);
record({
  name: "validated_ingest",
  command: `node --import tsx bench/validated_ingest.bench.ts ${rounds} ${forMs}`,
  workload: "4 connections, 16 partitions, batches of 500, 32,000 events in flight, embedded log with fsync",
  runs,
  median: medians(runs),
  ratios,
});
