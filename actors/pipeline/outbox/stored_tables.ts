/**
 * The tables of a pipeline in one partition, as the log holds them: restored by reading their channel, and stored with the
 * call that stores the outputs (E29).
 */
import { UnavailableError } from "../../../protocols/errors.ts";
import { cursorBefore, type Offset, type Position, position } from "../../../protocols/position.ts";
import type { AppendResult, AttachedBatch, Channel } from "../../log/log.ts";
import type { PartitionFeed } from "../../partition/partition_feed.ts";
import { PipelineState } from "../state/pipeline_state.ts";
import type { StateTables } from "../step.ts";

/** Bytes of the channel that are read at once. */
const READ_BYTES_MAX = 4_194_304;

export const stateChannel = (pipeline: string): Channel => `state/${pipeline}`;

export class StoredTables {
  readonly #feed: PartitionFeed;
  readonly #pipeline: string;
  #state: PipelineState;
  /** True where memory holds what the log holds. */
  #isCurrent = false;

  constructor(feed: PartitionFeed, pipeline: string) {
    this.#feed = feed;
    this.#pipeline = pipeline;
    this.#state = new PipelineState();
  }

  readonly tables: StateTables = (name, limits) => this.#state.table(name, limits);

  /** Whether the steps have changed something since the last stored call. */
  get hasChanges(): boolean {
    return this.#state.hasChanges;
  }

  /** Makes the tables equal to the log. Reads only where memory may hold something else. */
  async restore(): Promise<void> {
    if (this.#isCurrent) return;
    const state = new PipelineState();
    const channel = stateChannel(this.#pipeline);
    const { epochs, firstOffset, endOffset } = this.#feed.bounds(channel);
    let after: Position | undefined = cursorBefore(epochs, firstOffset);
    for (let next: number = firstOffset; next < endOffset; ) {
      const result = await this.#feed.read(channel, after, READ_BYTES_MAX);
      if (result.kind === "trimmed") {
        after = cursorBefore(epochs, result.firstOffset);
        continue;
      }
      if (result.kind === "truncated" || result.batches.length === 0) throw unreadable(channel, next, endOffset);
      for (const batch of result.batches) {
        state.load(batch);
        next = batch.firstOffset + batch.count;
        after = position(batch.epoch, next - 1);
      }
    }
    state.loaded();
    this.#state = state;
    this.#isCurrent = true;
  }

  /** Undoes what the steps have done since the last stored call. */
  rollBack(): void {
    this.#state.rollback();
  }

  /** Whatever still holds the tables must not reach the log: the next `restore` reads anew. */
  abandon(): void {
    this.#isCurrent = false;
    this.#state = new PipelineState();
  }

  /** The batch to attach to the turn's call; none where nothing changed. Tell `stored` the call's answer. */
  attached(nowMs: number): readonly AttachedBatch[] {
    const changes = this.#state.changes();
    if (changes === undefined) return [];
    this.#isCurrent = false;
    const batch = {
      producerId: `pipeline/${this.#pipeline}`,
      producerEpoch: this.#feed.epoch,
      previousSequence: undefined,
      sequences: { first: [0, 0, 0] as const, count: changes.count },
      schemaVersion: 0,
      events: changes.events,
      appendedAtMs: nowMs,
    };
    return [{ channel: stateChannel(this.#pipeline), batch }];
  }

  /** The call was answered. Resolves once the channel's free beginning is trimmed, where that is due. */
  async stored({ attachedEnds }: AppendResult): Promise<void> {
    const [endOffset] = attachedEnds ?? [];
    if (endOffset === undefined) return;
    const before: Offset | undefined = this.#state.stored(endOffset);
    this.#isCurrent = true;
    if (before !== undefined) await this.#feed.trim(stateChannel(this.#pipeline), before);
  }
}

const unreadable = (channel: Channel, next: number, endOffset: number): UnavailableError =>
  new UnavailableError(
    "NOT_READY",
    `Cannot restore ${channel} as its batches must be read up to offset ${endOffset}: the log answered up to ${next}`,
  );
