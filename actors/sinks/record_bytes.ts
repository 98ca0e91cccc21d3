/** The bytes of one record for sinks that pass events on as they are. */
import { encodeEvent } from "../../protocols/values/event_codec.ts";
import type { SinkRecord } from "./sink.ts";

/** The event as one MessagePack map: its stored bytes where no step changed the event, else encoded now. */
export const recordBytes = ({ stored, event }: Pick<SinkRecord, "stored" | "event">): Uint8Array =>
  stored?.bytes() ?? encodeEvent(event);
