/**
 * Decides which shards of one source run on this node. Leaves reading to `source_actor.ts`, and ownership to the cluster:
 * a shard runs where the partition `murmur3(shard) mod partitions` of the source's stream is owned.
 *   G1. A shard runs here exactly while it is listed, its partition is owned here, and the node does not rest.
 *   G2. A shard starts again only after its earlier reader on this node has ended.
 *   G3. The place is asked for its shards at once and then every minute, while a partition is owned here. A question that
 *       fails changes nothing: the known shards go on, and the place is asked again after a growing wait.
 *   G4. A list with too many shards, or with a name that is no shard's, is refused as a whole: to read a part of the
 *       shards would leave the others out unnoticed.
 */
import { backoffMs } from "../../../protocols/clock.ts";
import type { Step } from "../../../protocols/machine.ts";
import { partitionOfKey } from "../../../protocols/partitioner.ts";

export const SHARD_LIMITS = {
  shardsMax: 1_024,
  nameCharactersMax: 128,
  listEveryMs: 60_000,
  retryFirstMs: 1_000,
  retryMaxMs: 60_000,
} as const;

export interface ShardsState {
  readonly partitions: number;
  /** Characters of a shard's name that the producer's name leaves room for. */
  readonly nameCharactersMax: number;
  owned: ReadonlySet<number>;
  listed: ReadonlySet<string>;
  readonly running: Map<string, "reading" | "ending">;
  /** `asking` a question is under way; `waiting` a timer runs; `idle` nothing is owned here. */
  asking: "idle" | "asking" | "waiting";
  failures: number;
  isResting: boolean;
}

export type ShardsMessage =
  | { readonly type: "owned"; readonly partitions: ReadonlySet<number> }
  | { readonly type: "ask_again" }
  | { readonly type: "listed"; readonly shards: readonly string[] }
  | { readonly type: "list_failed"; readonly reason: string }
  | { readonly type: "ended"; readonly shard: string }
  | { readonly type: "rest" };

export type ShardsEffect =
  | { readonly type: "list" }
  | { readonly type: "ask_later"; readonly delayMs: number }
  | { readonly type: "start"; readonly shard: string }
  | { readonly type: "stop"; readonly shard: string }
  /** The shards could not be listed for this reason; undefined once they are again. */
  | { readonly type: "trouble"; readonly reason: string | undefined }
  | { readonly type: "rested" };

export const createShards = (
  partitions: number,
  nameCharactersMax: number = SHARD_LIMITS.nameCharactersMax,
): ShardsState => ({
  ...{ partitions, nameCharactersMax, owned: new Set(), listed: new Set(), running: new Map() },
  ...{ asking: "idle", failures: 0, isResting: false },
});

export const stepShards: Step<ShardsState, ShardsMessage, ShardsEffect> = (state, message) => {
  const effects: ShardsEffect[] = [];
  switch (message.type) {
    case "owned":
      state.owned = message.partitions;
      place(state, effects);
      if (state.asking === "idle") ask(state, effects); // G3
      break;
    case "ask_again":
      state.asking = "idle";
      ask(state, effects);
      break;
    case "listed":
      takeList(state, message.shards, effects);
      break;
    case "list_failed":
      fail(state, message.reason, effects);
      break;
    case "ended":
      state.running.delete(message.shard);
      place(state, effects);
      break;
    case "rest":
      state.isResting = true;
      place(state, effects);
      break;
  }
  if (state.isResting && state.running.size === 0) effects.push({ type: "rested" });
  return [state, effects];
};

function ask(state: ShardsState, effects: ShardsEffect[]): void {
  if (state.owned.size === 0 || state.isResting) return;
  state.asking = "asking";
  effects.push({ type: "list" });
}

function takeList(state: ShardsState, shards: readonly string[], effects: ShardsEffect[]): void {
  const reason = refusalOf(shards, state.nameCharactersMax);
  if (reason !== undefined) {
    fail(state, reason, effects); // G4
    return;
  }
  if (state.failures > 0) effects.push({ type: "trouble", reason: undefined });
  state.failures = 0;
  state.listed = new Set(shards);
  state.asking = "waiting";
  effects.push({ type: "ask_later", delayMs: SHARD_LIMITS.listEveryMs });
  place(state, effects);
}

/** G3 */
function fail(state: ShardsState, reason: string, effects: ShardsEffect[]): void {
  const { retryFirstMs, retryMaxMs } = SHARD_LIMITS;
  const delayMs = backoffMs(state.failures, retryFirstMs, retryMaxMs);
  state.failures += 1;
  state.asking = "waiting";
  effects.push({ type: "trouble", reason }, { type: "ask_later", delayMs });
}

/** G1, G2 */
function place(state: ShardsState, effects: ShardsEffect[]): void {
  const { running, listed, owned, partitions, isResting } = state;
  const isHere = (shard: string) => !isResting && listed.has(shard) && owned.has(partitionOfKey(shard, partitions));
  for (const [shard, phase] of running) {
    if (phase === "ending" || isHere(shard)) continue;
    running.set(shard, "ending");
    effects.push({ type: "stop", shard });
  }
  for (const shard of listed) {
    if (running.has(shard) || !isHere(shard)) continue;
    running.set(shard, "reading");
    effects.push({ type: "start", shard });
  }
}

/** The reason why a list cannot be used, or undefined. A source of a user may answer anything. */
function refusalOf(shards: unknown, nameCharactersMax: number): string | undefined {
  const must = (rule: string, current: string) => `Cannot read the shards as ${rule}: current value is ${current}`;
  if (!Array.isArray(shards)) return must("they must be a list of names", typeof shards);
  const { shardsMax } = SHARD_LIMITS;
  if (shards.length > shardsMax) return must(`there must be at most ${shardsMax}`, String(shards.length));
  const wrong: unknown = shards.find((shard) => !isName(shard, nameCharactersMax));
  if (wrong !== undefined || shards.includes(undefined)) {
    const rule = `a name must be text of 1 to ${nameCharactersMax} characters without control characters`;
    return must(rule, String(JSON.stringify(wrong)).slice(0, 200));
  }
  const twice = shards.find((shard, at) => shards.indexOf(shard) !== at);
  return twice === undefined ? undefined : must("each must be named once", String(twice));
}

/** Half a surrogate pair has no bytes of its own: two such names would share a chain. */
const isName = (shard: unknown, charactersMax: number): boolean =>
  typeof shard === "string" && shard.length > 0 && shard.length <= charactersMax && !/[\p{Cc}\p{Cs}]/u.test(shard);
