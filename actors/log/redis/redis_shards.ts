/**
 * A connection to several masters: one link for each, found anew whenever a master fails over or slots move. Decides which
 * link a call takes. Leaves the decision whether a server may be used to its link (redis_link.ts), and the list of masters
 * to the topology.
 *
 *   H1. A call goes to the master of its first key's slot. A call that a server refuses as not its own had no effect, and
 *       is sent to the server that it names. No other call is sent again (E8).
 *   H2. Each life of each server is its own life of the store. A partition whose slot moved, or whose master was replaced,
 *       gets `STORE_CHANGED` and claims again. Partitions of other servers notice nothing.
 *   H3. While a master is away, calls to its slots are refused, and the other servers are asked for its successor.
 *   H4. A server is looked at before its first call (redis link C2), and the call waits for that look.
 */
import { pause } from "../../../protocols/clock.ts";
import { type UnavailableCode, UnavailableError } from "../../../protocols/errors.ts";
import type { StoreState } from "../log.ts";
import { StoreHealth } from "../rules/store_health.ts";
import { addressOf, hostOf } from "./redis_client.ts";
import type {
  RedisArgument,
  RedisArguments,
  RedisConnection,
  RedisLibrary,
  RedisLogOptions,
  RedisReply,
} from "./redis_connection.ts";
import { CALL_TIMEOUT_MS, RedisLink } from "./redis_link.ts";
import type { KnownId, LookKeys } from "./redis_look.ts";
import { redirectOf } from "./redis_redirects.ts";
import { SLOT_COUNT, slotOf } from "./redis_slots.ts";
import type { SlotRange, Topology } from "./redis_topology.ts";

/** Time between searches for the masters while one is away. */
const FIND_EVERY_MS = 250;
/** Pause before a call is sent again that met a moving slot. */
const TRY_AGAIN_AFTER_MS = 20;
/** Redirects of one call. A call with more goes round in circles. */
const REDIRECTS_MAX = 16;
/** How long the link to a server without slots is kept: an answer may be under way, or the server may get slots. */
const IDLE_KEPT_MS = 10_000;
/** As `IDLE_KEPT_MS`, for a server that is away. */
const AWAY_KEPT_MS = 1_000;

/** Codes of a start that is tried again, because another server may become the master. */
const PASSING: ReadonlySet<string> = new Set(["STORE_UNAVAILABLE", "NOT_READY"]);

interface Shard {
  readonly link: RedisLink;
  idleSinceMs: number | undefined;
}

export interface ShardsOptions {
  readonly store: RedisLogOptions;
  readonly library: RedisLibrary;
  readonly topology: Topology;
  readonly id: KnownId;
}

export class RedisShards implements RedisConnection {
  readonly #options: ShardsOptions;
  readonly #timeoutMs: number;
  /** The address of each slot's master. */
  readonly #slots = new Array<string | undefined>(SLOT_COUNT).fill(undefined);
  readonly #shards = new Map<string, Shard>();
  readonly #making = new Map<string, Promise<RedisLink>>();
  readonly #health = new StoreHealth({ kind: "unavailable", code: "NOT_READY", reason: "Not connected yet" });
  #isFinding = false;
  /** Whether the server of the first slot has told the cluster's id, so that other servers can be looked at. */
  #isIdKnown = false;
  #findTimer: NodeJS.Timeout | undefined;
  #isClosed = false;

  private constructor(options: ShardsOptions) {
    this.#options = options;
    this.#timeoutMs = options.store.callTimeoutMs ?? CALL_TIMEOUT_MS;
  }

  static async connect(options: ShardsOptions): Promise<RedisShards> {
    const shards = new RedisShards(options);
    try {
      await shards.#connect();
    } catch (error) {
      await shards.close();
      throw error;
    }
    return shards;
  }

  /** Tries until the deadline of a call where a master is away, which may be replaced. Any other failure is final. */
  async #connect(): Promise<void> {
    const untilMs = performance.now() + this.#timeoutMs;
    for (;;) {
      try {
        this.#serve(await this.#options.topology.masters(this.#readyLinks()));
        await this.#begin();
        return this.#judge();
      } catch (error) {
        const isPassing = error instanceof UnavailableError && PASSING.has(error.code);
        if (!isPassing || performance.now() > untilMs) throw error;
      }
      await pause(FIND_EVERY_MS);
    }
  }

  /**
   * The server of the first slot tells the cluster's id, which all others must have. Copies of the id are made only while
   * the store is new: a node that knows no id must not hide that a server has lost its copy (E22).
   */
  async #begin(): Promise<void> {
    const { topology, library, id, store } = this.#options;
    const address = this.#slots[topology.firstSlot];
    if (address === undefined) throw this.#unserved(topology.firstSlot);
    const first = await this.#linkAt(address);
    await first.begin();
    const { copiedKey } = topology;
    const isCopied = copiedKey !== undefined && (await first.ask(["GET", copiedKey])) !== null;
    if (isCopied && store.acceptLoss !== true) id.mayMake = false;
    this.#isIdKnown = true;
    if (!library.isSpread) return;
    const links = await Promise.all([...this.#owners()].map((owner) => this.#linkAt(owner)));
    await Promise.all(links.map((link) => link.begin()));
    if (copiedKey !== undefined && id.mayMake) await first.ask(["SET", copiedKey, "1"]);
  }

  get prefix(): string {
    return this.#options.store.prefix ?? "headrace:";
  }

  get clusterId(): string {
    return this.#options.id.value ?? "";
  }

  state(): StoreState {
    return this.#health.state;
  }

  onStateChange(listener: (state: StoreState) => void): void {
    this.#health.onChange(listener);
  }

  stateOf(key: string): StoreState {
    const shard = this.#shardOf(slotOf(key));
    return (
      shard?.link.state() ?? { kind: "unavailable", code: "STORE_UNAVAILABLE", reason: "No master serves the slot" }
    );
  }

  identityOf(key: string): string {
    return this.#shardOf(slotOf(key))?.link.identityOf() ?? "";
  }

  write(name: string, keys: readonly string[], args: RedisArguments): Promise<RedisReply> {
    return this.#route(keys[0], (link, isAsked) => link.write(name, keys, args, isAsked));
  }

  writeToReplicas(name: string, keys: readonly string[], args: RedisArguments, replicas: number): Promise<RedisReply> {
    return this.#route(keys[0], (link, isAsked) => link.writeToReplicas(name, keys, args, replicas, isAsked));
  }

  readFunction(name: string, keys: readonly string[], args: RedisArguments): Promise<RedisReply> {
    return this.#route(keys[0], (link, isAsked) => link.readFunction(name, keys, args, isAsked));
  }

  read(args: readonly RedisArgument[]): Promise<RedisReply> {
    return this.#route(String(args[1]), (link, isAsked) => link.read(args, isAsked));
  }

  async settingOf(key: string, name: string): Promise<string> {
    return this.#linkOf(slotOf(key)).settingOf(key, name);
  }

  async probe(key?: string): Promise<void> {
    const links = key === undefined ? this.#owned() : [this.#linkOf(slotOf(key))];
    await Promise.all(links.map((link) => link.probe()));
  }

  /** H1 */
  async #route(
    key: string | undefined,
    send: (link: RedisLink, isAsked: boolean) => Promise<RedisReply>,
  ): Promise<RedisReply> {
    const slot = slotOf(key ?? "");
    const untilMs = performance.now() + this.#timeoutMs;
    let link = this.#linkOf(slot);
    let isAsked = false;
    let redirects = 0;
    for (;;) {
      try {
        if (isNew(link)) await link.begin(); // H4
        return await send(link, isAsked);
      } catch (error) {
        const redirect = redirectOf(error);
        if (redirect === undefined || this.#isClosed || performance.now() > untilMs) throw error;
        isAsked = redirect.kind === "ask";
        if (redirect.kind === "between" || redirect.kind === "down") {
          await pause(TRY_AGAIN_AFTER_MS);
          link = this.#linkOf(slot);
        } else {
          redirects += 1;
          if (redirects > REDIRECTS_MAX) throw error;
          const address = completed(redirect.address, link);
          if (redirect.kind === "moved") {
            this.#slots[redirect.slot] = address;
            this.#find();
          }
          link = await this.#readyAt(address);
        }
      }
    }
  }

  /** H4 */
  async #readyAt(address: string): Promise<RedisLink> {
    const link = await this.#linkAt(address);
    if (link.state().kind !== "ready") await link.begin();
    const shard = this.#shards.get(address);
    if (shard !== undefined) shard.idleSinceMs = undefined;
    return link;
  }

  #shardOf(slot: number): Shard | undefined {
    const address = this.#slots[slot];
    return address === undefined ? undefined : this.#shards.get(address);
  }

  #linkOf(slot: number): RedisLink {
    if (this.#isClosed) throw new UnavailableError("STOPPING", "Cannot use the store as it is closed");
    const shard = this.#shardOf(slot);
    if (shard === undefined) throw this.#unserved(slot);
    return shard.link;
  }

  #unserved(slot: number): UnavailableError {
    this.#find();
    const address = this.#slots[slot] ?? "none";
    return new UnavailableError(
      "STORE_UNAVAILABLE",
      `Cannot use the store as a master must be linked for slot ${slot}: current value is ${address}`,
    );
  }

  #linkAt(address: string): Promise<RedisLink> {
    const known = this.#shards.get(address);
    if (known !== undefined) return Promise.resolve(known.link);
    const making = this.#making.get(address) ?? this.#makeLink(address);
    this.#making.set(address, making);
    return making;
  }

  async #makeLink(address: string): Promise<RedisLink> {
    const { store, library, topology, id } = this.#options;
    const keys = () => this.#lookKeys(address);
    const link = await RedisLink.create({ url: topology.urlOf(address), store, library, id, keys });
    this.#making.delete(address);
    if (this.#isClosed) {
      await link.close();
      throw new UnavailableError("STOPPING", "Cannot use the store as it is closed");
    }
    this.#shards.set(address, { link, idleSinceMs: undefined });
    link.onStateChange(() => this.#judge());
    link.begin().catch(() => undefined); // the link's state tells the reason, and the link keeps trying
    return link;
  }

  #lookKeys(address: string): LookKeys {
    const { topology } = this.#options;
    if (!this.#isIdKnown && this.#slots[topology.firstSlot] !== address) {
      throw new UnavailableError("NOT_READY", `Cannot look at ${address} as the cluster's id must be known first`);
    }
    return topology.lookKeys((slot) => this.#slots[slot] === address);
  }

  #owners(): Set<string> {
    const owners = new Set<string>();
    const { library, topology } = this.#options;
    const slots = library.isSpread ? this.#slots : [this.#slots[topology.firstSlot]];
    for (const address of slots) if (address !== undefined) owners.add(address);
    return owners;
  }

  #owned(): readonly RedisLink[] {
    return [...this.#owners()].flatMap((address) => this.#shards.get(address)?.link ?? []);
  }

  /** H3. Asks for the master of each slot, one search at a time. A failure shows in the state of the server that is away. */
  #find(): void {
    if (this.#isClosed || this.#isFinding) return;
    this.#isFinding = true;
    this.#findMasters()
      .catch(() => undefined)
      .finally(() => {
        this.#isFinding = false;
        this.#judge();
      });
  }

  #readyLinks(): readonly RedisLink[] {
    return [...this.#shards.values()].flatMap(({ link }) => (link.state().kind === "ready" ? [link] : []));
  }

  async #findMasters(): Promise<void> {
    const ranges = await this.#options.topology.masters(this.#readyLinks());
    if (this.#isClosed) return;
    this.#serve(ranges);
    const owners = this.#owners();
    await Promise.all([...owners].map((address) => this.#linkAt(address)));
    await this.#leave(owners);
  }

  #serve(ranges: readonly SlotRange[]): void {
    this.#slots.fill(undefined);
    for (const { from, to, address } of ranges) this.#slots.fill(address, from, to + 1);
  }

  /** Closes links of servers that have had no slots for a while: `AWAY_KEPT_MS` where one is away, else `IDLE_KEPT_MS`. */
  async #leave(owners: ReadonlySet<string>): Promise<void> {
    const nowMs = performance.now();
    for (const [address, shard] of this.#shards) {
      if (owners.has(address)) {
        shard.idleSinceMs = undefined;
        continue;
      }
      shard.idleSinceMs ??= nowMs;
      const keptMs = shard.link.state().kind === "ready" ? IDLE_KEPT_MS : AWAY_KEPT_MS;
      if (nowMs - shard.idleSinceMs < keptMs) continue;
      this.#shards.delete(address);
      await shard.link.close();
    }
  }

  #judge(): void {
    if (this.#isClosed) return;
    const owners = [...this.#owners()];
    const away = owners.flatMap((address) => {
      const state = this.#shards.get(address)?.link.state();
      if (state?.kind === "ready") return [];
      return [{ address, code: state?.code ?? "NOT_READY", reason: state?.reason ?? "Not connected yet" }];
    });
    const isServed = owners.length > 0 && (!this.#options.library.isSpread || !this.#slots.includes(undefined));
    if (!isServed) away.push({ address: "none", code: "STORE_UNAVAILABLE", reason: "No master serves some slots" });
    const hasIdle = this.#shards.size > owners.length;
    this.#keepFinding(away.length > 0 || hasIdle);
    const [first] = away;
    if (first === undefined) {
      this.#health.change({ kind: "ready" });
      return;
    }
    const reason = `${first.address}${away.length > 1 ? ` and ${away.length - 1} more` : ""}: ${first.reason}`;
    this.#health.change({ kind: "unavailable", code: first.code as UnavailableCode, reason });
  }

  #keepFinding(isWanted: boolean): void {
    if (!isWanted) {
      clearInterval(this.#findTimer);
      this.#findTimer = undefined;
    } else if (this.#findTimer === undefined) {
      this.#findTimer = setInterval(() => this.#find(), FIND_EVERY_MS);
      this.#findTimer.unref();
    }
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    clearInterval(this.#findTimer);
    for (const { link } of this.#shards.values()) await link.close();
  }
}

/** Whether the link's server was found and not yet looked at. */
function isNew(link: RedisLink): boolean {
  const state = link.state();
  return state.kind !== "ready" && state.code === "NOT_READY";
}

/** The address of a redirect, with the host of the redirecting server where the redirect names none. */
function completed(address: string, link: RedisLink): string {
  const at = address.lastIndexOf(":");
  const host = address.slice(0, at);
  const own = hostOf(link.url);
  return addressOf(host === "" || host === "?" ? own.slice(0, own.lastIndexOf(":")) : host, address.slice(at + 1));
}
