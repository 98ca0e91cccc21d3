/** What a benchmark and its load generators say to each other. */

export interface LoadSettings {
  readonly addresses: readonly string[];
  /** Tells the generators of a run apart: the events of each begin with it. */
  readonly client: number;
  readonly producerId: string;
  readonly stream: string;
  readonly partitions: number;
  /** Neighbouring events that go to one partition. */
  readonly eventsTogether: number;
  readonly lingerMs: number;
  /** Stays with its address: nodes pass on what others own. */
  readonly forward: boolean;
}

export type ToLoad =
  | { readonly type: "start"; readonly settings: LoadSettings }
  | { readonly type: "rate"; readonly eventsPerSecond: number }
  /** Asks for the acks since it was last asked. */
  | { readonly type: "take" }
  | { readonly type: "close" };

/** Acks of one partition in order, three numbers each: when it came, and when its oldest and its newest event were due. */
export type AckTimes = readonly number[];

export interface LoadSummary {
  /** By partition; all acknowledged but for what is counted below. */
  readonly sent: readonly number[];
  readonly acked: readonly number[];
  readonly inDoubt: number;
  readonly rejected: number;
  readonly lost: number;
  /** Events that were due and not made, as the buffer was full. */
  readonly heldBack: number;
  /** Why the producer stopped, if it did. */
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
