/**
 * A connection to several masters: one link for each, found anew whenever a master fails over or slots move. Decides which
 * link a call takes. Leaves the decision whether a server may be used to its link (redis_link.ts), the making of links to
 * shard_links.ts, and the list of masters to the topology.
 *
 *   H1. A call goes to the master of its first key's slot. A call that a server refuses as not its own had no effect, and
 *       is sent to the server that it names. No other call is sent again (E8).
 *   H2. Each life of each server is its own life of the store. A partition whose slot moved, or whose master was replaced,
 *       gets `STORE_CHANGED` and claims again. Partitions of other servers notice nothing.
 *   H3. While a master is away, calls to its slots are refused, and the other servers are asked for its successor.
 *   H4. A server is looked at before its first call (redis link C2), and the call waits for that look.
 */
import { pause } from "../../../protocols/clock.ts";
import { UnavailableError } from "../../../protocols/errors.ts";
import { StoreHealth } from "../rules/store_health.ts";
import { addressTold } from "./redis_client.ts";
import type { RedisConnection, RedisReply } from "./redis_connection.ts";
import { CALL_TIMEOUT_MS, type LinkOptions, NOT_CONNECTED, RedisLink } from "./redis_link.ts";
import type { LookKeys } from "./redis_look.ts";
import { redirectOf } from "./redis_redirects.ts";
import { SLOT_COUNT, slotOf } from "./redis_slots.ts";
import type { SlotRange, Topology } from "./redis_topology.ts";
import { ShardLinks } from "./shard_links.ts";

/** Time between searches for the masters while one is away. */
const FIND_EVERY_MS = 250;
/** Pause before a call is sent again that met a moving slot. */
const TRY_AGAIN_AFTER_MS = 20;
/** Redirects of one call. A call with more goes round in circles. */
const REDIRECTS_MAX = 16;
const UNSERVED = { kind: "unavailable", code: "STORE_UNAVAILABLE" } as const;

export interface ShardsOptions extends Omit<LinkOptions, "url" | "keys"> {
  readonly topology: Topology;
}

export class RedisShards implements RedisConnection {
  readonly #options: ShardsOptions;
  readonly #timeoutMs: number;
  /** The address of each slot's master. */
  readonly #slots = new Array<string | undefined>(SLOT_COUNT).fill(undefined);
  readonly #links = new ShardLinks(
    (address) => this.#makeLink(address),
    () => this.#judge(),
  );
  readonly #health = new StoreHealth(NOT_CONNECTED);
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

  async #connect(): Promise<void> {
    const untilMs = performance.now() + this.#timeoutMs;
    for (;;) {
      try {
        this.#serve(await this.#options.topology.masters(this.#links.ready()));
        await this.#begin();
        return this.#judge();
      } catch (error) {
        // A server that is away may be replaced by another one. Any other failure is final.
        const code = error instanceof UnavailableError ? error.code : undefined;
        const isPassing = code === "STORE_UNAVAILABLE" || code === "NOT_READY";
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
    const { firstSlot, copiedKey } = topology;
    const address = this.#slots[firstSlot];
    if (address === undefined) throw this.#unserved(firstSlot);
    const first = await this.#links.at(address);
    await first.begin();
    const isCopied = copiedKey !== undefined && (await first.ask(["GET", copiedKey])) !== null;
    if (isCopied && store.acceptLoss !== true) id.mayMake = false;
    this.#isIdKnown = true;
    if (!library.isSpread) return;
    const links = await Promise.all([...this.#owners()].map((owner) => this.#links.at(owner)));
    await Promise.all(links.map((link) => link.begin()));
    if (copiedKey !== undefined && id.mayMake) await first.ask(["SET", copiedKey, "1"]);
  }

  get prefix(): string {
    return this.#options.store.prefix ?? "headrace:";
  }

  get clusterId(): string {
    return this.#options.id.value ?? "";
  }

  readonly state: RedisConnection["state"] = () => this.#health.state;
  readonly onStateChange: RedisConnection["onStateChange"] = (listener) => this.#health.onChange(listener);
  readonly stateOf: RedisConnection["stateOf"] = (key) =>
    this.#linkFor(slotOf(key))?.state() ?? { ...UNSERVED, reason: "No master serves the slot" };
  readonly identityOf: RedisConnection["identityOf"] = (key) => this.#linkFor(slotOf(key))?.identityOf(key) ?? "";

  readonly write: RedisConnection["write"] = (name, keys, args, replicas) =>
    this.#route(keys[0], (link, isAsked) => link.write(name, keys, args, replicas, isAsked));

  readonly readFunction: RedisConnection["readFunction"] = (name, keys, args) =>
    this.#route(keys[0], (link, isAsked) => link.readFunction(name, keys, args, isAsked));

  readonly read: RedisConnection["read"] = (args) =>
    this.#route(String(args[1]), (link, isAsked) => link.read(args, isAsked));

  readonly settingOf: RedisConnection["settingOf"] = async (key, name) =>
    this.#linkOf(slotOf(key)).settingOf(key, name);

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
        const state = link.state();
        if (state.kind !== "ready" && state.code === "NOT_READY") await link.begin(); // H4
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
          const at = redirect.address.lastIndexOf(":");
          const address = addressTold(redirect.address.slice(0, at), redirect.address.slice(at + 1), link.url);
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
    const link = await this.#links.at(address);
    if (link.state().kind !== "ready") await link.begin();
    this.#links.use(address);
    return link;
  }

  #linkFor(slot: number): RedisLink | undefined {
    return this.#links.get(this.#slots[slot]);
  }

  #linkOf(slot: number): RedisLink {
    if (this.#isClosed) throw new UnavailableError("STOPPING", "Cannot use the store as it is closed");
    const link = this.#linkFor(slot);
    if (link === undefined) throw this.#unserved(slot);
    return link;
  }

  #unserved(slot: number): UnavailableError {
    this.#find();
    const address = this.#slots[slot] ?? "none";
    return new UnavailableError(
      "STORE_UNAVAILABLE",
      `Cannot use the store as a master must be linked for slot ${slot}: current value is ${address}`,
    );
  }

  #makeLink(address: string): Promise<RedisLink> {
    const { store, library, topology, id } = this.#options;
    const keys = () => this.#lookKeys(address);
    return RedisLink.create({ url: topology.urlOf(address), store, library, id, keys });
  }

  #lookKeys(address: string): LookKeys {
    const { topology } = this.#options;
    if (!this.#isIdKnown && this.#slots[topology.firstSlot] !== address) {
      throw new UnavailableError("NOT_READY", `Cannot look at ${address} as the cluster's id must be known first`);
    }
    return topology.lookKeys((slot) => this.#slots[slot] === address);
  }

  #owners(): Set<string> {
    const { library, topology } = this.#options;
    const owners = new Set(library.isSpread ? this.#slots : [this.#slots[topology.firstSlot]]);
    owners.delete(undefined);
    return owners as Set<string>;
  }

  #owned(): readonly RedisLink[] {
    return [...this.#owners()].flatMap((address) => this.#links.get(address) ?? []);
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

  async #findMasters(): Promise<void> {
    const ranges = await this.#options.topology.masters(this.#links.ready());
    if (this.#isClosed) return;
    this.#serve(ranges);
    const owners = this.#owners();
    await Promise.all([...owners].map((address) => this.#links.at(address)));
    await this.#links.leaveIdle(owners);
  }

  #serve(ranges: readonly SlotRange[]): void {
    this.#slots.fill(undefined);
    for (const { from, to, address } of ranges) this.#slots.fill(address, from, to + 1);
  }

  #judge(): void {
    if (this.#isClosed) return;
    const owners = [...this.#owners()];
    const away = owners.flatMap((address) => {
      const state = this.#links.get(address)?.state() ?? NOT_CONNECTED;
      return state.kind === "ready" ? [] : [{ address, ...state }];
    });
    const isServed = owners.length > 0 && (!this.#options.library.isSpread || !this.#slots.includes(undefined));
    if (!isServed) away.push({ address: "none", ...UNSERVED, reason: "No master serves some slots" });
    const hasIdle = this.#links.size > owners.length;
    this.#keepFinding(away.length > 0 || hasIdle);
    const [first] = away;
    const others = away.length > 1 ? ` and ${away.length - 1} more` : "";
    this.#health.change(
      first === undefined
        ? { kind: "ready" }
        : { kind: "unavailable", code: first.code, reason: `${first.address}${others}: ${first.reason}` },
    );
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
    await this.#links.close();
  }
}
