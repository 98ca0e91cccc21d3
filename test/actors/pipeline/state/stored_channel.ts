/** A state channel as the log keeps it: whole batches, trimmed from the beginning. Restores states from any of its lengths. */
import { type ChannelLimits, PipelineState } from "../../../../actors/pipeline/state/pipeline_state.ts";
import { type Offset, offset } from "../../../../protocols/position.ts";

export interface ChannelBatch {
  readonly firstOffset: Offset;
  readonly count: number;
  readonly events: Uint8Array;
}

/** Cleans and trims at once, so that short histories do it too. */
export const EAGER_LIMITS: ChannelLimits = {
  bytesPerLiveByte: 2,
  slackBytes: 0,
  cleanedBytesMin: 64,
  trimmedBytesMin: 1,
};

export class StoredChannel {
  batches: readonly ChannelBatch[] = [];
  endOffset = 0;
  /** Bytes of the batches as the log counts them: events and a header. */
  get sizeBytes(): number {
    return this.batches.reduce((sum, { events }) => sum + events.length + 90, 0);
  }

  /**
   * Stores the changes of a turn. Answers the bytes of the events that were written.
   *
   * @param isTrimmed whether the owner lives on to trim what may go
   */
  store(state: PipelineState, isTrimmed = true): number {
    const changes = state.changes();
    if (changes === undefined) return 0;
    const { count } = changes;
    const events = new Uint8Array(changes.events);
    this.batches = [...this.batches, { firstOffset: offset(this.endOffset), count, events }];
    this.endOffset += count;
    const before = state.stored(offset(this.endOffset));
    if (isTrimmed) this.trim(before);
    return events.length;
  }

  /** Whole batches that end before the offset go, as `Log.trim` removes them. */
  trim(before: Offset | undefined): void {
    if (before === undefined) return;
    this.batches = this.batches.filter(({ firstOffset, count }) => firstOffset + count > before);
  }

  restore(limits?: ChannelLimits): PipelineState {
    const state = new PipelineState(limits);
    for (const batch of this.batches) state.load(batch);
    state.loaded();
    return state;
  }

  copy(): StoredChannel {
    const copy = new StoredChannel();
    copy.batches = this.batches;
    copy.endOffset = this.endOffset;
    return copy;
  }
}
