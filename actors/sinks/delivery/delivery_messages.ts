/** What the delivery machine hears, asks for and remembers. Times in ms, sizes in bytes. */
import type { Event } from "../../../protocols/event.ts";
import type { Offset, Position } from "../../../protocols/position.ts";
import type { Sequence } from "../../../protocols/sequence.ts";
import type { RecordOrigin, SinkBatch, SinkRecord, WriteOutcome, WriteProblem } from "../sink.ts";

/** One record of the input after the steps: none, one or more outputs, or the failure of a step. */
export interface DeliveryItem {
  readonly position: Position;
  readonly outputs: readonly SinkRecord[];
  /** A step failed on the record: it is set aside as a whole (`STEP_FAILED`); `outputs` is empty. */
  readonly failure?: Omit<DeadLetterDraft, "triple">;
  /** Estimate of the memory that the item holds. */
  readonly sizeBytes: number;
  readonly appendedAtMs: number;
  readonly traceparent?: string;
}

/** A dead letter to be written; `triple` names the record: (entry epoch, offset, output index). */
export interface DeadLetterDraft {
  readonly triple: Sequence;
  readonly code: string;
  readonly path: string;
  readonly reason: string;
  readonly event: Event;
  readonly origin?: RecordOrigin;
}

/** How records are cut into requests: stored before a request of several records is sent (D13). */
export interface RequestCut {
  /** The last record that the cut covers: no request goes beyond it. Undefined: all, as each record goes by itself. */
  readonly end: Position | undefined;
  readonly recordsPerRequest: number;
  /** Records beyond the sink's position that the sink has taken, out of their order. */
  readonly taken: readonly Sequence[];
}

export interface DeliveryLimits {
  /** Records in a write. */
  readonly recordsMax: number;
  /** Estimated bytes in a write; one record may be larger. */
  readonly bytesMax: number;
  /** How long a write waits for more records to share it; 0 writes whatever is there. */
  readonly lingerMs: number;
  /**
   * At least so long between the beginnings of two reads where the first found the end: the records of a busy partition
   * then share a read and a write, and those of a quiet one wait for nothing. 0: read whenever there is more.
   */
  readonly gatherMs: number;
  /** Read ahead of the write in hand. */
  readonly readAheadBytesMax: number;
  readonly retryFirstMs: number;
  readonly retryMaxMs: number;
  /** Writes of a batch that the sink rejects before the records it names are set aside. */
  readonly rejectTriesMax: number;
  /** How long a stop waits for the write in hand. */
  readonly stopTimeoutMs: number;
  /** Records that may share a request; undefined for a sink whose requests have no keys, and need no stored cut (D13). */
  readonly recordsPerRequest: number | undefined;
}

export const DELIVERY_LIMITS: DeliveryLimits = {
  recordsMax: 5_000,
  bytesMax: 4 * 1024 * 1024,
  lingerMs: 0,
  gatherMs: 10,
  // Decoded, an event takes some times the memory of its bytes: a sink that is away should not hold hundreds of MiB.
  readAheadBytesMax: 1024 * 1024,
  retryFirstMs: 50,
  retryMaxMs: 30_000,
  rejectTriesMax: 3,
  // Less than a node has to end in, with what its sinks then take to close: what is given up is asked about at the next start.
  stopTimeoutMs: 4_000,
  recordsPerRequest: undefined,
};

/** What the machine is waiting for; one thing at a time on the sink's side. */
export type Occupation =
  | "new"
  | "opening"
  | "idle"
  | "cutting"
  | "writing"
  | "asking"
  | "opening_chain"
  | "setting_aside"
  | "rewinding"
  | "waiting"
  | "closing"
  | "closed";

export type DeliveryMessage =
  | { readonly kind: "begin" }
  /** The sink is open under our fence. `latest` is the committed end; `setAside` what the last append of dead letters stored. */
  | {
      readonly kind: "opened";
      readonly position: Position | undefined;
      readonly latest: Position | undefined;
      readonly setAside: readonly Sequence[];
      /** The cut stored last, where the log still holds its end. */
      readonly cut?: RequestCut;
      /** The last record that a batch after `position` can have held. */
      readonly reach?: Position | undefined;
    }
  /** There may be more records: a level. */
  | { readonly kind: "advanced" }
  | {
      readonly kind: "read_records";
      readonly readId: number;
      readonly items: readonly DeliveryItem[];
      /** Nothing of a bounded range is left after the cursor. */
      readonly isEnd?: boolean;
      /** All that was committed when the read was answered has been read: `advanced` tells of more. */
      readonly isAtEnd?: boolean;
    }
  | { readonly kind: "read_trimmed"; readonly readId: number; readonly firstOffset: Offset; readonly resume: Position }
  | {
      readonly kind: "read_truncated";
      readonly readId: number;
      readonly divergence: Offset;
      readonly resume: Position | undefined;
      readonly canRewind: boolean;
    }
  | { readonly kind: "read_failed"; readonly readId: number; readonly reason: string; readonly random: number }
  | { readonly kind: "cut_stored" }
  | { readonly kind: "wrote"; readonly outcome: WriteOutcome; readonly random: number }
  | { readonly kind: "positioned"; readonly position: Position | undefined }
  | { readonly kind: "chain_opened"; readonly last: Sequence | undefined }
  | { readonly kind: "dead_letters_stored" }
  | { readonly kind: "rewound"; readonly to: Position | undefined }
  /** The operation in hand failed or ran out of time; whether it took place is not known. `random` in [0, 1). */
  | {
      readonly kind: "failed";
      readonly reason: string;
      readonly retryAfterMs?: number;
      readonly random: number;
      /** Time does not mend the reason. */
      readonly needsPerson?: true;
    }
  /** The operation in hand made no step within its deadline. It has not ended yet. */
  | { readonly kind: "overdue"; readonly overdueMs: number }
  | { readonly kind: "fenced"; readonly fence: number | undefined }
  /** A timer that the sink asked for: its actor runs it, and the machine hears nothing of it. */
  | { readonly kind: "sink_timer"; readonly run: () => void }
  | { readonly kind: "timer"; readonly timerId: number; readonly purpose: TimerPurpose }
  | { readonly kind: "pause" }
  | { readonly kind: "resume" }
  | { readonly kind: "stop" }
  | { readonly kind: "closed" };

export type TimerPurpose = "retry" | "read" | "linger" | "stop";

export type DeliveryEffect =
  | { readonly kind: "open" }
  | { readonly kind: "read"; readonly readId: number; readonly after: Position | undefined }
  | { readonly kind: "write"; readonly batch: SinkBatch }
  | { readonly kind: "ask_position" }
  | { readonly kind: "store_cut"; readonly cut: RequestCut }
  /** Tells the operation in hand to end; it still answers with one message (D12). */
  | { readonly kind: "give_up" }
  /** `from` is what the sink is known to hold: it takes nothing back where it has moved on since (S6). */
  | { readonly kind: "rewind"; readonly to: Position | undefined; readonly from: Position | undefined }
  | { readonly kind: "open_chain" }
  | {
      readonly kind: "append_dead_letters";
      readonly letters: readonly DeadLetterDraft[];
      readonly previous: Sequence | undefined;
      /** Sequence of the first letter; the others count on from it. */
      readonly first: Sequence;
      /** Every triple set aside beyond the sink's position, these included: stored with the letters (D4). */
      readonly setAside: readonly Sequence[];
    }
  | { readonly kind: "timer"; readonly timerId: number; readonly purpose: TimerPurpose; readonly delayMs: number }
  /** `isFinal`: the range is done, and nothing more will come. */
  | { readonly kind: "close"; readonly isFinal: boolean }
  | { readonly kind: "report"; readonly report: DeliveryReport };

/** What a delivery tells its observers. */
export type DeliveryReport =
  | { readonly kind: "opened"; readonly position: Position | undefined }
  | { readonly kind: "delivered"; readonly batch: DeliveredBatch }
  | {
      readonly kind: "retry";
      readonly what: string;
      readonly reason: string;
      readonly delayMs: number;
      /** Time does not mend it: a person must act. */
      readonly needsPerson?: boolean;
      /** Of what is in hand meanwhile. */
      readonly traceparents?: readonly string[];
    }
  | {
      readonly kind: "dead_lettered";
      readonly letters: readonly DeadLetterDraft[];
      readonly traceparents?: readonly string[];
    }
  | { readonly kind: "misplaced"; readonly from: Position | undefined; readonly to: Position | undefined }
  | { readonly kind: "trimmed"; readonly after: Offset | undefined; readonly firstOffset: Offset }
  /** `isAhead`: the sink holds records from `divergence` on that the log lost; its orphans unless it rewinds. */
  | {
      readonly kind: "truncated";
      readonly position: Position | undefined;
      readonly divergence: Offset;
      readonly isAhead: boolean;
    }
  | { readonly kind: "fenced"; readonly fence: number | undefined }
  /** All of a bounded range is in the sink, or was filtered or set aside. */
  | { readonly kind: "completed" }
  | { readonly kind: "stopped" };

export interface DeliveredBatch {
  readonly end: Position;
  /** Records of the input that the batch covers, filtered ones included. */
  readonly inputs: number;
  readonly records: number;
  /** When the oldest of them was appended, by the owner's clock; undefined for a batch that only moved the position. */
  readonly oldestAppendedAtMs: number | undefined;
}

/** The batch in hand: cut once, written until it is written. */
export interface Hand {
  readonly items: readonly DeliveryItem[];
  /** Neither taken nor set aside yet. */
  records: readonly SinkRecord[];
  readonly end: Position;
  readonly recordsPerRequest: number;
  /** Writes that rejected the first record that is left. */
  rejections: number;
  /** To be set aside before the next write. */
  drafts: readonly DeadLetterDraft[];
  /** Records that the sink has taken and nobody was told of yet. */
  takenCount: number;
  /** Taken out of their order: stored with the next cut, as the position can not tell of them. */
  takenBeyond: readonly Sequence[];
}

export interface DeliveryState {
  readonly limits: DeliveryLimits;
  readonly start: "earliest" | "latest";
  occupation: Occupation;
  retry: { readonly then: "open" | "write" | "ask" | "rewind"; readonly timerId: number } | undefined;
  isPaused: boolean;
  isStopping: boolean;
  /** What the sink is known to hold. */
  position: Position | undefined;
  /** Last record read ahead. */
  cursor: Position | undefined;
  chain: { readonly isOpen: boolean; readonly last: Sequence | undefined };
  /** End of the append of dead letters in hand, kept while its outcome is not known. */
  chainTarget: Sequence | undefined;
  /** Triples in the dead letters that lie beyond `position`, by key. */
  setAside: Map<string, Sequence>;
  /** The stored cut, as far as it reaches beyond `position`. */
  cut: RequestCut | undefined;
  /** Of the stored cut, by key: records beyond `position` that are not written again. */
  taken: Map<string, Sequence>;
  buffer: DeliveryItem[];
  bufferBytes: number;
  bufferedSinceMs: number;
  hand: Hand | undefined;
  /** What was in hand with it, to be written after it. */
  behind: Hand[];
  /** Why the write before went no further: dealt with once the position has moved over what was taken. */
  problem: { readonly why: WriteProblem; readonly random: number } | undefined;
  failures: number;
  readFailures: number;
  readId: number;
  isReading: boolean;
  isReadWaiting: boolean;
  /** When the last read began, where it found the end; else long ago. */
  readBeganMs: number;
  hasMore: boolean;
  /** A bounded range was read to its end. */
  hasEnded: boolean;
  /** All of the range is done: to be said once the sink is closed. */
  isCompleting: boolean;
  timerId: number;
  isLingering: boolean;
  /** What the last read found in place of records; dealt with once nothing is in hand. */
  interruption: Extract<DeliveryMessage, { kind: "read_trimmed" | "read_truncated" }> | undefined;
}
