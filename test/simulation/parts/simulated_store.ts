/**
 * The store of a simulated run: the product's memory log, with a ledger of everything that it held, lost and told. The store
 * outlives the nodes. They never see the ledger, with which the judge compares.
 */

import type { DeadLetter } from "../../../actors/log/dead_letter.ts";
import { EmbeddedLog } from "../../../actors/log/embedded/embedded_log.ts";
import { MemoryStore } from "../../../actors/log/embedded/memory_store.ts";
import { decodeFence, encodeFence, fenceKey, partitionPrefix } from "../../../actors/log/embedded/stored_state.ts";
import type { AppendRequest, AppendResult, Channel, Log, Ownership, RecordBatch } from "../../../actors/log/log.ts";
import { encodeEntry } from "../../../actors/log/rules/record_batch.ts";
import { recordsOf } from "../../../actors/log/stored_records.ts";
import { UnavailableError } from "../../../protocols/errors.ts";
import { offset, type PartitionReference, type Position, partitionId, position } from "../../../protocols/position.ts";
import type { Sequence } from "../../../protocols/sequence.ts";
import { decodeSlice, decodeTrustedEvents } from "../../../protocols/values/event_codec.ts";
import type { LoggedEvent } from "../../support/checker.ts";
import type { World } from "./world.ts";

export const STREAM = "readings";
export const SINKS = ["orders", "archive"] as const;

interface Letter {
  readonly partition: number;
  readonly at: number;
  readonly id: string | undefined;
  readonly producerId: string;
  readonly sequence: Sequence;
  readonly code: string;
}

export class SimulatedStore {
  readonly store = new MemoryStore();
  readonly log: Log;
  readonly tier: "fsync" | "everysec";
  readonly partitions: readonly PartitionReference[];
  /** The ledger: all records that the log ever held and did not lose, by partition, in order of offset. */
  readonly ledger: LoggedEvent[][];
  readonly letters = new Map<string, Letter[]>();
  readonly lostIds = new Set<string>();
  /** `partition/epoch/offset` of records that were lost with a tail. */
  readonly lostPlaces = new Set<string>();
  /** Ids of events that an answer proved to be stored or set aside. */
  readonly durable = new Set<string>();
  /** One past the last offset that an answer to an owner committed, by partition. */
  readonly told: number[];
  /** Highest first offset that a trim ever left, by partition: readers were told, even where the trim was lost later. */
  readonly trimmedTo: number[] = [];
  /** Partitions whose retention took dead letters, and with them the verdicts for repeated batches. */
  readonly forgotVerdicts = new Set<number>();
  /** One past the last record that survived the last loss, by partition. */
  readonly survived: number[] = [];
  /** The pipeline whose outputs the sinks read, if any. */
  pipeline: string | undefined;
  /** Records that the pipeline's outbox covers, and one past its last output, by partition. */
  readonly computed: { readonly covered: number; readonly end: number }[] = [];
  /** The time at which the store's clock stands still, if it does. */
  clockMs: number | undefined;
  /** Ids of events that were refused for a bug of the program: their senders were told, and no log holds them. */
  readonly refused = new Set<string>();
  /** The number of next entries that cannot be encoded (E25). */
  encodingsToFail = 0;
  /** Ids of events in entries that could not be encoded: such an event may be refused. */
  readonly unencodable = new Set<string>();
  /** Number of tails that were lost so far. */
  losses = 0;
  /** Whether the store is not the one that the cluster remembers, and the loss is not accepted (E22). */
  isStrange = false;
  readonly claimedEpochs: Set<number>[];
  readonly #newestClaims: number[];
  readonly #world: World;
  readonly #abandon: () => void;

  constructor(world: World, tier: "fsync" | "everysec", partitions: number) {
    this.#world = world;
    this.tier = tier;
    this.partitions = Array.from({ length: partitions }, (_, at) => ({ stream: STREAM, partition: partitionId(at) }));
    this.ledger = this.partitions.map(() => []);
    this.told = this.partitions.map(() => 0);
    this.claimedEpochs = this.partitions.map(() => new Set());
    this.#newestClaims = this.partitions.map(() => 0);
    const log = new EmbeddedLog({
      kind: "memory",
      clusterId: "simulated",
      store: this.store,
      nowMs: () => this.clockMs ?? world.wallMs(),
      checkTier: () => {},
      encodeEntry: (batches) => {
        if (this.encodingsToFail === 0) return encodeEntry(batches);
        this.encodingsToFail -= 1;
        for (const { events } of batches) this.#noteUnencodable(events);
        throw new RangeError("Cannot encode the entry as the simulation plants a bug here");
      },
    });
    this.log = log;
    this.#abandon = () => log.abandon(new UnavailableError("STORE_UNAVAILABLE", "The store was restarted"));
  }

  /** Called before each use of the store, as `redis_look.ts` checks the cluster's id (E22). */
  checkKnown(): void {
    if (!this.isStrange) return;
    throw new UnavailableError(
      "STORE_LOST",
      "Cannot use the store as it must hold cluster id 1: current value is none",
    );
  }

  /** G4: an epoch is claimed once. */
  noteClaim(partition: number, epoch: number, endOffset: number): void {
    const claimed = this.claimedEpochs[partition]!;
    if (claimed.has(epoch)) this.#world.problem(`G4: epoch ${epoch} of partition ${partition} was claimed twice`);
    claimed.add(epoch);
    this.#newestClaims[partition] = Math.max(this.#newestClaims[partition] ?? 0, epoch);
    this.told[partition] = endOffset;
  }

  /** G4: once a higher epoch was claimed the log accepts no append of a lower one, not even a repeated one (E8). */
  noteAppend(ownership: Ownership, request: AppendRequest, result: AppendResult): void {
    const { partition } = ownership.partition;
    const newest = this.#newestClaims[partition] ?? 0;
    if (ownership.epoch < newest) {
      this.#world.problem(`G4: epoch ${ownership.epoch} appended to partition ${partition} after epoch ${newest}`);
    }
    if (request.channel !== "records") return;
    for (const [at, outcome] of result.outcomes.entries()) {
      if (outcome.kind !== "written" && outcome.kind !== "duplicate") continue;
      for (const event of decodeTrustedEvents(request.batches[at]!.events)) this.durable.add(String(event.id));
    }
  }

  /** Also true for an event whose append was stored, and whose answer reached nobody. A store that is away is not asked. */
  async holds(id: string): Promise<boolean> {
    if (this.durable.has(id) || this.store.state().kind !== "ready") return true;
    for (const [partition, reference] of this.partitions.entries()) {
      await this.#absorbRecords(partition, reference);
      await this.#absorbLetters(partition, reference, "rejected");
    }
    const stored = [...this.ledger, ...this.letters.values()];
    return stored.some((entries) => entries.some((entry) => entry.id === id));
  }

  /** The events of a batch, or those that its dead letters hold. */
  #noteUnencodable(events: Uint8Array): void {
    for (const event of decodeTrustedEvents(events)) {
      const { original } = event as unknown as Partial<DeadLetter>;
      this.unencodable.add(original === undefined ? String(event.id) : idOf(original));
    }
  }

  noteTrim(partition: number, firstOffset: number): void {
    this.trimmedTo[partition] = Math.max(this.trimmedTo[partition] ?? 0, firstOffset);
  }

  /** E10: no reader sees a record before the answer that commits it has reached an owner. */
  checkSeen(partition: number, place: Position, who: string): void {
    if (place.offset < (this.told[partition] ?? 0)) return;
    if (this.lostPlaces.has(`${partition}/${place.epoch}/${place.offset}`)) return;
    this.#world.problem(
      `E10: ${who} saw ${place.epoch}/${place.offset} of partition ${partition}, committed are ${this.told[partition]}`,
    );
  }

  /** Enters new records of the log into the ledger. Called before each loss and trim, and at the end. */
  async absorb(withLetters = true): Promise<void> {
    const isAway = this.store.state().kind !== "ready";
    if (isAway) this.store.setAway(false);
    for (const [partition, reference] of this.partitions.entries()) {
      await this.#absorbRecords(partition, reference);
      // A trim whose answer was lost took its records even so.
      const bounds = await this.log.describe(reference);
      this.noteTrim(partition, bounds?.get("records")?.firstOffset ?? 0);
      if (this.pipeline !== undefined) {
        const end = bounds?.get(`outbox/${this.pipeline}`)?.endOffset ?? 0;
        this.computed[partition] = { covered: await this.#covered(reference, this.pipeline), end };
      }
      if (!withLetters) continue;
      for (const channel of ["rejected", ...SINKS.map((sink) => `dead_letters/${sink}`)] as Channel[]) {
        await this.#absorbLetters(partition, reference, channel);
      }
    }
    if (isAway) this.store.setAway(true);
  }

  async #covered(reference: PartitionReference, pipeline: string): Promise<number> {
    const stored = (await this.log.readCheckpoints(reference)).get(`pipeline/${pipeline}/progress`);
    const [progress] = stored === undefined ? [] : decodeTrustedEvents(stored);
    const covered = progress?.covered as Position | null | undefined;
    return covered === undefined || covered === null ? 0 : covered.offset + 1;
  }

  async #absorbRecords(partition: number, reference: PartitionReference): Promise<void> {
    const known = this.ledger[partition]!;
    const batches = await this.#readAll(reference, "records", placeOf(known.at(-1)));
    const from = (known.at(-1)?.offset ?? -1) + 1;
    for (const { position: at, event } of recordsOf(batches, from)) {
      known.push({ partition, epoch: at.epoch, offset: at.offset, id: String(event.id) });
    }
  }

  async #absorbLetters(partition: number, reference: PartitionReference, channel: Channel): Promise<void> {
    const key = `${partition} ${channel}`;
    const known = this.letters.get(key) ?? [];
    this.letters.set(key, known);
    const found: Letter[] = [];
    for (const { position: at, event } of recordsOf(await this.#readAll(reference, channel, undefined), 0)) {
      const letter = event as unknown as DeadLetter;
      found.push({
        partition,
        at: at.offset,
        id: letter.original === undefined ? undefined : idOf(letter.original),
        producerId: letter.producerId,
        sequence: letter.sequence,
        code: letter.code,
      });
    }
    const from = found[0]?.at ?? 0;
    known.splice(from, known.length, ...found);
  }

  async #readAll(
    reference: PartitionReference,
    channel: Channel,
    after: Position | undefined,
  ): Promise<readonly RecordBatch[]> {
    const committedOffset = offset(Number.MAX_SAFE_INTEGER);
    const request = { channel, committedOffset, bytesMax: Number.MAX_SAFE_INTEGER };
    let result = await this.log.read(reference, { ...request, after });
    if (result.kind === "trimmed") {
      const bounds = (await this.log.describe(reference))?.get(channel);
      const epoch = bounds?.epochs[0]?.epoch ?? 1;
      result = await this.log.read(reference, { ...request, after: position(epoch, result.firstOffset - 1) });
    }
    if (result.kind !== "records") this.#world.problem(`the ledger is ${result.kind} in ${channel}`);
    return result.kind === "records" ? result.batches : [];
  }

  /** Begins the store's next life. Unflushed commits may be gone with the last one, or everything. */
  async restart(loss: "nothing" | "unflushed" | "everything"): Promise<void> {
    if (loss !== "nothing") await this.absorb();
    this.#abandon();
    this.store.restart(loss);
    if (loss === "nothing") return;
    this.losses += 1;
    for (const [partition, reference] of this.partitions.entries()) {
      const bounds = await this.log.describe(reference);
      const endOffset = bounds?.get("records")?.endOffset ?? 0;
      this.survived[partition] = endOffset;
      const gone = this.ledger[partition]!.splice(endOffset);
      for (const { id, epoch, offset: at } of gone) this.#lose(partition, id, epoch, at);
      this.told[partition] = Math.min(this.told[partition]!, endOffset);
      for (const [key, letters] of this.letters) {
        const [of, channel] = key.split(" ") as [string, Channel];
        if (Number(of) !== partition) continue;
        for (const { id } of letters.splice(bounds?.get(channel)?.endOffset ?? 0)) {
          if (id !== undefined) this.lostIds.add(id);
        }
      }
    }
  }

  #lose(partition: number, id: string, epoch: number, at: number): void {
    this.lostIds.add(id);
    this.lostPlaces.add(`${partition}/${epoch}/${at}`);
    this.#world.count("records lost with a tail");
  }

  /** A planted bug: the fences go back by one claim, and the store's clock stands still. */
  forgetEpochs(): void {
    this.clockMs = 0;
    for (const reference of this.partitions) {
      const key = fenceKey(partitionPrefix(reference));
      const bytes = this.store.get(key);
      if (bytes === undefined) continue;
      const fence = decodeFence(bytes);
      void this.store.commit(new Map([[key, encodeFence({ ...fence, epoch: fence.epoch - 1 })]])).committed;
    }
  }

  lettersOf(channel: Channel): Letter[] {
    return this.partitions.flatMap((_, partition) => this.letters.get(`${partition} ${channel}`) ?? []);
  }

  lettersIn(partition: number, channel: Channel): readonly Letter[] {
    return this.letters.get(`${partition} ${channel}`) ?? [];
  }
}

const placeOf = (event: LoggedEvent | undefined): Position | undefined =>
  event === undefined ? undefined : position(event.epoch, event.offset);

/** The id of a dead letter's event, from the event's bytes. */
const idOf = (original: Uint8Array): string => String(decodeSlice(original).id);
