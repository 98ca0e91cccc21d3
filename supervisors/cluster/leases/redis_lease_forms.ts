/** The stored forms of a cluster's leases in Redis, as redis_lease_library.ts keeps them, and their meaning. Pure. */
import type { RedisReply } from "../../../actors/log/redis/redis_connection.ts";
import { fieldsOf } from "../../../actors/log/redis/redis_replies.ts";
import { Packr } from "../../../deps.ts";
import type { NodeId } from "../../../protocols/position.ts";
import type { Leader, Life, Member, MemberProfile, PartitionName, TableEntry } from "../cluster.ts";
import type { StoreView } from "./lease_store.ts";

/** `<incarnation> <node>`, as `holder` is stored. */
export function leaderOf(leaderEpoch: string | undefined, holder = ""): Leader {
  const space = holder.indexOf(" ");
  const node = holder.slice(space + 1) as NodeId;
  return { node, incarnation: Number(holder.slice(0, space)), leaderEpoch: Number(leaderEpoch) };
}

/** The function's reply: ok, time, [leader epoch, holder, until, version], lives, deaths, profiles. */
export function viewOf(reply: readonly RedisReply[]): StoreView {
  const nowMs = Number(reply[1]);
  const [leaderEpoch, holder, until, version] = (reply[2] as (Buffer | null)[]).map((text) => text?.toString());
  const [lives, deaths, profiles] = reply.slice(3) as Buffer[][];
  const profileOf = new Map(fieldsOf(profiles ?? []));
  const deathsOf = new Map(fieldsOf(deaths ?? []));
  const members: Member[] = [];
  for (const [node, life] of fieldsOf(lives ?? [])) {
    if (node === "") continue;
    const [incarnation = 0, expiresAtMs = 0, draining] = numbersOf(life);
    const [, probationUntilMs = 0] = numbersOf(deathsOf.get(node));
    members.push({
      node: node as NodeId,
      incarnation,
      profile: JSON.parse(String(profileOf.get(node))) as MemberProfile,
      expiresInMs: expiresAtMs - nowMs,
      probationMs: Math.max(0, probationUntilMs - nowMs),
      isDraining: draining === 1,
    });
  }
  members.sort((left, right) => (left.node < right.node ? -1 : 1));
  const tableVersion = Number(version ?? 0);
  if (holder === undefined) return { members, leader: undefined, leaseExpiresInMs: undefined, tableVersion };
  return { members, leader: leaderOf(leaderEpoch, holder), leaseExpiresInMs: Number(until) - nowMs, tableVersion };
}

const numbersOf = (text: Buffer | undefined): readonly number[] =>
  text === undefined ? [] : String(text).split(" ").map(Number);

// An entry, without its name: holder, grant and next as pairs or null, then decision and reason.
type Pair = readonly [NodeId, number];
type StoredEntry = readonly [Pair | null, readonly [number, number] | null, Pair | null, number, string];

const packr = new Packr({ useRecords: false });

const pairOf = (life: Life | undefined): Pair | null => (life === undefined ? null : [life.node, life.incarnation]);
const lifeOf = (pair: Pair | null): Life | undefined =>
  pair === null ? undefined : { node: pair[0], incarnation: pair[1] };

export function encodeEntry({ holder, grant, next, decision, reason }: TableEntry): Buffer {
  const stored: StoredEntry = [
    pairOf(holder),
    grant === undefined ? null : [grant.leaderEpoch, grant.tableVersion],
    pairOf(next),
    decision,
    reason,
  ];
  return packr.pack(stored);
}

export function* entriesOf(fields: readonly Buffer[]): Iterable<[PartitionName, TableEntry]> {
  for (const [partition, bytes] of fieldsOf(fields)) {
    if (partition === "") continue;
    const [holder, grant, next, decision, reason] = packr.unpack(bytes) as StoredEntry;
    yield [
      partition,
      {
        partition,
        holder: lifeOf(holder),
        grant: grant === null ? undefined : { leaderEpoch: grant[0], tableVersion: grant[1] },
        next: lifeOf(next),
        decision,
        reason,
      },
    ];
  }
}
