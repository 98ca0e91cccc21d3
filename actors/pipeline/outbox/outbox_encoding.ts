/**
 * Encodes outputs for the outbox. A user's step may make a value that has no form in MessagePack. Such an output is
 * stored as a failure of its input, so that every sink of `to` sets it aside and the outputs behind it go on.
 */
import { reasonOf } from "../../../protocols/errors.ts";
import type { Event } from "../../../protocols/event.ts";
import { encodeEvents } from "../../../protocols/values/event_codec.ts";
import type { OutboxRecord } from "../outbox_record.ts";
import type { OutboxOutput } from "./outbox_messages.ts";

/** Encodes all outputs as one batch. */
export function encodeOutputs(outputs: readonly OutboxOutput[]): Uint8Array {
  const events = outputs.map(({ event }) => event);
  try {
    return encodeEvents(events, { asRecords: true });
  } catch (error) {
    const storable = outputs.map(storableOf);
    // Each output can be encoded by itself, so the fault is no output's.
    if (storable.every((event, at) => event === events[at])) throw error;
    return encodeEvents(storable, { asRecords: true });
  }
}

function storableOf({ sequence, event, input }: OutboxOutput): unknown {
  try {
    encodeEvents([event], { asRecords: false });
    return event;
  } catch (error) {
    const why = reasonOf(error);
    const reason = `Cannot store output ${sequence[2]} of the record as each of its values must have a form in MessagePack: ${why}`;
    const { event: _event, output: _output, ...base } = event as OutboxRecord & { event?: Event; output?: string };
    return { ...base, failed: { code: "STEP_FAILED", path: "", reason, event: input ?? {} } };
  }
}
