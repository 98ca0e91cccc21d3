/** The schema of one stream in `headrace.yaml`. */
import { duration, object, size } from "./schema_words.ts";

export const STREAM_SCHEMA = object("A named, partitioned, durable sequence of records.", {
  schema: {
    type: "object",
    minProperties: 1,
    description:
      "JSON Schema that every event must match: draft 2020-12, or an older one that its `$schema` names. Without one, any map is taken.",
  },
  schemaFile: {
    type: "string",
    description:
      "Path of a JSON or YAML file of at most 1 MiB that holds the schema, from this file's folder. The schema itself has at most 256 KiB as compact JSON.",
  },
  compatibility: {
    enum: ["backward", "forward", "full", "none"],
    default: "backward",
    description:
      "How a changed schema must relate to the last one. `backward`: it takes every event that the last one took. `forward`: the other way around. `full`: both. `none`: any change.",
    $comment:
      "With `backward` a new schema may declare properties that the last one did not judge. A change is refused, with the reasons, unless it is shown to be compatible. A comparison that takes more steps than a start allows is undecided, and the change is refused.",
  },
  partitions: {
    type: "integer",
    minimum: 1,
    maximum: 1_000,
    default: 4,
    description: "Number of partitions. Cannot be changed later: a retry must always split alike.",
  },
  key: {
    type: "string",
    pattern: "^/",
    description: "JSON Pointer to the field whose value routes an event to its partition. Without one, round robin.",
  },
  eventTime: {
    oneOf: [
      { type: "string", pattern: "^/" },
      object(
        "The place of the event's own time, and its unit.",
        { pointer: { type: "string", pattern: "^/" }, unit: { enum: ["s", "ms", "us", "ns"], default: "ms" } },
        ["pointer"],
      ),
    ],
    description:
      "JSON Pointer to the event's own time: RFC 3339 text with its offset, a timestamp, or milliseconds since 1970. `{pointer, unit}` takes numbers in another unit: `s`, `ms`, `us` or `ns`.",
    $comment: "An event with any other value has the time at which it was appended, and is counted.",
  },
  bodyFormats: {
    type: "array",
    items: { enum: ["form", "text"] },
    uniqueItems: true,
    default: [],
    description:
      "Bodies over HTTP that are taken besides JSON, lines of JSON and MessagePack. `form` (application/x-www-form-urlencoded) is one event of its fields, each a text, or a list of texts where a field is repeated; `text` (text/plain) is one event `{text}`.",
  },
  durability: {
    oneOf: [
      { enum: ["memory", "everysec", "fsync"] },
      object("Copies that must have an event.", { replicas: { type: "integer", minimum: 1 } }, ["replicas"]),
    ],
    default: "fsync",
    description: "What an acknowledgement means: see docs/guarantees.md.",
  },
  retention: object("What is kept.", {
    size: { ...size, default: "1GiB", description: `Most bytes kept in each partition. ${size.description}` },
    age: { ...duration, default: "7d", description: `Longest time a record is kept. ${duration.description}` },
    onFull: {
      enum: ["refuse", "trim"],
      default: "refuse",
      description:
        "What happens when a lagging sink fills the store. `refuse`: producers wait. `trim`: the sink loses records that it did not read.",
    },
  }),
  dedupeWindow: {
    ...duration,
    default: "24h",
    description: `How long an idle producer's chain is kept. ${duration.description}`,
  },
  producersMax: { type: "integer", minimum: 1, default: 10_000, description: "Live producers per partition." },
});
