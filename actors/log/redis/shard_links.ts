/** The links of redis_shards.ts by address: made when first used, closed once a server has had no slots for a while. */
import { UnavailableError } from "../../../protocols/errors.ts";
import type { RedisLink } from "./redis_link.ts";

/** How long the link to a server without slots is kept: an answer may be under way, or the server may get slots. */
const IDLE_KEPT_MS = 10_000;
/** As `IDLE_KEPT_MS`, for a server that is away. */
const AWAY_KEPT_MS = 1_000;

interface Shard {
  readonly link: RedisLink;
  idleSinceMs: number | undefined;
}

export class ShardLinks {
  readonly #make: (address: string) => Promise<RedisLink>;
  readonly #onStateChange: () => void;
  readonly #shards = new Map<string, Shard>();
  readonly #making = new Map<string, Promise<RedisLink>>();
  #isClosed = false;

  constructor(make: (address: string) => Promise<RedisLink>, onStateChange: () => void) {
    this.#make = make;
    this.#onStateChange = onStateChange;
  }

  get size(): number {
    return this.#shards.size;
  }

  get(address: string | undefined): RedisLink | undefined {
    return address === undefined ? undefined : this.#shards.get(address)?.link;
  }

  ready(): readonly RedisLink[] {
    return [...this.#shards.values()].flatMap(({ link }) => (link.state().kind === "ready" ? [link] : []));
  }

  at(address: string): Promise<RedisLink> {
    const known = this.#shards.get(address);
    if (known !== undefined) return Promise.resolve(known.link);
    let making = this.#making.get(address);
    if (making === undefined) {
      making = this.#add(address).finally(() => this.#making.delete(address));
      this.#making.set(address, making);
    }
    return making;
  }

  async #add(address: string): Promise<RedisLink> {
    const link = await this.#make(address);
    if (this.#isClosed) {
      await link.close();
      throw new UnavailableError("STOPPING", "Cannot use the store as it is closed");
    }
    this.#shards.set(address, { link, idleSinceMs: undefined });
    link.onStateChange(this.#onStateChange);
    link.begin().catch(() => undefined); // the link's state tells the reason, and the link keeps trying
    return link;
  }

  /** The server has slots, or is about to get one. */
  use(address: string): void {
    const shard = this.#shards.get(address);
    if (shard !== undefined) shard.idleSinceMs = undefined;
  }

  /** Closes links of servers that have had no slots for a while: `AWAY_KEPT_MS` where one is away, else `IDLE_KEPT_MS`. */
  async leaveIdle(owners: ReadonlySet<string>): Promise<void> {
    const nowMs = performance.now();
    for (const address of owners) this.use(address);
    for (const [address, shard] of this.#shards) {
      if (owners.has(address)) continue;
      shard.idleSinceMs ??= nowMs;
      const keptMs = shard.link.state().kind === "ready" ? IDLE_KEPT_MS : AWAY_KEPT_MS;
      if (nowMs - shard.idleSinceMs < keptMs) continue;
      this.#shards.delete(address);
      await shard.link.close();
    }
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    for (const { link } of this.#shards.values()) await link.close();
  }
}
