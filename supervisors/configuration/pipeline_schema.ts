/** The schema of `pipelines` in a configuration. */
import { duration, mapOf, name, object } from "./schema_words.ts";

const step = {
  description: "One step: exactly one of filter, map, call, count or join.",
  type: "object",
  minProperties: 1,
} as const;

export const TIME_SCHEMA = object(
  "How event times are taken, for steps with windows.",
  {
    outOfOrder: {
      ...duration,
      default: 0,
      description: `How much earlier than the latest event time a record may be. ${duration.description}`,
    },
    skew: {
      ...duration,
      default: "1m",
      description: `How far an event time may lie after its append. A record from further in the future goes to the output \`late\`, or is set aside. ${duration.description}`,
    },
    idleAfter: {
      ...duration,
      default: "5s",
      description: `A stream without records for this time follows the clock, so that windows close. ${duration.description}`,
    },
  },
  [],
);

const deliverTo = {
  type: "array",
  minItems: 1,
  maxItems: 90,
  items: {
    type: ["string", "object"],
    pattern: name.pattern,
    properties: {
      sink: { ...name, description: "Name of the sink, where the entry is a map." },
      as: { ...name, description: "Name of the delivery, unlike those of the same stream to the same sink." },
    },
    required: ["sink", "as"],
    additionalProperties: false,
  },
} as const;

export const PIPELINE_SCHEMA = object(
  "Takes the records of streams through steps to sinks.",
  {
    from: {
      description: "Stream to read, or a list of streams whose records are merged by event time.",
      type: ["string", "array"],
      ...{ pattern: name.pattern, items: name, minItems: 1, maxItems: 16, uniqueItems: true },
    },
    steps: { type: "array", items: step, default: [], description: "Steps in order." },
    to: {
      ...deliverTo,
      description:
        "Sinks to deliver to: names, or `{ sink: alerts, as: slow }` for [a delivery of its own](#several-pipelines-into-one-sink).",
    },
    outputs: {
      ...mapOf(
        "[Named outputs](#named-outputs) of the steps, such as `late`: the sinks of each, as in `to`.",
        deliverTo,
      ),
      minProperties: 1,
    },
    time: TIME_SCHEMA,
  },
  ["from", "to"],
);
