/**
 * The Redis Function library of the cluster's log, as text. It holds the rules of stored_partition.ts and append_plan.ts in Lua, so that fence,
 * chains, records, rejects and checkpoints are one atomic call. The library's name carries a version, so that nodes of two
 * releases can share a store during an upgrade.
 *
 *   R1. A function checks everything before its first write, and Redis refuses it before it runs where memory or disk are
 *       full. So no call is ever half done (E12).
 *   R2. Every write names its epoch and the life of the store, `run_id:master_replid`. Both must be the present ones (E8).
 *   R3. Event bytes are stored as they were sent: one argument for each large batch or group of small batches.
 *   R4. Sequences are text of fixed width, so that Lua compares them by `<=` on strings.
 *   R5. A function that newer nodes need has a name of its own: a store with an older library gets the newer one when the
 *       name is not found. Nodes of earlier releases call the former names.
 *
 * Keys of a partition: meta, chains, verdicts (a sorted set read by name), checkpoints, and one stream for each channel.
 * `meta` holds the fence, limits, the number of short-lived chains, and the places of each principal. Its `c:<channel>`
 * is first, end, bytes, entries, last epoch and epochs. A chain is `epoch active stored position`. Where the chain has an
 * owner, `~owner` and a space stand before the position, which is empty or begins as a MessagePack map does.
 */
import { REDIS_BATCHES } from "./redis_batches.ts";
import { REDIS_CHAINS } from "./redis_chains.ts";
import { REDIS_CHANNELS } from "./redis_channels.ts";
import { REDIS_CLAIMS } from "./redis_claims.ts";
import { REDIS_NAMES } from "./redis_names.ts";
import { REDIS_PLACES } from "./redis_places.ts";

export const REDIS_LIBRARY_NAME = "headrace_v1";

/** The Lua function of each name. Nodes of earlier releases call `append`, `open_chain` and `welcome`. */
const FUNCTIONS = {
  claim: "claim",
  append: "fenced(append)",
  append_owned: "fenced(append)",
  append_attached: "fenced(append_attached)",
  open_chain: "fenced(open_chain)",
  open_owned: "fenced(open_chain)",
  welcome: "welcome",
  welcome_owned: "welcome_owned",
  take_place: "take_place",
  write_metadata: "write_metadata",
  probe: "probe",
};
/** Functions that free memory must run when no memory is left. */
const FREEING = ["checkpoint", "trim", "expire_chains"];

const register = (name: string, callback: string): string =>
  `redis.register_function('${REDIS_LIBRARY_NAME}_${name}', ${callback})`;
const registerWith = (name: string, callback: string, flag: string): string =>
  `redis.register_function{function_name='${REDIS_LIBRARY_NAME}_${name}', callback=${callback}, flags={'${flag}'}}`;

const SHARED = `local run_id

-- The life of the store. The run id never changes while this code is loaded; the replication id may.
local function identity()
  if not run_id then
    run_id = string.match(redis.call('INFO', 'server'), 'run_id:(%x+)')
  end
  return run_id .. ':' .. string.match(redis.call('INFO', 'replication'), 'master_replid:(%x+)')
end

local function int(n)
  return string.format('%.0f', n)
end

local function now_ms()
  local time = redis.call('TIME')
  return tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end

-- The function for the newest owner alone. Its arguments begin with the epoch and the life of the store (R2).
local function fenced(run)
  return function(keys, args)
    local now = identity()
    if args[2] ~= now then return {'STORE_CHANGED', now} end
    local stored = redis.call('HGET', keys[1], 'epoch') or '0'
    if stored ~= args[1] then return {'STALE_EPOCH', stored} end
    return run(keys, args)
  end
end

local function probe(keys, args)
  redis.call('SET', keys[1], args[1])
  return {'ok', identity()}
end

local function who()
  return {'ok', identity()}
end`;

export const REDIS_LIBRARY = [
  `#!lua name=${REDIS_LIBRARY_NAME}`,
  ...[SHARED, REDIS_CHANNELS, REDIS_PLACES, REDIS_CHAINS, REDIS_CLAIMS, REDIS_BATCHES, REDIS_NAMES],
  ...Object.entries(FUNCTIONS).map(([name, callback]) => register(name, callback)),
  ...FREEING.map((name) => registerWith(name, `fenced(${name})`, "allow-oom")),
  registerWith("who", "who", "no-writes"),
].join("\n");
