/**
 * Takes records and forgets them: for measuring a pipeline without its target, and for trying one out. At least once, as
 * a record that is read again after a crash is dropped, and counted, again.
 */
import type { SinkDefinition } from "./sink.ts";

export const dropSink: SinkDefinition<object> = {
  type: "drop",
  delivery: "at_least_once",
  keepsDeliveriesApart: true, // nothing is kept that could be taken for another delivery's
  optionsSchema: { type: "object", additionalProperties: false, properties: {} },
  open: async () => ({
    position: async () => undefined, // kept in the checkpoint
    write: async () => ({ kind: "written" }),
    close: async () => {},
  }),
};
