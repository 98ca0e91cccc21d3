/** Finds the masters of a store: the nodes of a Redis Cluster tell them, or sentinels do (redis_sentinel.ts). */
import { reasonOf, UnavailableError } from "../../../protocols/errors.ts";
import { addressTold, askOnce, hostOf, urlAt } from "./redis_client.ts";
import { misconfigured, type RedisLibrary, type RedisReply } from "./redis_connection.ts";
import type { RedisLink } from "./redis_link.ts";
import type { LookKeys } from "./redis_look.ts";
import { SLOT_COUNT, slotOf, tagOf } from "./redis_slots.ts";

/** The keys of a look where all keys are on one server. */
export const keysOfOne = (prefix: string, { formatKey, probeKeys }: RedisLibrary): LookKeys => ({
  id: `${prefix}cluster_id`,
  idCopies: [],
  format: `${prefix}${formatKey}`,
  probe: probeKeys.map((key) => `${prefix}${key}`),
});

/** A range of slots, both ends included, and the `host:port` of the master that serves them. */
export interface SlotRange {
  readonly from: number;
  readonly to: number;
  readonly address: string;
}

export interface Topology {
  /** Asks for the masters, where possible over the connections of `ready`. Rejects where no server tells. */
  masters(ready: readonly RedisLink[]): Promise<readonly SlotRange[]>;
  urlOf(address: string): string;
  /** The keys of a look at the server that owns these slots. */
  lookKeys(isOwned: (slot: number) => boolean): LookKeys;
  /** A key in the first slot that is set once all copies of the cluster's id are made; undefined where there are no copies. */
  readonly copiedKey: string | undefined;
  /** The slot whose server is looked at first, and alone where the library's keys lie in one slot. */
  readonly firstSlot: number;
}

/** The hash tag in whose slot the leases lie, and the id that is made for a new store. */
const FIRST_TAG = "cluster";
/** Every 128th slot holds a copy of the cluster's id, which moves with it: an emptied master lacks its copies (E22). */
const ID_EVERY_SLOTS = 128;
const ALL_SLOTS: readonly number[] = Array.from({ length: SLOT_COUNT }, (_, slot) => slot);
const ASK_WITHIN_MS = 2_000;

export class ClusterTopology implements Topology {
  readonly firstSlot = slotOf(`{${FIRST_TAG}}`);
  readonly copiedKey: string | undefined;
  readonly #seeds: readonly string[];
  readonly #prefix: string;
  readonly #library: RedisLibrary;

  /** @param seeds at least one node's URL; the first one's user, password and protocol are used for all nodes */
  constructor(seeds: readonly string[], prefix: string, library: RedisLibrary) {
    this.#seeds = seeds;
    this.#prefix = prefix;
    this.#library = library;
    this.copiedKey = library.isSpread ? `${prefix}cluster_id_copied:{${FIRST_TAG}}` : undefined;
  }

  readonly urlOf: Topology["urlOf"] = (address) => urlAt(this.#seeds[0] ?? "redis://", address);

  async masters(ready: readonly RedisLink[]): Promise<readonly SlotRange[]> {
    const reasons: string[] = [];
    for (const link of ready) {
      try {
        return rangesOf(await link.ask(["CLUSTER", "SLOTS"]), link.url);
      } catch (error) {
        reasons.push(reasonOf(error));
      }
    }
    for (const url of this.#seeds) {
      try {
        return rangesOf(await askOnce(url, ["CLUSTER", "SLOTS"], ASK_WITHIN_MS), url);
      } catch (error) {
        if (/cluster support disabled/.test(reasonOf(error))) {
          throw misconfigured(`${hostOf(url)} must be a node of a Redis Cluster`, "cluster_enabled is 0");
        }
        reasons.push(`${hostOf(url)}: ${reasonOf(error)}`);
      }
    }
    throw new UnavailableError(
      "STORE_UNAVAILABLE",
      `Cannot find the masters as a node of the Redis Cluster must answer: ${reasons.join("; ")}`,
    );
  }

  lookKeys(isOwned: (slot: number) => boolean): LookKeys {
    const { probeKeys, formatKey, isSpread } = this.#library;
    const isFirst = isOwned(this.firstSlot);
    const owned = isSpread ? ALL_SLOTS.filter(isOwned) : [];
    const tags = owned.filter((slot) => slot % ID_EVERY_SLOTS === 0).map(tagOf);
    const format = `${this.#prefix}${formatKey}`;
    const [slot] = owned;
    const inSlot = slot === undefined ? [] : probeKeys.map((key) => `${this.#prefix}${key}:{${tagOf(slot)}}`);
    const inFirst = isFirst ? probeKeys.map((key) => `${this.#prefix}${key}`) : [];
    return {
      id: isFirst ? `${this.#prefix}cluster_id:{${FIRST_TAG}}` : undefined,
      idCopies: tags.map((tag) => `${this.#prefix}cluster_id:{${tag}}`),
      format: isOwned(slotOf(format)) ? format : undefined,
      probe: isSpread ? inSlot : inFirst,
    };
  }
}

/** Reads `CLUSTER SLOTS`, as the server at `url` tells: of each range its ends, then its servers, the master first. */
const rangesOf = (reply: RedisReply, url: string): readonly SlotRange[] =>
  (reply as [number, number, [Buffer | null, number]][]).map(([from, to, [host, port]]) => ({
    from,
    to,
    address: addressTold(String(host ?? ""), port, url),
  }));
