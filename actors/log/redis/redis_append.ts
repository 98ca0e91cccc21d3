/**
 * The arguments and the reply of the append function (redis_library.ts): one packed description of all batches, then their
 * bytes. Small batches are joined into groups, so that a usual append has few arguments and few entries.
 */
import { Packr } from "../../../deps.ts";
import { invariant } from "../../../protocols/errors.ts";
import { offset } from "../../../protocols/position.ts";
import { firstSequence, lastSequence, type Sequence, sequenceAt, sequenceCount } from "../../../protocols/sequence.ts";
import { encodePosition } from "../../../protocols/values/event_codec.ts";
import { sequenceText, textSequence } from "../embedded/stored_state.ts";
import type {
  AppendBatch,
  AppendOutcome,
  AppendRequest,
  AttachedBatch,
  StoredVerdict,
  TooManyProducers,
} from "../log.ts";
import { checkAttached, checkBatch } from "../rules/append_plan.ts";
import { chainName, ownerMark } from "../rules/chain_places.ts";
import { EntryGroups, encodeEntry, storedBytes } from "../rules/record_batch.ts";
import { rejectedBatch, storedBatch } from "../stored_batches.ts";
import type { RedisArgument } from "./redis_connection.ts";

const packr = new Packr({ useRecords: false, useToJSON: false });
/** Arguments of the function before the groups' bytes: epoch, store, channel, batches, checkpoints, touch. */
const ARGUMENTS_BEFORE_GROUPS = 6;
/** Arguments of the checkpoint function before the values: epoch, store, names. */
const ARGUMENTS_BEFORE_CHECKPOINTS = 3;

/** The arguments after epoch and store. `isTouching`: a WAIT follows, so the function must write in any case. */
export function encodeAppend(request: AppendRequest, isTouching: boolean): RedisArgument[] {
  const { channel, batches, checkpoints, attached = [] } = request;
  checkAttached(request);
  const entries = new EntryGroups();
  const rows = batches.map((batch): Row => {
    checkBatch(batch, chainName(channel, batch.producerId));
    const stored = storedBatch(batch);
    const sizeBytes = stored.count === 0 ? 0 : storedBytes(stored);
    if (sizeBytes > 0) entries.add(stored, sizeBytes);
    const first = sequenceText(firstSequence(batch.sequences));
    return [
      batch.producerId,
      batch.producerEpoch,
      batch.previousSequence === undefined ? "" : sequenceText(batch.previousSequence),
      first,
      sequenceCount(batch.sequences) === 1 ? first : sequenceText(lastSequence(batch.sequences)),
      Math.floor(batch.appendedAtMs),
      stored.count,
      sizeBytes,
      sizeBytes > 0 ? entries.groups.length : 0,
    ];
  });
  const extras = new ExtraArguments(ARGUMENTS_BEFORE_GROUPS + entries.groups.length);
  for (const [at, batch] of batches.entries()) addExtras(rows[at] as Row, batch, extras);
  const named = describeCheckpoints(checkpoints ?? new Map(), extras);
  if (attached.length > 0) extras.add(packr.pack(attached.map((one) => describeAttached(one, extras))));
  return [
    channel,
    Buffer.from(packr.pack(rows)),
    named.length === 0 ? "" : Buffer.from(packr.pack(named)),
    isTouching ? "1" : "0",
    ...entries.groups.map(encodeEntry),
    ...extras.values,
  ];
}

/** A batch, in the order of the comment above the function's `judge`. */
type Row = (string | number)[];

/** Adds the indexes of the batch's position, rejects and verdicts, the number and prefix of the verdicts, and the owner. */
function addExtras(row: Row, batch: AppendBatch, extras: ExtraArguments): void {
  const { rejects, position, owner } = batch;
  const prefix = verdictsPrefix(batch.producerId);
  const count = rejects?.verdicts.length ?? 0;
  row.push(position === undefined ? 0 : extras.add(encodePosition(position)));
  if (rejects === undefined || count === 0) row.push(0, 0);
  else {
    const members = rejects.verdicts.map(
      ({ index, code, path, reason }) =>
        prefix + sequenceText(sequenceAt(batch.sequences, index)) + JSON.stringify([code, path, reason]),
    );
    row.push(extras.add(encodeEntry([rejectedBatch(batch, rejects)])), extras.add(packr.pack(members)));
  }
  row.push(count, prefix);
  if (owner !== undefined) row.push(ownerMark(owner));
}

/** An attached batch, in the order of the comment above the function's `attach`. */
function describeAttached({ channel, batch }: AttachedBatch, extras: ExtraArguments): Row {
  const stored = storedBatch(batch);
  return [channel, stored.count, extras.add(encodeEntry([stored]))];
}

/** Arguments that follow a number of others. */
class ExtraArguments {
  readonly values: Buffer[] = [];
  readonly #before: number;

  constructor(before: number) {
    this.#before = before;
  }

  /** Returns the argument's index, from 1. */
  add(bytes: Uint8Array): number {
    return this.#before + this.values.push(Buffer.from(bytes));
  }
}

/** The arguments of the checkpoint function after epoch and store. */
export function encodeCheckpoints(values: ReadonlyMap<string, Uint8Array | undefined>): Buffer[] {
  const extras = new ExtraArguments(ARGUMENTS_BEFORE_CHECKPOINTS);
  return [Buffer.from(packr.pack(describeCheckpoints(values, extras))), ...extras.values];
}

/** Names, each followed by the index of the argument that holds its value; 0 removes the checkpoint. */
const describeCheckpoints = (values: ReadonlyMap<string, Uint8Array | undefined>, extras: ExtraArguments): Row =>
  [...values].flatMap(([name, value]) => [name, value === undefined ? 0 : extras.add(value)]);

/** The beginning of every verdict of a producer. The length in bytes keeps it apart from ids that begin with this one. */
const verdictsPrefix = (producerId: string): string => `${Buffer.byteLength(producerId)}:${producerId}\0`;

type Answer = readonly [kind: string, first?: unknown, second?: unknown, third?: unknown];

export const decodeOutcomes = (packed: Buffer): AppendOutcome[] =>
  (packr.unpack(packed) as Answer[]).map(decodeOutcome);

function decodeOutcome([kind, first, second, third]: Answer): AppendOutcome {
  if (kind === "written") return { kind, firstOffset: offset(Number(first)), count: Number(second) };
  if (kind === "gap") return { kind, stored: textSequence(String(first)) };
  if (kind === "unknown") return { kind: "unknown_producer" };
  if (kind === "stale") return { kind: "stale_producer_epoch", current: Number(first) };
  if (kind === "full") return tooManyProducers([first, second, third]);
  const stored = textSequence(String(first));
  const isDuplicate = kind === "duplicate" && stored !== undefined;
  invariant(isDuplicate, `Cannot understand an outcome as Redis must answer a known kind: current value is ${kind}`);
  return { kind, stored, verdicts: Array.isArray(second) ? second.map((member) => decodeMember(String(member))) : [] };
}

/** Reads the reply `full` without its kind: live chains and, where the principal holds its share, its places and free ones. */
export function tooManyProducers([live, held, free]: readonly unknown[]): TooManyProducers {
  const refusal = { kind: "too_many_producers", live: Number(live) } as const;
  return held === undefined ? refusal : { ...refusal, share: { held: Number(held), free: Number(free) } };
}

/** Reads a member: the producer's prefix, the sequence, then code, path and reason as JSON, which holds no NUL. */
function decodeMember(member: string): StoredVerdict {
  const at = member.lastIndexOf("\0") + 1;
  const sequence = textSequence(member.slice(at, at + 42)) as Sequence;
  const [code, path, reason] = JSON.parse(member.slice(at + 42)) as [string, string, string];
  return { sequence, code, path, reason };
}
