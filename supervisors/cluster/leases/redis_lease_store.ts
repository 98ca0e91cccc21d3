/**
 * The lease store in Redis, all of it in one slot. Every method is one atomic call (redis_lease_library.ts), except that a table
 * is read in pages of one version. Translates between the contract and Redis, by redis_lease_forms.ts. Leaves judgement to the
 * functions, and connections, deadlines and a store that lost its id (E22) to the log's connection to Redis.
 *
 * A restart or failover of Redis shows in `state` and `identity`, and fences nothing: leader epochs do (S1, S2). A lost tail
 * shows at the next call. Its incarnations and terms are not made again, as the clock is above them, unless the clock
 * was set back as well.
 *
 *   - A lost registration: `renew` of its life answers false, and the node joins again as a new life.
 *   - A lost write of the table: the leader's next write expects a version that does not exist, and is refused as
 *     `STALE_LEADER`. The leader then resigns.
 *   - A lost term: `renewLease` answers false, and its writes are refused. The next term is above it.
 *   - A lost leave, death or resignation: the life or the lease exists again until it expires.
 */
import type { StoreState } from "../../../actors/log/log.ts";
import { connectRedis } from "../../../actors/log/redis/redis_connect.ts";
import type {
  RedisArgument,
  RedisConnection,
  RedisConnectionOptions,
  RedisLibrary,
  RedisReply,
} from "../../../actors/log/redis/redis_connection.ts";
import type { NodeId } from "../../../protocols/position.ts";
import type { AssignmentTable, Decision, Life, MemberProfile, PartitionName, TableEntry } from "../cluster.ts";
import type { ElectionOutcome, Joined, LeaseStore, Probation, StoreView } from "./lease_store.ts";
import { encodeEntry, entriesOf, leaderOf, viewOf } from "./redis_lease_forms.ts";
import { LEASE_KEYS, redisLeaseLibrary } from "./redis_lease_library.ts";
import { otherVersion, staleTerm } from "./stale_leader.ts";

/** Less than the lease of 2,000 ms: a later answer is of no use to its holder. */
const CALL_TIMEOUT_MS = 1_500;

/** Entries of the table that one call reads: about 2 ms of Redis' time. */
const PAGE_ENTRIES = 1_000;
/** A page size above any table: one page, which no write can interrupt. */
const WHOLE_TABLE = 1_000_000_000;
/** After this many reads that a write interrupted, the table is read as one page. */
const PAGED_READS_MAX = 4;

export interface RedisLeaseStore extends LeaseStore {
  /** The identity of the Redis process and its replication, as last seen: another value means a restart or a failover. */
  readonly identity: string;
  state(): StoreState;
  onStateChange(listener: (state: StoreState) => void): void;
}

/**
 * `callTimeoutMs` is 1,500 by default. Rejects with `ConfigurationError` if Redis is too old, may evict keys, or holds a newer format, and with `UnavailableError` if
 * it is away.
 */
export async function connectRedisLeaseStore(
  options: RedisConnectionOptions,
  library: RedisLibrary = redisLeaseLibrary(),
): Promise<RedisLeaseStore> {
  const redis = await connectRedis({ callTimeoutMs: CALL_TIMEOUT_MS, ...options }, library);
  return new FunctionsLeaseStore(redis);
}

type Keys = readonly string[];

class FunctionsLeaseStore implements RedisLeaseStore {
  readonly #redis: RedisConnection;
  readonly #registry: Keys;
  readonly #table: Keys;
  readonly #decisions: string;

  constructor(redis: RedisConnection) {
    const withPrefix = (key: string) => `${redis.prefix}${key}`;
    this.#redis = redis;
    this.#registry = LEASE_KEYS.registry.map(withPrefix);
    this.#table = LEASE_KEYS.table.map(withPrefix);
    this.#decisions = withPrefix(LEASE_KEYS.decisions);
  }

  get identity(): string {
    return this.#redis.identityOf(this.#decisions);
  }

  state(): StoreState {
    return this.#redis.state();
  }

  onStateChange(listener: (state: StoreState) => void): void {
    this.#redis.onStateChange(listener);
  }

  async #write(name: string, ...args: readonly (string | number)[]): Promise<readonly string[]> {
    const reply = await this.#redis.write(name, this.#registry, args.map(String));
    return (reply as RedisReply[]).map(String);
  }

  async #writeInTerm(
    action: string,
    name: string,
    leaderEpoch: number,
    ...args: readonly (string | number)[]
  ): Promise<void> {
    const [status, newest] = await this.#write(name, leaderEpoch, ...args);
    if (status === "STALE_LEADER") throw staleTerm(action, leaderEpoch, termOf(newest));
  }

  async join(profile: MemberProfile, registrationMs: number): Promise<Joined> {
    const { node } = profile;
    const reply = await this.#write("join", node, registrationMs, JSON.stringify(profile));
    return { node, incarnation: Number(reply[1]), probationMs: Number(reply[2]) };
  }

  async renew({ node, incarnation }: Life, registrationMs: number): Promise<boolean> {
    const [status] = await this.#write("renew", node, incarnation, registrationMs);
    return status === "ok";
  }

  async leave({ node, incarnation }: Life): Promise<void> {
    await this.#write("leave", node, incarnation);
  }

  async look(): Promise<StoreView> {
    return viewOf((await this.#redis.readFunction("look", this.#registry, [])) as RedisReply[]);
  }

  async stand({ node, incarnation }: Life, leaseMs: number, insteadOf?: number): Promise<ElectionOutcome> {
    const [status, leaderEpoch, holder, expiresInMs] = await this.#write(
      "stand",
      node,
      incarnation,
      leaseMs,
      insteadOf ?? "",
    );
    if (status === "elected") return { kind: "elected", leaderEpoch: Number(leaderEpoch) };
    return { kind: "held", leader: leaderOf(leaderEpoch, holder), leaseExpiresInMs: Number(expiresInMs) };
  }

  async renewLease(leaderEpoch: number, leaseMs: number): Promise<boolean> {
    const [status] = await this.#write("renew_lease", leaderEpoch, leaseMs);
    return status === "ok";
  }

  async resign(leaderEpoch: number): Promise<void> {
    await this.#write("resign", leaderEpoch);
  }

  async readTable(): Promise<AssignmentTable> {
    for (let reads = 1; reads < PAGED_READS_MAX; reads += 1) {
      const table = await this.#readPages(PAGE_ENTRIES);
      if (table !== undefined) return table;
    }
    return (await this.#readPages(WHOLE_TABLE)) ?? this.readTable();
  }

  /** Undefined if the table was written between two pages. */
  async #readPages(pageEntries: number): Promise<AssignmentTable | undefined> {
    const identities = new Set<string>();
    const entries = new Map<PartitionName, TableEntry>();
    let first: readonly string[] | undefined;
    let cursor = "0";
    do {
      // Each server has its own order of entries, so all pages must come from one server.
      let identity = "";
      const page = await this.#redis.readFunction("read_table", this.#table, (asked) => {
        identity = asked;
        return [cursor, String(pageEntries)];
      });
      identities.add(identity);
      const [, state, following, fields] = page as [Buffer, (Buffer | null)[], Buffer, Buffer[]];
      const [version = "0", writer = "0"] = state.map((text) => text?.toString());
      first ??= [version, writer];
      if (first[0] !== version || first[1] !== writer || identities.size > 1) return undefined;
      for (const [partition, entry] of entriesOf(fields)) entries.set(partition, entry);
      cursor = String(following);
    } while (cursor !== "0");
    return { version: Number(first[0]), leaderEpoch: Number(first[1]), entries };
  }

  async writeTable(
    leaderEpoch: number,
    expectedVersion: number,
    entries: readonly TableEntry[],
    decision?: Decision,
  ): Promise<number> {
    const args: RedisArgument[] = [String(leaderEpoch), String(expectedVersion), textOf(decision)];
    for (const entry of entries) args.push(entry.partition, encodeEntry(entry));
    const reply = (await this.#redis.write("write_table", this.#table, args)) as RedisReply[];
    const [status, value] = reply.map(String);
    if (status === "STALE_LEADER") throw staleTerm("write the table", leaderEpoch, termOf(value));
    if (status === "OTHER_VERSION") throw otherVersion(expectedVersion, Number(value));
    return Number(value);
  }

  async declareDead(leaderEpoch: number, life: Life, probation: Probation): Promise<void> {
    const { probationFirstMs, probationMaxMs, deathsForgottenMs } = probation;
    const times = [probationFirstMs, probationMaxMs, deathsForgottenMs];
    await this.#writeInTerm("declare a death", "declare_dead", leaderEpoch, life.node, life.incarnation, ...times);
  }

  async setDraining(leaderEpoch: number, node: NodeId, isDraining: boolean): Promise<void> {
    await this.#writeInTerm("drain a node", "set_draining", leaderEpoch, node, isDraining ? 1 : 0);
  }

  async readDecisions(countMax: number): Promise<readonly Decision[]> {
    if (countMax <= 0) return [];
    const entries = await this.#redis.read(["XREVRANGE", this.#decisions, "+", "-", "COUNT", String(countMax)]);
    return (entries as [Buffer, Buffer[]][]).map(([, fields]) => JSON.parse(String(fields[1])) as Decision);
  }

  close(): Promise<void> {
    return this.#redis.close();
  }
}

const termOf = (text: string | undefined): number => (text === "none" ? 0 : Number(text));

const textOf = (decision: Decision | undefined): string => (decision === undefined ? "" : JSON.stringify(decision));
