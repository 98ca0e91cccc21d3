/** The schema of `pipelines` in a configuration. */
import { duration, name, object } from "./schema_words.ts";

const step = {
  description: "One step: exactly one of filter, map, call or count.",
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
      description: `How far an event time may lie after its append. A record from further in the future is set aside. ${duration.description}`,
    },
    idleAfter: {
      ...duration,
      default: "5s",
      description: `A stream without records for this time follows the clock, so that windows close. ${duration.description}`,
    },
  },
  [],
);

export const PIPELINE_SCHEMA = object(
  "Takes the records of a stream through steps to sinks.",
  {
    from: { ...name, description: "Stream to read." },
    steps: { type: "array", items: step, default: [], description: "Steps in order." },
    to: { type: "array", items: name, minItems: 1, description: "Sinks to deliver to." },
    time: TIME_SCHEMA,
  },
  ["from", "to"],
);
