/** The schema of the keys that all kinds of sinks have. */
import { BATCH_BOUNDS } from "../../actors/sinks/delivery/delivery_limits.ts";
import { duration, object, size } from "./schema_words.ts";

export const BATCH_SCHEMA = object(
  "Bounds of one batch, in place of the kind's own. A batch is written once it is full, or once `lingerMs` have passed.",
  {
    recordsMax: {
      type: "integer",
      minimum: BATCH_BOUNDS.recordsMax.min,
      maximum: BATCH_BOUNDS.recordsMax.max,
      description: "Most records: up to 100,000. Where the kind has no bound of its own: 5,000.",
    },
    bytesMax: {
      ...size,
      minimum: BATCH_BOUNDS.bytesMax.min,
      maximum: BATCH_BOUNDS.bytesMax.max,
      description:
        "Most bytes of the events as they are stored: up to 64MiB, and a larger event goes alone. Each partition reads twice as much ahead. Where the kind has no bound: 4MiB, and 1MiB is read ahead.",
    },
    lingerMs: {
      ...duration,
      maximum: BATCH_BOUNDS.lingerMs.max,
      description: "Longest wait for a batch to fill: up to 10m. Where the kind has no bound: 0.",
    },
    gatherMs: {
      ...duration,
      maximum: BATCH_BOUNDS.gatherMs.max,
      description:
        "Least time between two reads of a busy partition, so that its records share a write; a lone record waits for none. Up to 10s. Where the kind has no bound: 10.",
    },
  },
);
