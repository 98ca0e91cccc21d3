/** The messages, effects and state of the delivery machine. Times are in ms, sizes in bytes. */
import type { Event } from "../../../protocols/event.ts";
import type { Offset, Position } from "../../../protocols/position.ts";
import type { Sequence } from "../../../protocols/sequence.ts";
import type { RecordOrigin, SinkBatch, SinkRecord, WriteOutcome, WriteProblem } from "../sink.ts";

/** One record of the input after the steps: its outputs (possibly none), or the failure of a step. */
export interface DeliveryItem {
  readonly position: Position;
  readonly outputs: readonly SinkRecord[];
  /** A step failed on the record: the whole record is set aside (`STEP_FAILED`), and `outputs` is empty. */
  readonly failure?: Omit<DeadLetterDraft, "triple">;
  /** Estimate of the memory that the item holds. */
  readonly sizeBytes: number;
  readonly appendedAtMs: number;
  readonly traceparent?: string;
}

/** A dead letter to be written. `triple` names the record by (entry epoch, offset, output index). */
export interface DeadLetterDraft {
  readonly triple: Sequence;
  readonly code: string;
  readonly path: string;
  readonly reason: string;
  readonly event: Event;
  readonly origin?: RecordOrigin;
}

/** How records are cut into requests. Stored before a request is sent (D13). */
export interface RequestCut {
  /** The last record that the cut covers. Undefined: the cut covers all records, as each goes by itself. */
  readonly end: Position | undefined;
  readonly recordsPerRequest: number;
  /** Records beyond the sink's position that the sink took out of their order. */
  readonly taken: readonly Sequence[];
  /** For a cut without an end: the most records that a batch under it holds. Absent: `CUT_RECORDS_MAX`. */
  readonly recordsMax?: number;
}

/** The most records of a batch in releases whose cuts do not say how many. */
export const CUT_RECORDS_MAX = 5_000;

export interface DeliveryLimits {
  readonly recordsMax: number;
  /** Most bytes in one write, by estimate. A larger record goes alone. */
  readonly bytesMax: number;
  /** How long a write waits for more records to share it. 0: it does not wait. */
  readonly lingerMs: number;
  /** Least time between two reads to the end: records of a busy partition share a read and a write. 0: none. */
  readonly gatherMs: number;
  /** Most bytes read ahead of the batch in hand, beside one read (D8). */
  readonly readAheadBytesMax: number;
  readonly retryFirstMs: number;
  readonly retryMaxMs: number;
  /** How often the sink must reject the first record left, before the records that it names are set aside. */
  readonly rejectTriesMax: number;
  /** The most dead letters in one append, and the most bytes of their records. */
  readonly lettersMax: number;
  readonly lettersBytesMax: number;
  /** The most records of the input, and bytes of them, that a sink holds before it is told to make them durable (D15). */
  readonly heldRecordsMax: number;
  readonly heldBytesMax: number;
  /** How often a flush may fail in a row before the sink is opened again (D16). */
  readonly flushTriesMax: number;
  readonly stopTimeoutMs: number;
  /** Names the target of a record: records of different targets share no request. Absent: all have one target. */
  readonly targetOf?: ((record: SinkRecord) => string) | undefined;
  /** Most records in one request. Undefined for a sink whose requests have no keys, and so need no stored cut (D13). */
  readonly recordsPerRequest: number | undefined;
}

export const DELIVERY_LIMITS: DeliveryLimits = {
  recordsMax: CUT_RECORDS_MAX,
  bytesMax: 4 * 1024 * 1024,
  lingerMs: 0,
  gatherMs: 10,
  // A decoded event takes several times the memory of its bytes, and each sink and partition reads ahead.
  readAheadBytesMax: 1024 * 1024,
  retryFirstMs: 50,
  retryMaxMs: 30_000,
  rejectTriesMax: 3,
  lettersMax: 5_000,
  lettersBytesMax: 4 * 1024 * 1024,
  // What a crash makes a delivery send again, and what the sink may keep in memory.
  heldRecordsMax: 1_000_000,
  heldBytesMax: 256 * 1024 * 1024,
  flushTriesMax: 3,
  // A node must stop its deliveries and close their sinks within its own deadline. The next start asks for unknown outcomes.
  stopTimeoutMs: 4_000,
  recordsPerRequest: undefined,
};

/** The operation on the sink or the log that the machine waits for: one at a time. */
export type Operation =
  | "opening"
  | "cutting"
  | "writing"
  | "asking"
  | "flushing"
  | "opening_chain"
  | "setting_aside"
  | "rewinding";
export type Occupation = Operation | "new" | "idle" | "waiting" | "closing" | "closed";

export type DeliveryMessage =
  | { readonly type: "begin" }
  /** The sink is open under our fence. `latest`: the committed end. `setAside`: the triples stored with the last dead letters. */
  | {
      readonly type: "opened";
      readonly position: Position | undefined;
      readonly latest: Position | undefined;
      readonly setAside: readonly Sequence[];
      /** The stored cut; absent where the log no longer holds its end. */
      readonly cut?: RequestCut;
      /** The last record that any batch after `position` can have held before. */
      readonly reach?: Position | undefined;
      /** The sink may answer `held`, and can be flushed. */
      readonly canHold?: boolean;
    }
  /** The log may hold more records. A level and not a count (E19). */
  | { readonly type: "advanced" }
  | {
      readonly type: "read_records";
      readonly readId: number;
      readonly items: readonly DeliveryItem[];
      /** A bounded range has no more records after the cursor. */
      readonly isEnd?: boolean;
      /** The read reached the committed end. `advanced` will tell of more records. */
      readonly isAtEnd?: boolean;
    }
  | { readonly type: "read_trimmed"; readonly readId: number; readonly firstOffset: Offset; readonly resume: Position }
  | {
      readonly type: "read_truncated";
      readonly readId: number;
      readonly divergence: Offset;
      readonly resume: Position | undefined;
      readonly canRewind: boolean;
    }
  | { readonly type: "read_failed"; readonly readId: number; readonly reason: string; readonly random: number }
  | { readonly type: "cut_stored" }
  | { readonly type: "wrote"; readonly outcome: WriteOutcome; readonly random: number }
  | { readonly type: "positioned"; readonly position: Position | undefined }
  /** `position`: the durable position, after the sink was told to make durable what it holds. */
  | { readonly type: "flushed"; readonly position: Position | undefined; readonly random: number }
  | { readonly type: "chain_opened"; readonly last: Sequence | undefined }
  | { readonly type: "dead_letters_stored" }
  | { readonly type: "rewound"; readonly to: Position | undefined }
  /** The operation in hand failed; whether it took effect is not known. `random` is in [0, 1). */
  | {
      readonly type: "failed";
      readonly reason: string;
      readonly retryAfterMs?: number;
      readonly random: number;
      /** The reason will not pass by itself. */
      readonly needsPerson?: true;
    }
  /** The operation in hand made no step within its deadline, and has not ended yet. */
  | { readonly type: "overdue"; readonly overdueMs: number }
  | { readonly type: "fenced"; readonly fence: number | undefined }
  | { readonly type: "timer"; readonly timerId: number; readonly purpose: TimerPurpose }
  | { readonly type: "pause" }
  | { readonly type: "resume" }
  | { readonly type: "stop" }
  | { readonly type: "closed" };

export type TimerPurpose = "retry" | "read" | "linger" | "flush" | "stop";

export type DeliveryEffect =
  | { readonly type: "open" }
  | { readonly type: "read"; readonly readId: number; readonly after: Position | undefined }
  | { readonly type: "write"; readonly batch: SinkBatch }
  | { readonly type: "ask_position" }
  /** Tells the sink to make durable what it holds (D15). */
  | { readonly type: "flush" }
  | { readonly type: "store_cut"; readonly cut: RequestCut }
  /** Tells the operation in hand to end; it still answers with one message (D12). */
  | { readonly type: "give_up" }
  /** `from` is the position that the sink is known to hold. A sink that has moved on since takes nothing back (sink S6). */
  | { readonly type: "rewind"; readonly to: Position | undefined; readonly from: Position | undefined }
  | { readonly type: "open_chain" }
  | {
      readonly type: "append_dead_letters";
      readonly letters: readonly DeadLetterDraft[];
      readonly previous: Sequence | undefined;
      readonly first: Sequence;
      /** All triples set aside beyond the sink's position, these letters' included. Stored with the letters (D4). */
      readonly setAside: readonly Sequence[];
    }
  | { readonly type: "timer"; readonly timerId: number; readonly purpose: TimerPurpose; readonly delayMs: number }
  /** `isFinal`: the bounded range is done, and no more records will come. */
  | { readonly type: "close"; readonly isFinal: boolean }
  | { readonly type: "report"; readonly report: DeliveryReport };

/** What happened in a delivery, for its observers. */
export type DeliveryReport =
  | { readonly kind: "opened"; readonly position: Position | undefined }
  | { readonly kind: "delivered"; readonly batch: DeliveredBatch }
  | {
      readonly kind: "retry";
      readonly what: string;
      readonly reason: string;
      readonly delayMs: number;
      /** The reason will not pass by itself: a person must act. */
      readonly needsPerson?: boolean;
      readonly traceparents?: readonly string[];
    }
  | {
      readonly kind: "dead_lettered";
      readonly letters: readonly DeadLetterDraft[];
      readonly traceparents?: readonly string[];
    }
  | { readonly kind: "misplaced"; readonly from: Position | undefined; readonly to: Position | undefined }
  | { readonly kind: "trimmed"; readonly after: Offset | undefined; readonly firstOffset: Offset }
  /** `isAhead`: the sink holds records from `divergence` on that the log lost. They stay unless the sink rewinds. */
  | {
      readonly kind: "truncated";
      readonly position: Position | undefined;
      readonly divergence: Offset;
      readonly isAhead: boolean;
    }
  | { readonly kind: "fenced"; readonly fence: number | undefined }
  /** Every record of a bounded range is in the sink, or was filtered or set aside. */
  | { readonly kind: "completed" }
  | { readonly kind: "stopped" };

export interface DeliveredBatch {
  readonly end: Position;
  /** How many records of the input the batch covers, filtered ones included. */
  readonly inputs: number;
  readonly records: number;
  /** When the oldest record was appended, by the owner's clock. Undefined where only the position moved. */
  readonly oldestAppendedAtMs: number | undefined;
}

/** A batch that the sink has taken and may still lose (sink S10). Its records are read again if it does. */
export interface HeldBatch {
  readonly batch: DeliveredBatch;
  readonly sizeBytes: number;
}

/** The batch in hand. It is cut once, and written until the sink holds it. */
export interface Hand {
  readonly items: readonly DeliveryItem[];
  records: readonly SinkRecord[];
  readonly end: Position;
  readonly recordsPerRequest: number;
  rejections: number;
  /** The dead letters to be written before the next write of records. */
  drafts: readonly DeadLetterDraft[];
  /** How many records the sink has taken that were not reported yet. */
  takenCount: number;
  /** Records taken out of their order. They are stored with the next cut, as the position cannot express them. */
  takenBeyond: readonly Sequence[];
}

export type RetryThen = "open" | "write" | "ask" | "flush" | "rewind";

export interface DeliveryState {
  readonly limits: DeliveryLimits;
  readonly start: "earliest" | "latest";
  occupation: Occupation;
  retry: { readonly then: RetryThen; readonly timerId: number } | undefined;
  isPaused: boolean;
  isStopping: boolean;
  /** The position that the sink is known to hold, durable or not: the next write begins behind it. */
  position: Position | undefined;
  /** The position up to which the sink can lose nothing: where a crash begins (D14). */
  durable: Position | undefined;
  /** The sink may hold batches between `durable` and `position`. */
  canHold: boolean;
  /** The batches between `durable` and `position`, oldest first. */
  held: HeldBatch[];
  heldBytes: number;
  heldInputs: number;
  /** When the last batch was taken. */
  heldSinceMs: number;
  flushTimerId: number | undefined;
  cursor: Position | undefined;
  chain: { readonly isOpen: boolean; readonly last: Sequence | undefined };
  /** The last sequence of the append of dead letters in hand, kept while its outcome is not known. */
  chainTarget: Sequence | undefined;
  /** How many of the batch's dead letters that append holds. */
  lettersInAppend: number;
  /** Triples beyond `durable` that are in the dead letters, by key. */
  setAside: Map<string, Sequence>;
  /** The stored cut, while it reaches beyond `durable`. */
  cut: RequestCut | undefined;
  /** The records that the stored cut names as taken, by key. They are not written again. */
  taken: Map<string, Sequence>;
  buffer: DeliveryItem[];
  bufferBytes: number;
  bufferedSinceMs: number;
  hand: Hand | undefined;
  /** Parts of the batch in hand that are written after it. */
  behind: Hand[];
  /** Why the last write stopped before its end. Handled once the position has moved over the taken records. */
  problem: { readonly why: WriteProblem; readonly random: number } | undefined;
  failures: number;
  readFailures: number;
  readId: number;
  isReading: boolean;
  isReadWaiting: boolean;
  /** When the last read began, if it read to the end; otherwise minus infinity. */
  readBeganMs: number;
  hasMore: boolean;
  /** A bounded range was read to its end. */
  hasEnded: boolean;
  /** The range is done. This is reported once the sink is closed. */
  isCompleting: boolean;
  timerId: number;
  /** The timer that ends the wait for a batch to fill. */
  lingerTimerId: number | undefined;
  /** The loss that the last read found in place of records. Handled once no batch is in hand. */
  interruption: Extract<DeliveryMessage, { type: "read_trimmed" | "read_truncated" }> | undefined;
}
