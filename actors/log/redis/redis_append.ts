/**
 * The arguments and the reply of the append function (redis_library.ts): one packed description of all batches, then their
 * bytes. Small batches are joined into groups, so that a usual append has few arguments and few entries.
 */
import { Packr } from "../../../deps.ts";
import { InvariantError } from "../../../protocols/errors.ts";
import { offset } from "../../../protocols/position.ts";
import { firstSequence, lastSequence, type Sequence, sequenceAt, sequenceCount } from "../../../protocols/sequence.ts";
import { encodePosition } from "../../../protocols/values/event_codec.ts";
import { sequenceText, textSequence } from "../embedded/stored_state.ts";
import type { AppendBatch, AppendOutcome, AppendRequest, StoredVerdict, TooManyProducers } from "../log.ts";
import { checkBatch } from "../rules/append_plan.ts";
import { chainName, ownerMark } from "../rules/chain_places.ts";
import { EntryGroups, encodeEntry, storedBytes } from "../rules/record_batch.ts";
import { rejectedBatch, storedBatch } from "../stored_batches.ts";

const packr = new Packr({ useRecords: false, useToJSON: false });
/** Arguments of the function before the groups' bytes: epoch, store, channel, batches, checkpoints, touch. */
const ARGUMENTS_BEFORE_GROUPS = 6;

/** The arguments after epoch and store. `isTouching`: a WAIT follows, so the function must write in any case. */
export function encodeAppend(request: AppendRequest, isTouching: boolean): (string | Buffer)[] {
  const entries = new EntryGroups();
  const { groups } = entries;
  const extras: Buffer[] = [];
  const described = request.batches.map((batch) => {
    checkBatch(batch, chainName(request.channel, batch.producerId));
    const stored = storedBatch(batch);
    const sizeBytes = stored.count === 0 ? 0 : storedBytes(stored);
    if (sizeBytes > 0) entries.add(stored, sizeBytes);
    return describe(batch, stored.count, sizeBytes, sizeBytes > 0 ? groups.length : 0, extras);
  });
  const checkpoints = request.checkpoints ?? new Map<string, Uint8Array | undefined>();
  const named = describeCheckpoints(checkpoints, extras);
  // The extras follow the groups, so their indexes depend on the number of groups.
  const before = ARGUMENTS_BEFORE_GROUPS + groups.length;
  for (const row of described) for (const at of ARGUMENT_PLACES) shift(row, at, before);
  for (let at = 1; at < named.length; at += 2) shift(named, at, before);
  return [
    request.channel,
    Buffer.from(packr.pack(described)),
    named.length === 0 ? "" : Buffer.from(packr.pack(named)),
    isTouching ? "1" : "0",
    ...groups.map(encodeEntry),
    ...extras,
  ];
}

type Row = (string | number)[];

/** Indexes in a batch's row that hold indexes of arguments: position, rejects and their verdicts. */
const ARGUMENT_PLACES = [9, 10, 11];

function shift(row: Row, at: number, by: number): void {
  if (row[at] !== 0) row[at] = Number(row[at]) + by;
}

/** The arguments of the checkpoint function after epoch and store. */
export function encodeCheckpoints(values: ReadonlyMap<string, Uint8Array | undefined>): Buffer[] {
  const extras: Buffer[] = [];
  const named = describeCheckpoints(values, extras);
  for (let at = 1; at < named.length; at += 2) shift(named, at, 3);
  return [Buffer.from(packr.pack(named)), ...extras];
}

/** Names, each followed by the number, from 1, of the extra that holds its value; 0 removes the checkpoint. */
function describeCheckpoints(values: ReadonlyMap<string, Uint8Array | undefined>, extras: Buffer[]): Row {
  return [...values].flatMap(([name, value]) => [name, value === undefined ? 0 : extras.push(Buffer.from(value))]);
}

/** One row of the description, in the order of the comment above the function's `judge`. */
function describe(batch: AppendBatch, count: number, sizeBytes: number, group: number, extras: Buffer[]): Row {
  const { verdicts } = batch.rejects ?? { verdicts: [] };
  const prefix = verdictsPrefix(batch.producerId);
  let rejectedAt = 0;
  if (batch.rejects !== undefined && verdicts.length > 0) {
    rejectedAt = extras.push(encodeEntry([rejectedBatch(batch, batch.rejects)]));
    const members = verdicts.map(
      ({ index, code, path, reason }) =>
        prefix + sequenceText(sequenceAt(batch.sequences, index)) + JSON.stringify([code, path, reason]),
    );
    extras.push(Buffer.from(packr.pack(members)));
  }
  const first = sequenceText(firstSequence(batch.sequences));
  return [
    batch.producerId,
    batch.producerEpoch,
    batch.previousSequence === undefined ? "" : sequenceText(batch.previousSequence),
    first,
    sequenceCount(batch.sequences) === 1 ? first : sequenceText(lastSequence(batch.sequences)),
    Math.floor(batch.appendedAtMs),
    count,
    sizeBytes,
    group,
    batch.position === undefined ? 0 : extras.push(Buffer.from(encodePosition(batch.position))),
    rejectedAt,
    rejectedAt === 0 ? 0 : rejectedAt + 1,
    verdicts.length,
    prefix,
    ...(batch.owner === undefined ? [] : [ownerMark(batch.owner)]),
  ];
}

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
  if (kind !== "duplicate" || stored === undefined) {
    throw new InvariantError(
      `Cannot understand an outcome as Redis must answer a known kind: current value is ${kind}`,
    );
  }
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
