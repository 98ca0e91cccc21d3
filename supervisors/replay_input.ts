/**
 * What a replay reads and what becomes of it: records as they are or through a pipeline's steps, and what was set aside
 * as it was before. Decides which letters can be sent again; leaves ranges and deliveries to replays.ts.
 */
import type { DeadLetter } from "../actors/log/dead_letter.ts";
import type { Channel } from "../actors/log/log.ts";
import type { Pipeline } from "../actors/pipeline/pipeline.ts";
import type { RecordSteps } from "../actors/sinks/prepare_items.ts";
import type { Event } from "../protocols/event.ts";
import { decodeSlice } from "../protocols/event_codec.ts";
import type { DeliveryInput } from "./delivery_plans.ts";

/** @param onSkipped called for each letter that can not be sent again */
export function replayInput(
  channel: Channel,
  pipeline: Pipeline | undefined,
  timeOf: DeliveryInput["timeOf"],
  onSkipped: () => void,
): DeliveryInput {
  const steps: RecordSteps = pipeline === undefined ? asTheyAre : (event, context) => pipeline.run(event, context);
  if (channel === "records") return { channel, run: steps, timeOf };
  const isSinks = channel.startsWith("dead_letters/");
  return {
    channel,
    timeOf: (letter, appendedAtMs) => timeOf(originalOf(letter) ?? {}, appendedAtMs),
    run: (letter, context) => {
      const original = originalOf(letter);
      const hasRun = isSinks && (letter as Partial<DeadLetter>).code !== "STEP_FAILED";
      // What a step failed on never came out of the steps: without them it is no output of the pipeline.
      if (original === undefined || (isSinks && !hasRun && pipeline === undefined)) {
        onSkipped();
        return { kind: "outputs", events: [] };
      }
      return hasRun ? asTheyAre(original) : steps(original, context);
    },
  };
}

const asTheyAre = (event: Event) => ({ kind: "outputs", events: [event] }) as const;

/** The event as it was, out of a dead letter; undefined where nobody has it, or it is no event. */
export function originalOf(letter: Event): Event | undefined {
  if (!(letter.original instanceof Uint8Array)) return undefined;
  try {
    const event: unknown = decodeSlice(letter.original);
    return typeof event === "object" && event !== null && !Array.isArray(event) ? (event as Event) : undefined;
  } catch {
    return undefined; // Malformed: that is why it was set aside, and it would be again.
  }
}
