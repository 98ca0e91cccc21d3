/**
 * Measures how long one event of 1 MiB can block the node: the median of seven validations for each keyword and format,
 * in ms of the processor, with the verdict; and the same for each function and macro of expressions. Then measures the
 * cost of counting steps, with the schema of the ingest benchmark beside Ajv, in turns.
 *
 *   node --import tsx bench/validation.bench.ts
 */
import { createSchemaCompiler, type JsonSchema } from "../actors/ingest/schema/schema_validator.ts";
import { expressionCompiler } from "../actors/pipeline/steps/expression.ts";
import { loadDriver } from "../deps.ts";
import type { Event } from "../protocols/event.ts";
import { position } from "../protocols/position.ts";
import { decodeEvents, encodeEvents } from "../protocols/values/event_codec.ts";
import { COSTLY_EXPRESSIONS } from "./support/costly_expressions.ts";
import { COSTLY_CASES } from "./support/costly_values.ts";
import { median, medians, record } from "./support/results.ts";
import { WORKLOAD_SCHEMA, workloadEvent } from "./workload.ts";

const RUNS = 7;
const ROUNDS = 15;
const TURN_MS_MAX = 50;

const compile = await createSchemaCompiler();

/** Median processor time in ms, on a shared machine. The event is decoded anew for each run, as in a node. */
function medianMs(event: Event, act: (event: Event) => unknown): number {
  const frame = encodeEvents([event], { asRecords: false });
  const took: number[] = [];
  for (let run = 0; run < RUNS; run += 1) {
    const [decoded = {}] = decodeEvents(frame).events;
    const before = process.cpuUsage();
    act(decoded);
    const { user, system } = process.cpuUsage(before);
    took.push((user + system) / 1_000);
  }
  return median(took);
}

const bytes = encodeEvents(
  Array.from({ length: 500 }, (_, index) => workloadEvent(1, index)),
  { asRecords: true },
);
const { Ajv2020 } = await loadDriver("ajv");
const formats = await loadDriver("ajv-formats");
const ajv = new Ajv2020({ strict: false });
(formats.default as unknown as typeof formats).default(ajv, { mode: "fast" });
const contenders: Readonly<Record<string, (event: Event) => unknown>> = {
  counted: compile(WORKLOAD_SCHEMA as JsonSchema, "workload"),
  ajv: ajv.compile(WORKLOAD_SCHEMA),
};

/** Nanoseconds an event, decoded from a frame and validated. */
function decodeAndCheckNs(check: (event: Event) => unknown): number {
  const turns = 300;
  const before = process.cpuUsage();
  for (let turn = 0; turn < turns; turn += 1) {
    for (const event of decodeEvents(bytes).events) if (event !== undefined) check(event);
  }
  const { user, system } = process.cpuUsage(before);
  return ((user + system) / turns / 500) * 1_000;
}

const runs: Record<string, number[]> = { counted: [], ajv: [] };
for (let round = 0; round < ROUNDS; round += 1) {
  for (const [name, check] of Object.entries(contenders)) runs[name]?.push(decodeAndCheckNs(check));
}
const settled = Object.fromEntries(Object.entries(runs).map(([name, values]) => [name, values.slice(3)]));
const ratio = median((settled.counted ?? []).map((value, index) => value / (settled.ajv?.[index] ?? Number.NaN)));
console.log(`decoded and validated, ns an event: ${JSON.stringify(medians(settled))}, ratio ${ratio.toFixed(3)}`);
const costs = COSTLY_CASES.map(({ name, schema, event }) => {
  const check = compile(schema, name);
  const ms = medianMs(event, check);
  const verdict = check(event)?.code ?? "passes";
  console.log(`${ms.toFixed(1).padStart(7)} ms  ${name}: ${verdict}`);
  return { name, ms: Math.round(ms * 10) / 10, verdict };
});
const compileExpression = await expressionCompiler();
const CONTEXT = { stream: "bench", partition: 0, position: position(1, 1), timeMs: 0 };
const expressionCosts = COSTLY_EXPRESSIONS.map(({ source, event }) => {
  const name = source.slice(0, 80);
  const evaluate = compileExpression(source, "bench");
  const verdictOf = (given: Event): string => {
    try {
      return String(evaluate(given, CONTEXT)).slice(0, 20);
    } catch (error) {
      return /budget/.test(String(error)) ? "budget" : "no value";
    }
  };
  const ms = medianMs(event, verdictOf);
  const verdict = verdictOf(event);
  console.log(`${ms.toFixed(1).padStart(7)} ms  ${name}: ${verdict}`);
  return { name, ms: Math.round(ms * 10) / 10, verdict };
});
const all = [...costs, ...expressionCosts];
const over = all.filter(({ ms }) => ms > TURN_MS_MAX).map(({ name }) => name);
console.log(
  over.length === 0 ? `none takes more than ${TURN_MS_MAX} ms` : `more than ${TURN_MS_MAX} ms: ${over.join(", ")}`,
);

record({
  name: "validation",
  command: "node --import tsx bench/validation.bench.ts",
  workload: "one event of 1 MiB for each keyword and format; 500 events of 150 bytes, decoded and validated",
  runs: settled,
  median: medians(settled),
  ratios: { "decoded and validated, counted / ajv": ratio },
  "median of seven, ms": Object.fromEntries(all.map(({ name, ms, verdict }) => [name, `${ms}: ${verdict}`])),
  "over 50 ms": over,
});
