/**
 * Writes docs/configuration.md from the schemas that check a configuration, so that page and schemas have the same
 * keys. A test compares them. `node --import tsx scripts/configuration_reference.ts` rewrites the page.
 */
import { writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { SINKS } from "../actors/sinks/registry.ts";
import { SOURCES } from "../actors/sources/registry.ts";
import { CONFIGURATION_SCHEMA } from "../supervisors/configuration/configuration_schema.ts";

type Schema = Readonly<Record<string, unknown>>;

const INTRODUCTION = `# Configuration

One file, \`headrace.yaml\` (\`--config\` names another). It is checked before anything starts. \`headrace lint\` reports each problem
with its line, the reason and the nearest known key. Changes apply at the next start, and those of \`security\` on SIGHUP too. Flags win
over the environment (\`HEADRACE_PORT\`, \`HEADRACE_DATA\`, \`HEADRACE_LOG_LEVEL\`), and the environment wins over the file. Sizes are
bytes, or text such as \`512MiB\`. Durations are milliseconds, or text such as \`12h\`.

Every text may hold \`\${NAME}\`, the value of an environment variable, which must be set. \`$\${\` stands for the characters \`\${\`. In the
place of a text of \`log\`, of a source or of a sink, \`{ valueEnv: NAME }\` is a variable's value, and \`{ valueFile: path }\` is a
file's content without its last line break. Values of variables and files are never shown again: [security.md](security.md#secrets).
Relative paths of schemas, secrets, keys and certificates begin at this file's folder.

This page is generated from the schemas that check a configuration.
`;

const STEPS = `### Steps

Exactly one of:

| step | value | meaning |
|---|---|---|
| \`filter\` | expression | Keeps the records for which the expression is true. |
| \`map\` | field: expression | Makes a new event of these fields; with \`keep: true\` beside it, the old fields stay too. |
| \`call\` | \`./file.ts#name\` | Calls a function of yours: \`(event, context)\` to an event, a list of events, or nothing. With \`#create\`, a function from \`{stream, partition}\` to \`{run, snapshot, restore}\` that keeps state for each partition. |
| \`count\` | \`{by: expression, every: duration}\` | Counts the records of each key in windows of event time, one behind the other. Once the watermark has reached the end of a window, each key emits \`{key, count, windowStart, windowEnd}\`. |
| \`join\` | \`{on: {a: expression, b: expression}, within: duration}\` | Joins the records of the two streams of \`from\` that have the same key, and event times at most \`within\` apart. Each pair emits \`{a: event, b: event}\` once. |

Expressions are in the [Common Expression Language](https://cel.dev). They see \`event\`, \`stream\`, \`partition\`, \`offset\` and
\`timeMs\`. Whole numbers are computed exactly within 64 bits, and a result beyond them fails. A quotient is a double:
\`event.a / 100\` of 1250 is 12.5. Times are compared to the
millisecond. An expression that fails on a record sets that record aside as \`STEP_FAILED\`; the stream goes on. A function that has not
answered for a record within 30 s is called again later, and the log names the record.

Windows follow the event time of the stream (\`eventTime\`), or else the time of append. The watermark of a partition is the greatest event time that was
read, less \`time.outOfOrder\`. A record whose window is closed goes to the [output \`late\`](#named-outputs), or is set aside as \`LATE_RECORD\`; one
from the future (\`time.skew\`) likewise, as \`FUTURE_RECORD\`. Counts, timers and the watermark are stored with the outputs, so that each window is counted exactly once through crashes and
moves. Each partition counts by itself: records of one key share a partition where the key of the count is the stream's \`key\`.
\`headrace lint\` warns of counts and joins by another field.

A pipeline that reads several streams reads the same partition of each, beside the owner of the first one. So these streams have as many partitions, and
records that belong together have equal keys. Records are merged by event time: a record waits for a stream that may still bring an earlier one, for
\`time.idleAfter\` at most. The watermark is the least one of the streams.
`;

const OUTPUTS = `### Named outputs

A step may emit events to a named output, past the steps behind it. \`outputs\` leads these to sinks: \`outputs: { late: [missed] }\`, with entries as in
\`to\`. A sink that is in \`to\` as well needs a name for this delivery: \`{ sink: archive, as: late }\`.

| output | of | events |
|---|---|---|
| \`late\` | \`count\`, \`join\`, pipelines that read several streams | \`{event, stream, reason}\`: the record's own event as its stream holds it, and \`late\` or \`future\`; for a window that a \`count\` has closed also \`{windowStart, windowEnd}\` |

Events of named outputs are stored with the others in one call, and are delivered as exactly. Without sinks for \`late\`, such records are set aside by the
sinks of \`to\`. A record on which a step fails is set aside by the sinks of \`to\` alone. Once an output is taken out of the configuration, its events that
are not delivered yet stay undelivered.
`;

const DELIVERIES = `### Several pipelines into one sink

The delivery of a stream to a sink has a position, dead letters and keys under the sink's name. A second pipeline of the same stream gives its delivery
to that sink a name of its own: \`to: [{ sink: alerts, as: slow }]\`. Then the delivery shares nothing but the sink's options and connections:

| | \`alerts\` | \`{ sink: alerts, as: slow }\` |
|---|---|---|
| \`/v1/sinks\` and metrics | \`sink: alerts\` | \`sink: alerts\`, \`as: slow\` |
| page and commands | \`alerts\` | \`alerts@slow\` |
| dead letters | \`dead_letters/alerts\` | \`dead_letters/alerts@slow\` |
| folder of a \`file\` sink | its \`directory\` | \`as=slow\` in its \`directory\` |
| keys of an \`http\` sink | \`<stream>/…\` | \`@slow/<stream>/…\` |
| producer of a derived stream | \`pipeline/alerts/…\` | \`pipeline/alerts@slow/…\` |

A delivery that is given another name is another delivery: it begins at the sink's \`start\`. Lines of a \`stdout\` sink do not tell whose delivery they
are. A sink of your own kind takes \`as\` once its definition says \`keepsDeliveriesApart: true\`
([sink S12](../actors/sinks/sink.ts)).
`;

const TEMPLATES = `
### Templates

An option that may be a template holds parts in doubled braces, which each record fills:

| part | value |
|---|---|
| \`{{event.customer}}\` | the field: a text, a number or a boolean |
| \`{{time:%Y-%m-%d}}\` | the event time in UTC, by \`%Y %m %d %H %M %S\` |
| \`{{stream}}\`, \`{{partition}}\` | where the record lies |

Values are percent-encoded in an address, where they never change the host or leave their segment of the path. A record that has no value for a part
is set aside. Records of different targets never share a request. A text has at most 8,192 characters.
`;

const OWN_KINDS = `### Kinds of your own

The \`type\` of a source or a sink may name a module or an installed package that exports one:

| \`type\` | kind |
|---|---|
| \`./orders_source.ts#orders\` | the export \`orders\` of a module, by its path from this file's folder |
| \`./orders_source.ts\` | its default export |
| \`some-package\`, \`some-package#orders\` | an export of a package that is installed for this file's folder |

The kind is loaded before its options are checked, and \`headrace lint\` tells which property of it is missing or wrong. Load only modules that you
trust: they run within the node. [CONTRIBUTING](../CONTRIBUTING.md#a-new-source-in-one-file) shows what to write.

Your kind can run the suite that every kind of Headrace runs. It cuts off each call before and after its effect, lets another owner take
over, feeds odd events, and compares what your target then holds with what the kind promises:

<!-- fragment: orders, readBack and formOf are yours -->
\`\`\`ts
import test from "node:test";
import { type SinkHarness, sinkCases } from "headrace/conformance";

const harness: SinkHarness = {
  name: "orders",
  delivery: "at_least_once",
  // A fresh target for each case. held: the records that a reader of it sees.
  open: async () => ({ sink: orders, options: {}, held: async () => readBack(), close: async () => {} }),
  // The form of an event in the target; undefined where the record must be set aside.
  expected: ({ event }) => formOf(event),
};
for (const { name, run } of sinkCases(harness)) test(name, run);
\`\`\`

\`sourceCases\` does the same for a source: its harness opens a place and puts numbers into it. The cases belong to no runner of tests.
`;

export function renderReference(): string {
  const sections = Object.entries(propertiesOf(CONFIGURATION_SCHEMA)).map(([name, schema]) => section(name, schema));
  return `${[INTRODUCTION, ...sections].join("\n").trimEnd()}\n`;
}

function section(name: string, schema: Schema): string {
  const entry = schema.additionalProperties;
  const isMap = typeof entry === "object";
  const rows = table(isMap ? (entry as Schema) : schema, "");
  const heading = `## \`${name}\`\n\n${schema.description}${isMap ? " Each entry:" : ""}\n\n${rows}`;
  if (name === "pipelines") return `${heading}\n${STEPS}\n${OUTPUTS}\n${DELIVERIES}`;
  if (name === "sources") return `${heading}\n${kinds(SOURCES)}`;
  if (name === "sinks") return `${heading}\n${kinds(SINKS)}${TEMPLATES}\n${OWN_KINDS}`;
  return heading;
}

const kinds = (
  definitions: ReadonlyMap<string, { readonly optionsSchema: Schema; readonly delivery?: string }>,
): string =>
  [...definitions]
    .map(([type, { optionsSchema, delivery }]) => {
      const word = delivery === undefined ? "" : `Delivery: ${delivery.replaceAll("_", " ")}.\n\n`;
      return `### \`type: ${type}\`\n\n${word}${table(optionsSchema, "")}`;
    })
    .join("\n");

function table(schema: Schema, prefix: string): string {
  const rows = rowsOf(schema, prefix);
  if (rows.length === 0) return "No options.\n";
  const notes = notesOf(schema, prefix).map((note) => `\n${note}\n`);
  return `| key | value | default | meaning |\n|---|---|---|---|\n${rows.join("\n")}\n${notes.join("")}`;
}

/** Paragraphs below the table, of properties whose meaning takes more than a cell (`$comment`). */
const notesOf = (schema: Schema, prefix: string): string[] =>
  Object.entries(propertiesOf(schema)).flatMap(([name, property]) => [
    ...(property.$comment === undefined ? [] : [`\`${prefix}${name}\`: ${property.$comment}`]),
    ...notesOf(property, `${prefix}${name}.`),
  ]);

function rowsOf(schema: Schema, prefix: string): string[] {
  const required = new Set((schema.required as readonly string[] | undefined) ?? []);
  return Object.entries(propertiesOf(schema)).flatMap(([name, property]) => {
    const key = `${prefix}${name}`;
    const nested = property.type === "object" && property.properties !== undefined;
    const items = property.items as Schema | undefined;
    const standard = required.has(name) ? "required" : code(property.default);
    const row = `| \`${key}\` | ${valuesOf(property)} | ${standard} | ${cell(String(property.description ?? ""))} |`;
    if (nested) return [row, ...rowsOf(property, `${key}.`)];
    if (items?.properties !== undefined) return [row, ...rowsOf(items, `${key}[].`)];
    return [row];
  });
}

const propertiesOf = (schema: Schema): Readonly<Record<string, Schema>> =>
  (schema.properties as Readonly<Record<string, Schema>> | undefined) ?? {};

function valuesOf(property: Schema): string {
  const values = property.enum as readonly unknown[] | undefined;
  if (values !== undefined) return values.map(code).join(", ");
  const choices = property.oneOf as readonly Schema[] | undefined;
  if (choices !== undefined) return choices.map(valuesOf).join(", or ");
  const type = property.type;
  return Array.isArray(type)
    ? type.join(" or ")
    : type === "array"
      ? "list"
      : type === "object"
        ? "map"
        : String(type ?? "any");
}

const code = (value: unknown): string =>
  value === undefined ? "" : `\`${cell(typeof value === "string" ? value : JSON.stringify(value))}\``;

const cell = (text: string): string => text.replaceAll("|", "\\|").replaceAll("\n", " ");

export const REFERENCE_FILE = fileURLToPath(new URL("../docs/configuration.md", import.meta.url));

if (process.argv[1] === fileURLToPath(import.meta.url)) writeFileSync(REFERENCE_FILE, renderReference());
