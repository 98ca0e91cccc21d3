/**
 * What a kind of source brings to run the conformance suite: a fresh place for each case, a way to put numbers into it, and to
 * read them from the events. Knows the contract of sources and nothing of a kind.
 */
import type { NamedItem, SourceDefinition } from "../../../actors/sources/source.ts";
import type { Event } from "../../../protocols/event.ts";

/** A kind of source under test, with options that were checked. */
export type TestedSource = SourceDefinition<never> | SourceDefinition<never, NamedItem>;

/** The place outside that a source reads from, made for one test. */
export interface SourcePlace {
  readonly options: unknown;
  /** The shard that the events are put into; absent for a source without shards. */
  readonly shard?: string;
  /** Adds one event for each number. */
  put(numbers: readonly number[]): Promise<void>;
  /** The number in an event, as the source reads it. */
  numberOf(event: Event): number;
  /** Adds something that is no event. Absent where the place can hold events alone. */
  putMalformed?(): Promise<void>;
  /** Takes the place away; what is answered brings it back. Absent where that cannot be. */
  goAway?(): Promise<() => Promise<void>>;
  /** How much the place would hand out again. Absent where the place keeps everything. */
  unacknowledged?(): Promise<number>;
  close(): Promise<void>;
}

export interface SourceHarness {
  readonly name: string;
  readonly definition: TestedSource;
  open(): Promise<SourcePlace>;
}
