/**
 * Writes one partition of a file sink, exactly once (E17). The commit is a checkpoint in the partition's log, fenced by
 * its owner: bytes that no checkpoint covers do not exist.
 *
 *   F1. Bytes are flushed before the checkpoint that covers them is written.
 *   F2. Each opening appends to files of its own name; a predecessor's file is read up to its committed length only.
 *   F3. A segment is published whole, after its commit, by one rename, under a name that no file has yet. Nothing is
 *       appended to a published file.
 *   F4. Files of owners above our own fence are never touched. Segments are touched through the owner folder alone
 *       (file_owner_folder.ts): a frozen owner that wakes up after a newer opening can neither publish nor take back.
 *   F5. The commit says which records exist. If the log lost its tail, and the newest commits with it, records beyond
 *       the commit that is left are taken back, in segments too.
 *   F6. One operation at a time, each decided on the state that the one before left: an operation that its caller gave
 *       up may still be under way. After `close`, or another opening by the same owner, nothing is committed.
 *   F7. A segment closes by size with the write that fills it, and by age with a timer, so that it closes in a quiet
 *       partition too. Both are turns like any other (F6), under the fence.
 *   F8. A committed file that is not the open one was left by a step that failed half-way. It is recovered, as at an
 *       opening, before anything else is written.
 *   F9. Only records of this log are taken back. A folder that belongs to another log is not touched
 *       (file_log_mark.ts), as the commits of two logs cannot be compared.
 */
import { FencedError, reasonOf } from "../../../protocols/errors.ts";
import { comparePositions, type Position } from "../../../protocols/position.ts";
import type { SinkBatch, SinkContext, SinkWriter, WriteOutcome } from "../sink.ts";
import { CommittedFiles, type OpenFile } from "./committed_files.ts";
import type { LineEncoder } from "./file_format.ts";
import type { FileFormat } from "./file_layout.ts";

export interface FileWriterOptions {
  readonly directory: string;
  readonly format?: FileFormat;
  readonly segmentBytesMax?: number;
  readonly segmentAgeMaxMs?: number;
}

export const SEGMENT_BYTES_MAX = 128 * 1024 * 1024;
export const SEGMENT_AGE_MAX_MS = 600_000;
/** Wait before the next try to publish a segment that could not be published at its age, in ms. */
const PUBLISH_AGAIN_MS = 10_000;

export class FileWriter implements SinkWriter {
  readonly #options: FileWriterOptions;
  readonly #context: SinkContext;
  readonly #encoder: LineEncoder;
  readonly #files: CommittedFiles;
  #ageTimer: { cancel(): void } | undefined;
  #last: Promise<unknown> = Promise.resolve();

  private constructor(options: FileWriterOptions, context: SinkContext, encoder: LineEncoder) {
    this.#options = options;
    this.#context = context;
    this.#encoder = encoder;
    this.#files = new CommittedFiles(options, context, encoder.header, (file) => {
      this.#ageTimer?.cancel();
      if (file !== undefined) this.#watchAge(file, options.segmentAgeMaxMs ?? SEGMENT_AGE_MAX_MS);
    });
  }

  /** Opens the sink: publishes the records that a predecessor committed, and removes its other bytes. */
  static async open(options: FileWriterOptions, context: SinkContext, encoder: LineEncoder): Promise<FileWriter> {
    const writer = new FileWriter(options, context, encoder);
    try {
      await writer.#files.recover();
    } catch (error) {
      await writer.close().catch((second: Error) => context.log("warn", `Cannot close the sink: ${second.message}`));
      throw error;
    }
    return writer;
  }

  position(): Promise<Position | undefined> {
    return this.#inTurn(async () => this.#files.commit.position);
  }

  write(batch: SinkBatch): Promise<WriteOutcome> {
    return this.#inTurn(() => this.#write(batch));
  }

  rewind(to: Position | undefined, from: Position | undefined): Promise<void> {
    return this.#inTurn(() => this.#rewind(to, from));
  }

  finish(): Promise<void> {
    return this.#inTurn(() => this.#files.publishAll());
  }

  close(): Promise<void> {
    return this.#files.close();
  }

  /** F6 */
  #inTurn<Value>(operation: () => Promise<Value>): Promise<Value> {
    const turn = this.#last.then(async () => {
      if (this.#files.isUncertain) await this.#files.settle();
      return operation();
    });
    this.#last = turn.catch(() => undefined); // The caller of `turn` gets the error.
    return turn;
  }

  async #write(batch: SinkBatch): Promise<WriteOutcome> {
    const { position } = this.#files.commit;
    if (comparePositions(position, batch.end) === 0) return { kind: "duplicate" };
    if (comparePositions(position, batch.predecessor) !== 0) return { kind: "misplaced", position };
    // Before anything is written: a record without a line is rejected (sink S8).
    const encoded = this.#encoder.encode(batch.records);
    if (encoded.kind === "rejected") return encoded;
    try {
      await this.#files.append(batch, encoded.bytes);
    } catch (error) {
      if (error instanceof FencedError) return { kind: "fenced", fence: this.#context.fence };
      throw error;
    }
    await this.#publishIfDue();
    return { kind: "written" };
  }

  async #rewind(to: Position | undefined, from: Position | undefined): Promise<void> {
    const { position } = this.#files.commit;
    if (comparePositions(position, from) !== 0 || comparePositions(position, to) <= 0) return; // sink S6
    await this.#files.publishAll();
    await this.#files.cutTo(to);
  }

  /** F7. A timer decides, as a clock that was set back would keep the segment open. */
  #watchAge(file: OpenFile, withinMs: number): void {
    this.#ageTimer = this.#context.setTimer(withinMs, () => {
      const isDue = () => this.#files.holds(file);
      void this.#inTurn(async () => isDue() && this.#files.publishAll())
        .catch((error: unknown) => this.#say(file, error))
        .then(() => isDue() && this.#watchAge(file, PUBLISH_AGAIN_MS));
    });
  }

  async #publishIfDue(): Promise<void> {
    const file = this.#files.open;
    if (file === undefined) return;
    const ageMs = this.#context.nowMs() - file.openedAtMs;
    const isLarge = file.length >= (this.#options.segmentBytesMax ?? SEGMENT_BYTES_MAX);
    if (!isLarge && ageMs < (this.#options.segmentAgeMaxMs ?? SEGMENT_AGE_MAX_MS)) return;
    // The records are committed in the open file. The next write, or the timer, tries to publish again.
    await this.#files.publishOpen().catch((error: unknown) => this.#say(file, error));
  }

  #say(file: OpenFile, error: unknown): void {
    this.#context.log("warn", `Cannot publish ${file.name}: ${reasonOf(error)}`);
  }
}
