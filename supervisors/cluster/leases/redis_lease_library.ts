/**
 * The Redis Function library of a cluster's leases, as text. Each method of the contract (lease_store.ts) is one atomic
 * call. The library's name holds a version, so that nodes of two releases can share a store during
 * an upgrade.
 *
 *   R1. A function checks everything before its first write, so that a refused call changes nothing (S2, S4).
 *   R2. The server's clock is the only clock. If it was set back, deadlines go back with it: no registration and no lease
 *       lasts longer for it (E24).
 *   R3. Every function runs even if Redis has no memory left. The keys are small and bounded, and without owners no partition
 *       is trimmed, which is what frees memory.
 *   R4. All keys share one hash tag, and all exist once a store is connected (E12). A field or group with an empty or unused
 *       name keeps an otherwise empty key in existence.
 *
 * Keys: `meta` (incarnation and leader: the newest that were made; holder and until: the leader's lease; version and writer: the
 * table's; clock: at the last write), `lives` (node -> incarnation, expiry, draining), `profiles` (node -> JSON), `deaths`
 * (node -> count, end of probation, end of memory), `table` (partition -> entry), `decisions` (a stream of JSON).
 */
import type { RedisLibrary } from "../../../actors/log/redis/redis_connection.ts";
import { DECISIONS_MAX } from "./lease_store.ts";

const NAME = "headrace_cluster_v1";

const TAG = "{cluster}:";
const META = `${TAG}meta`;
const LIVES = `${TAG}lives`;
const PROFILES = `${TAG}profiles`;
const DEATHS = `${TAG}deaths`;
const TABLE = `${TAG}table`;
const DECISIONS = `${TAG}decisions`;

/** The keys of a call, without the prefix, in the order of the functions' `keys`. */
export const LEASE_KEYS = {
  registry: [META, LIVES, DEATHS, PROFILES],
  table: [META, TABLE, DECISIONS],
  decisions: DECISIONS,
} as const;

/** Arguments of one HSET: Lua can unpack some thousands at once. */
const FIELDS_MAX = 2_000;

/** The Lua function `clock_ms`: Redis' own clock. */
export const REDIS_CLOCK = `
local function clock_ms()
  local time = redis.call('TIME')
  return tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end
`;

/** @param clock Lua that defines `clock_ms`; tests pass a clock that they can set */
export const redisLeaseLibrary = (clock: string = REDIS_CLOCK): RedisLibrary => ({
  name: NAME,
  formatVersion: 1,
  formatKey: `${TAG}format`,
  probeKeys: [META, LIVES, DEATHS, PROFILES, TABLE, DECISIONS],
  isSpread: false,
  text: `#!lua name=${NAME}
${clock}
${FUNCTIONS}`,
});

const FUNCTIONS = `
local function int(n)
  return string.format('%.0f', n)
end

local function number_at(key, field)
  return tonumber(redis.call('HGET', key, field) or '0')
end

-- Calls each with the name and the numbers of every field that has a name.
local function each_field(key, each)
  local fields = redis.call('HGETALL', key)
  for i = 1, #fields, 2 do
    if fields[i] ~= '' then
      local a, b, c = string.match(fields[i + 1], '^(%d+) (-?%d+) (-?%d+)$')
      each(fields[i], a, tonumber(b), tonumber(c))
    end
  end
end

local function save_life(lives, node, incarnation, expires, draining)
  redis.call('HSET', lives, node, incarnation .. ' ' .. int(expires) .. ' ' .. int(draining))
end

-- The registration of a node, if it is that of this incarnation.
local function load_life(lives, node, incarnation)
  local stored, expires, draining = string.match(redis.call('HGET', lives, node) or '', '^(%d+) (-?%d+) (%d)$')
  if not stored or stored ~= incarnation then return nil end
  return {expires = tonumber(expires), draining = tonumber(draining)}
end

local function save_deaths(deaths, node, count, probation, forgotten)
  redis.call('HSET', deaths, node, int(count) .. ' ' .. int(probation) .. ' ' .. int(forgotten))
end

local function load_deaths(deaths, node)
  local count, probation, forgotten = string.match(redis.call('HGET', deaths, node) or '0 0 0', '^(%d+) (-?%d+) (-?%d+)$')
  return {count = tonumber(count), probation = tonumber(probation), forgotten = tonumber(forgotten)}
end

-- R2. The time of a call that writes; meta, lives and deaths are the first three keys.
local function now(keys)
  local ms, seen = clock_ms(), number_at(keys[1], 'clock')
  if ms < seen then
    local by = ms - seen
    each_field(keys[2], function(node, incarnation, expires, draining)
      save_life(keys[2], node, incarnation, expires + by, draining)
    end)
    each_field(keys[3], function(node, count, probation, forgotten)
      save_deaths(keys[3], node, count, probation + by, forgotten + by)
    end)
    local lease = redis.call('HGET', keys[1], 'until')
    if lease then redis.call('HSET', keys[1], 'until', int(tonumber(lease) + by)) end
  end
  redis.call('HSET', keys[1], 'clock', int(ms))
  return ms
end

-- S1
local function make(meta, field, ms)
  local made = int(math.max(number_at(meta, field) + 1, ms))
  redis.call('HSET', meta, field, made)
  return made
end

-- S2
local function fenced(meta, leader)
  local newest = redis.call('HGET', meta, 'leader') or 'none'
  if newest ~= leader then return {'STALE_LEADER', newest} end
  return nil
end

-- registry | node, registered for ms, profile
local function join(keys, args)
  local ms = now(keys)
  local incarnation = make(keys[1], 'incarnation', ms)
  save_life(keys[2], args[1], incarnation, ms + tonumber(args[2]), 0)
  redis.call('HSET', keys[4], args[1], args[3])
  return {'ok', incarnation, int(math.max(0, load_deaths(keys[3], args[1]).probation - ms))}
end

-- registry | node, incarnation, registered for ms
local function renew(keys, args)
  local ms = now(keys)
  local life = load_life(keys[2], args[1], args[2])
  if not life then return {'no'} end
  save_life(keys[2], args[1], args[2], ms + tonumber(args[3]), life.draining)
  return {'ok'}
end

-- registry | node, incarnation
local function leave(keys, args)
  if load_life(keys[2], args[1], args[2]) then
    redis.call('HDEL', keys[2], args[1])
    redis.call('HDEL', keys[4], args[1])
  end
  return {'ok'}
end

-- registry | node, incarnation, lease for ms, term that it may be taken from or ''
local function stand(keys, args)
  local ms = now(keys)
  local leader, holder, lease = unpack(redis.call('HMGET', keys[1], 'leader', 'holder', 'until'))
  if holder and tonumber(lease) >= ms and leader ~= args[4] then
    return {'held', leader, holder, int(tonumber(lease) - ms)}
  end
  local elected = make(keys[1], 'leader', ms)
  redis.call('HSET', keys[1], 'holder', args[2] .. ' ' .. args[1], 'until', int(ms + tonumber(args[3])))
  return {'elected', elected}
end

-- registry | leader epoch, lease for ms
local function renew_lease(keys, args)
  local ms = now(keys)
  if fenced(keys[1], args[1]) or redis.call('HEXISTS', keys[1], 'holder') == 0 then return {'no'} end
  redis.call('HSET', keys[1], 'until', int(ms + tonumber(args[2])))
  return {'ok'}
end

-- registry | leader epoch
local function resign(keys, args)
  if not fenced(keys[1], args[1]) then redis.call('HDEL', keys[1], 'holder', 'until') end
  return {'ok'}
end

-- registry | leader epoch, node, incarnation, first probation, longest probation, deaths forgotten after, ms
local function declare_dead(keys, args)
  local refused = fenced(keys[1], args[1])
  if refused then return refused end
  local ms = now(keys)
  if not load_life(keys[2], args[2], args[3]) then return {'ok'} end
  redis.call('HDEL', keys[2], args[2])
  redis.call('HDEL', keys[4], args[2])
  each_field(keys[3], function(node, count, probation, forgotten)
    if probation < ms and forgotten < ms then redis.call('HDEL', keys[3], node) end
  end)
  local before = load_deaths(keys[3], args[2])
  local earlier = before.forgotten >= ms and before.count or 0
  local probation = math.min(tonumber(args[5]), tonumber(args[4]) * 2 ^ earlier)
  save_deaths(keys[3], args[2], earlier + 1, ms + probation, ms + tonumber(args[6]))
  return {'ok'}
end

-- registry | leader epoch, node, draining: 0 or 1
local function set_draining(keys, args)
  local refused = fenced(keys[1], args[1])
  if refused then return refused end
  local incarnation = string.match(redis.call('HGET', keys[2], args[2]) or '', '^%d+')
  local life = load_life(keys[2], args[2], incarnation)
  if life then save_life(keys[2], args[2], incarnation, life.expires, tonumber(args[3])) end
  return {'ok'}
end

-- registry
local function look(keys)
  local ms = math.max(clock_ms(), number_at(keys[1], 'clock')) -- a clock that was set back stands until the next write
  return {'ok', int(ms), redis.call('HMGET', keys[1], 'leader', 'holder', 'until', 'version'),
    redis.call('HGETALL', keys[2]), redis.call('HGETALL', keys[3]), redis.call('HGETALL', keys[4])}
end

-- table | leader epoch, expected version, decision or '', then partitions, each followed by its entry
local function write_table(keys, args)
  local refused = fenced(keys[1], args[1])
  if refused then return refused end
  local version = redis.call('HGET', keys[1], 'version') or '0'
  if version ~= args[2] then return {'OTHER_VERSION', version} end
  for i = 4, #args, ${FIELDS_MAX} do
    redis.call('HSET', keys[2], unpack(args, i, math.min(i + ${FIELDS_MAX - 1}, #args)))
  end
  if args[3] ~= '' then redis.call('XADD', keys[3], 'MAXLEN', '=', '${DECISIONS_MAX}', '*', 'd', args[3]) end
  local following = int(tonumber(version) + 1)
  redis.call('HSET', keys[1], 'version', following, 'writer', args[1])
  return {'ok', following}
end

-- table | cursor, entries a page
local function read_table(keys, args)
  local page = redis.call('HSCAN', keys[2], args[1], 'COUNT', args[2])
  return {'ok', redis.call('HMGET', keys[1], 'version', 'writer'), page[1], page[2]}
end

local function identity()
  local run_id = string.match(redis.call('INFO', 'server'), 'run_id:(%x+)')
  return run_id .. ':' .. string.match(redis.call('INFO', 'replication'), 'master_replid:(%x+)')
end

local function who()
  return {'ok', identity()}
end

-- all of them
local function probe(keys)
  for i = 1, 5 do redis.call('HSET', keys[i], '', '') end
  if redis.call('EXISTS', keys[6]) == 0 then
    redis.call('XGROUP', 'CREATE', keys[6], 'none', '$', 'MKSTREAM')
    redis.call('XGROUP', 'DESTROY', keys[6], 'none')
  end
  return {'ok', identity()}
end

local function register(name, callback, flag)
  redis.register_function{function_name='${NAME}_' .. name, callback=callback, flags={flag}}
end

-- R3
register('join', join, 'allow-oom')
register('renew', renew, 'allow-oom')
register('leave', leave, 'allow-oom')
register('stand', stand, 'allow-oom')
register('renew_lease', renew_lease, 'allow-oom')
register('resign', resign, 'allow-oom')
register('declare_dead', declare_dead, 'allow-oom')
register('set_draining', set_draining, 'allow-oom')
register('write_table', write_table, 'allow-oom')
register('probe', probe, 'allow-oom')
register('who', who, 'no-writes')
register('look', look, 'no-writes')
register('read_table', read_table, 'no-writes')
`;
