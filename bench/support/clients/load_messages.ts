/** The messages between a benchmark and its load generators. */

export interface LoadSettings {
  readonly addresses: readonly string[];
  /** Number of the generator in the run. Its events begin with this number. */
  readonly client: number;
  readonly producerId: string;
  readonly stream: string;
  readonly partitions: number;
  /** How many consecutive events go to one partition. */
  readonly eventsTogether: number;
  readonly lingerMs: number;
  /** Whether the generator stays with its address, so that nodes pass its events on to the owners. */
  readonly forward: boolean;
}

export type ToLoad =
  | { readonly type: "start"; readonly settings: LoadSettings }
  | { readonly type: "rate"; readonly eventsPerSecond: number }
  /** Asks for the acks since the last request. */
  | { readonly type: "take" }
  | { readonly type: "close" };

/**
 * Acks of one partition in order, as three times each: of its arrival, and when its oldest and newest event were due.
 */
export type AckTimes = readonly number[];

export interface LoadSummary {
  /** Sent events by partition. All were acknowledged, except those counted below. */
  readonly sent: readonly number[];
  readonly acked: readonly number[];
  readonly inDoubt: number;
  readonly rejected: number;
  readonly lost: number;
  /** How many due events were not made, as the buffer was full. */
  readonly heldBack: number;
  /** Why the producer stopped; undefined if it did not. */
  readonly failure: string | undefined;
}

export type FromLoad =
  | { readonly type: "ready" }
  | {
      readonly type: "acks";
      readonly partitions: readonly AckTimes[];
      readonly ackedEvents: number;
      readonly pendingEvents: number;
    }
  | { readonly type: "closed"; readonly summary: LoadSummary };
