/**
 * The part of the Redis Function library (redis_library.ts) that counts a partition's places for live chains: the rules of
 * chain_places.ts in Lua. Fields of `meta` hold the counts: `short` that of short-lived chains, `o:<mark>` and `h:<mark>`
 * those of a principal's places for ordinary and for short-lived chains.
 */
import { SHORT_LIVED_PRODUCERS } from "../../log.ts";
import { PLACES_SHARE, SHORT_LIVED_CHAINS_MAX } from "../../rules/chain_places.ts";

export const REDIS_PLACES = `local prefix_of_short = 'records\\0${SHORT_LIVED_PRODUCERS.prefix}'

local function is_short(name)
  return string.sub(name, 1, #prefix_of_short) == prefix_of_short
end

-- The number of live chains, and of short-lived ones among them, by the counts in meta. moves: the changes of these counts
-- that a call makes, and of each principal's places.
local function live_chains(meta, chains)
  local short = tonumber(redis.call('HGET', meta, 'short') or '0')
  return {meta = meta, all = redis.call('HLEN', chains) - redis.call('HEXISTS', chains, ''), short = short, moves = {}}
end

-- The field of meta that counts a principal's places of the kind that the chain takes.
local function held_field(name, owner)
  return (is_short(name) and 'h:' or 'o:') .. owner
end

local function move(moves, field, change)
  moves[field] = (moves[field] or 0) + change
end

-- Counts a chain that is made (no before), forgotten (no after), or opened by another principal.
local function count_place(moves, name, before, after)
  if before == after then return end
  if before and before ~= '' then move(moves, held_field(name, before), -1) end
  if after and after ~= '' then move(moves, held_field(name, after), 1) end
  if is_short(name) and not (before and after) then move(moves, 'short', after and 1 or -1) end
end

local function save_moves(meta, moves)
  for field, change in pairs(moves) do
    if change ~= 0 and redis.call('HINCRBY', meta, field, change) <= 0 and field ~= 'short' then
      redis.call('HDEL', meta, field)
    end
  end
end

-- The refusal of a place to another chain, or nil: the live chains of its kind and, where its principal holds its share,
-- the principal's places and the free ones.
local function crowded(live, limit, name, owner)
  local taken, most = live.all - live.short, limit
  if is_short(name) then taken, most = live.short, ${SHORT_LIVED_CHAINS_MAX} end
  if taken >= most then return {'full', taken} end
  if owner == '' then return nil end
  local field = held_field(name, owner)
  local held = tonumber(redis.call('HGET', live.meta, field) or '0') + (live.moves[field] or 0)
  if held < ${PLACES_SHARE} * (most - taken) then return nil end
  return {'full', taken, held, most - taken}
end`;
