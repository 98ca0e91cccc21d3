/**
 * Appends to one partition without end, as its owner does: claims again where it must, and repeats appends in doubt.
 */
import { CHAIN_LIMITS, type Claim, type DurabilityTier, type Log } from "../../../actors/log/log.ts";
import { epoch, offset, type PartitionReference, type Position, position } from "../../../protocols/position.ts";
import { dense, recordsOf } from "../../conformance/log/log_batches.ts";

const GRANT = { leaderEpoch: 1, tableVersion: 1 };
const RETRY_AFTER_MS = 20;
/** Milliseconds between two appends: other tests share the machine. */
const PACE_MS = 2;
const WITHIN_MS = 25_000;

export class RedisWriter {
  readonly partition: PartitionReference;
  /** The codes of refused calls, in order. */
  readonly refusals: string[] = [];
  /** Batches acknowledged, of one event each. */
  acked = 0;
  /** The number of acknowledged batches that the log was found to lack. */
  lost = 0;
  claims = 0;
  readonly #log: Log;
  readonly #tier: DurabilityTier;
  #isOver = false;
  readonly #done: Promise<void>;

  constructor(log: Log, partition: PartitionReference, tier: DurabilityTier) {
    this.#log = log;
    this.#tier = tier;
    this.partition = partition;
    this.#done = this.#write().finally(() => {
      this.#isOver = true;
    });
    this.#done.catch(() => undefined); // told by end()
  }

  async #write(): Promise<void> {
    let owner: Claim | undefined;
    while (!this.#isOver) {
      try {
        owner ??= await this.#claim();
        const batch = dense("w", this.acked, 1);
        const { outcomes } = await this.#log.append(owner.ownership, { channel: "records", batches: [batch] });
        const [outcome] = outcomes;
        if (outcome?.kind !== "written" && outcome?.kind !== "duplicate") {
          throw new Error(`Cannot go on as batch ${this.acked} must be taken: ${JSON.stringify(outcome)}`);
        }
        this.acked += 1;
        await new Promise((resolve) => setTimeout(resolve, PACE_MS));
      } catch (error) {
        const { code } = error as { code?: string };
        if (code === undefined) throw error;
        this.refusals.push(code);
        owner = undefined;
        if (code !== "STORE_CHANGED") await new Promise((resolve) => setTimeout(resolve, RETRY_AFTER_MS));
      }
    }
  }

  /** Claims the partition and goes on at the log's end: missing batches are sent again. */
  async #claim(): Promise<Claim> {
    const settings = { tier: this.#tier, chains: CHAIN_LIMITS };
    const claim = await this.#log.claim(this.partition, GRANT, epoch(1), settings);
    this.claims += 1;
    const end = claim.channels.get("records")?.endOffset ?? 0;
    if (end < this.acked) {
      this.lost += this.acked - end;
      this.acked = end;
    }
    return claim;
  }

  /** Waits until `count` more batches are acknowledged. */
  async more(count: number): Promise<void> {
    const wanted = this.acked + count;
    for (const deadline = Date.now() + WITHIN_MS; this.acked < wanted; ) {
      if (this.#isOver || Date.now() > deadline) {
        const refusals = this.refusals.slice(-5).join(", ");
        throw new Error(`Cannot go on as ${wanted} must be acknowledged: it is at ${this.acked}, refused ${refusals}`);
      }
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
  }

  async end(): Promise<void> {
    this.#isOver = true;
    await this.#done;
  }
}

/** All there are, read as many at a time as one read answers. */
export async function namesIn(log: Log, of: PartitionReference): Promise<readonly string[]> {
  const committedOffset = (await log.describe(of))?.get("records")?.endOffset ?? offset(0);
  const names: string[] = [];
  let after: Position | undefined;
  for (;;) {
    const read = await log.read(of, { channel: "records", after, committedOffset, bytesMax: 1 << 30 });
    const batches = read.kind === "records" ? read.batches : [];
    const last = batches.at(-1);
    if (last === undefined) return names;
    names.push(...recordsOf(batches).map(([, name]) => name));
    after = position(last.epoch, last.firstOffset + last.count - 1);
  }
}
