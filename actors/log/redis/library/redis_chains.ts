/** The Redis functions that keep chains: `open_chain` and `expire_chains`. redis_places.ts counts their places. */
import { EMPTY_CHAIN_KEPT_MS, SHORT_LIVED_PRODUCERS } from "../../log.ts";

export const REDIS_CHAINS = `local function load_chain(chains, name)
  local text = redis.call('HGET', chains, name)
  if not text then return nil end
  local epoch, active, stored, rest = string.match(text, '^(%d+) (%d+) (%x*) (.*)$')
  local owner, position = string.match(rest, '^~(%S+) (.*)$')
  return {epoch = tonumber(epoch), active = tonumber(active), stored = stored, owner = owner or '',
    position = position or rest}
end

local function save_chain(chains, name, chain)
  redis.call('HSET', chains, name,
    int(chain.epoch) .. ' ' .. int(chain.active) .. ' ' .. chain.stored .. ' '
    .. (chain.owner == '' and '' or '~' .. chain.owner .. ' ') .. chain.position)
end

-- meta, chains | epoch, store, chain, producer epoch, now, owner
local function open_chain(keys, args)
  local chain = load_chain(keys[2], args[3])
  local asked, now, owner = tonumber(args[4]), tonumber(args[5]), args[6] or ''
  local moves = {}
  if not chain then
    local live, limit = live_chains(keys[1], keys[2]), tonumber(redis.call('HGET', keys[1], 'producers'))
    local full = crowded(live, limit, args[3], owner)
    if full then return full end
    chain = {active = now, stored = '', owner = owner, position = ''}
    count_place(moves, args[3], nil, owner)
  elseif asked < chain.epoch then
    return {'stale', int(chain.epoch)}
  elseif owner ~= '' then
    count_place(moves, args[3], chain.owner, owner)
    chain.owner = owner
  end
  save_moves(keys[1], moves)
  chain.epoch, chain.active = asked, math.max(chain.active, now)
  save_chain(keys[2], args[3], chain)
  return {'ok', chain.stored, chain.position}
end

-- meta, chains, verdicts | epoch, store, now, cursor
local function expire_chains(keys, args)
  local window = tonumber(redis.call('HGET', keys[1], 'window'))
  local short = math.min(window, ${SHORT_LIVED_PRODUCERS.windowMs})
  local moves = {}
  local page = redis.call('HSCAN', keys[2], args[4], 'COUNT', 500)
  for i = 1, #page[2], 2 do
    local name = page[2][i]
    local active, stored, rest = string.match(page[2][i + 1], '^%d+ (%d+) (%x*) (.*)$')
    local kept = stored == '' and math.min(short, ${EMPTY_CHAIN_KEPT_MS}) or is_short(name) and short or window
    if name ~= '' and active and tonumber(active) < tonumber(args[3]) - kept then
      redis.call('HDEL', keys[2], name)
      count_place(moves, name, string.match(rest, '^~(%S+) ') or '', nil)
      local producer = string.match(name, '^records%z(.*)$')
      if producer then
        local prefix = #producer .. ':' .. producer .. '\\0'
        redis.call('ZREMRANGEBYLEX', keys[3], '[' .. prefix, '[' .. prefix .. '\\255')
      end
    end
  end
  save_moves(keys[1], moves)
  return {'ok', page[1], int(live_chains(keys[1], keys[2]).all)}
end`;
