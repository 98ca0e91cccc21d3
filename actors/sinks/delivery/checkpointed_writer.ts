/**
 * Gives a position to a sink that keeps none: a checkpoint in the partition's log, written after each write under the
 * owner's fence. Records that were written and not yet checkpointed are written again. So the sink is at least once, or
 * effectively once where it takes its key from the record (E15).
 */
import { FencedError, reasonOf } from "../../../protocols/errors.ts";
import { type Position, position } from "../../../protocols/position.ts";
import type { SinkBatch, SinkCall, SinkCheckpoint, SinkWriter, WriteOutcome } from "../sink.ts";
import { decodeStored, encodeStored } from "../stored_json.ts";

export function checkpointedWriter(writer: SinkWriter, checkpoint: SinkCheckpoint): SinkWriter {
  return {
    position: async () => decodePosition(await checkpoint.read()),
    write: async (batch: SinkBatch, call?: SinkCall): Promise<WriteOutcome> => {
      if (batch.records.length > 0) {
        const outcome = await writer.write(batch, call);
        if (outcome.kind !== "written" && outcome.kind !== "duplicate") return outcome;
        call?.progressed();
      }
      return storePosition(batch, checkpoint);
    },
    finish: async (call) => writer.finish?.(call),
    close: (call) => writer.close(call),
  };
}

/** Records whose position cannot be stored are in the sink all the same, and stay taken (sink S7). */
async function storePosition({ end, records }: SinkBatch, checkpoint: SinkCheckpoint): Promise<WriteOutcome> {
  try {
    await checkpoint.write(encodePosition(end));
    return { kind: "written" };
  } catch (error) {
    if (error instanceof FencedError) return { kind: "fenced", fence: end.epoch };
    if (records.length === 0) throw error;
    const reason = `Cannot store the sink's position: ${reasonOf(error)}`;
    return { kind: "taken", count: records.length, problem: { kind: "unavailable", reason } };
  }
}

export const encodePosition = ({ epoch, offset }: Position): Uint8Array => encodeStored({ version: 1, epoch, offset });

export function decodePosition(bytes: Uint8Array | undefined): Position | undefined {
  if (bytes === undefined) return undefined;
  const needs = "the position of a sink as its format must be at most";
  const { epoch, offset } = decodeStored<{ version: number; epoch: number; offset: number }>(bytes, needs);
  return position(epoch, offset);
}
