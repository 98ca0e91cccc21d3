/**
 * Gives a position to a sink that keeps none: a checkpoint in the partition's log, written after each write under the
 * owner's fence. Records that were written and not yet checkpointed are written again. So the sink is at least once, or
 * effectively once where it takes its key from the record (E15).
 *
 * The checkpoint is the durable position of a sink that holds batches (sink S10): it never passes a batch that is held.
 */
import { FencedError, reasonOf } from "../../../protocols/errors.ts";
import { comparePositions, type Position, position } from "../../../protocols/position.ts";
import type { SinkBatch, SinkCall, SinkCheckpoint, SinkWriter, WriteOutcome } from "../sink.ts";
import { decodeStored, encodeStored } from "../stored_json.ts";

export function checkpointedWriter(writer: SinkWriter, checkpoint: SinkCheckpoint): SinkWriter {
  const checkpointed = new CheckpointedWriter(writer, checkpoint);
  const { flush } = writer;
  const base: SinkWriter = {
    position: () => checkpointed.position(),
    write: (batch, call) => checkpointed.write(batch, call),
    finish: async (call) => writer.finish?.(call),
    close: (call) => writer.close(call),
  };
  if (flush === undefined) return base;
  return { ...base, flush: async (call) => checkpointed.durableUpTo(await flush.call(writer, call)) };
}

class CheckpointedWriter {
  readonly #writer: SinkWriter;
  readonly #checkpoint: SinkCheckpoint;
  #stored: Position | undefined;
  /** The end of the newest batch with records that is held; undefined if none is. */
  #held: Position | undefined;
  /** The end of the newest batch, which may hold no records. */
  #end: Position | undefined;

  constructor(writer: SinkWriter, checkpoint: SinkCheckpoint) {
    this.#writer = writer;
    this.#checkpoint = checkpoint;
  }

  async position(): Promise<Position | undefined> {
    this.#stored = decodePosition(await this.#checkpoint.read());
    return this.#stored;
  }

  async write(batch: SinkBatch, call?: SinkCall): Promise<WriteOutcome> {
    if (batch.records.length > 0) {
      const outcome = await this.#writer.write(batch, call);
      if (outcome.kind === "held") return this.#hold(batch.end, outcome.durable);
      if (outcome.kind !== "written" && outcome.kind !== "duplicate") return outcome;
      this.#held = undefined;
      call?.progressed();
    }
    this.#end = batch.end;
    return this.#held === undefined ? this.#storeEnd(batch) : { kind: "held", durable: this.#stored };
  }

  /** Stores how far the sink is durable, and answers that. The batches without records behind its last one count too. */
  async durableUpTo(durable: Position | undefined): Promise<Position | undefined> {
    const isAll = comparePositions(durable, this.#held) >= 0;
    const reached = isAll ? this.#end : durable;
    if (comparePositions(reached, this.#stored) > 0 && reached !== undefined) {
      await this.#checkpoint.write(encodePosition(reached));
      this.#stored = reached;
    }
    if (isAll) this.#held = undefined;
    return this.#stored;
  }

  async #hold(end: Position, durable: Position | undefined): Promise<WriteOutcome> {
    this.#held = end;
    this.#end = end;
    try {
      return { kind: "held", durable: await this.durableUpTo(durable) };
    } catch (error) {
      if (error instanceof FencedError) return { kind: "fenced", fence: end.epoch };
      // The batch is taken all the same. The next flush stores the position, or tells why it cannot.
      return { kind: "held", durable: this.#stored };
    }
  }

  /** Records whose position cannot be stored are in the sink all the same, and stay taken (sink S7). */
  async #storeEnd({ end, records }: SinkBatch): Promise<WriteOutcome> {
    try {
      await this.#checkpoint.write(encodePosition(end));
      this.#stored = end;
      return { kind: "written" };
    } catch (error) {
      if (error instanceof FencedError) return { kind: "fenced", fence: end.epoch };
      if (records.length === 0) throw error;
      const reason = `Cannot store the sink's position: ${reasonOf(error)}`;
      return { kind: "taken", count: records.length, problem: { kind: "unavailable", reason } };
    }
  }
}

/** Epochs begin at 1: 0 stands for the place before every record. */
export const encodePosition = (at: Position | undefined): Uint8Array =>
  encodeStored({ version: 1, epoch: at?.epoch ?? 0, offset: at?.offset ?? 0 });

export function decodePosition(bytes: Uint8Array | undefined): Position | undefined {
  if (bytes === undefined) return undefined;
  const needs = "the position of a sink as its format must be at most";
  const { epoch, offset } = decodeStored<{ version: number; epoch: number; offset: number }>(bytes, needs);
  return epoch === 0 ? undefined : position(epoch, offset);
}
