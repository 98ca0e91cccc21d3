/**
 * The Redis Function library of the cluster's log, as text. It holds the rules of partition_state.ts in Lua, so that fence,
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
import { EMPTY_CHAIN_KEPT_MS, SHORT_LIVED_PRODUCERS } from "../log.ts";
import { REDIS_PLACES } from "./redis_places.ts";

export const REDIS_LIBRARY_NAME = "headrace_v1";

export const REDIS_LIBRARY = `#!lua name=${REDIS_LIBRARY_NAME}
local run_id

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

local function fenced(meta, epoch, store)
  local now = identity()
  if store ~= now then return {'STORE_CHANGED', now} end
  local stored = redis.call('HGET', meta, 'epoch') or '0'
  if stored ~= epoch then return {'STALE_EPOCH', stored} end
  return nil
end

local function load_channel(meta, channel)
  local text = redis.call('HGET', meta, 'c:' .. channel)
  if not text then return {first = 0, last = 0, bytes = 0, entries = 0, epoch = '0', epochs = ''} end
  local first, last, bytes, entries, epoch, epochs = string.match(text, '^(%d+) (%d+) (%d+) (%d+) (%d+)(.*)$')
  return {first = tonumber(first), last = tonumber(last), bytes = tonumber(bytes), entries = tonumber(entries),
    epoch = epoch, epochs = epochs}
end

local function save_channel(meta, channel, c)
  redis.call('HSET', meta, 'c:' .. channel, int(c.first) .. ' ' .. int(c.last) .. ' ' .. int(c.bytes) .. ' '
    .. int(c.entries) .. ' ' .. c.epoch .. c.epochs)
end

-- Adds an entry of count records at the channel's end. Its id is the epoch and its last offset.
local function add_entry(stream, c, epoch, count, blob, verdicts)
  if c.epoch ~= epoch then
    c.epoch = epoch
    c.epochs = c.epochs .. ' ' .. epoch .. ' ' .. int(c.last)
  end
  c.last = c.last + count
  c.bytes = c.bytes + #blob
  c.entries = c.entries + 1
  local id = epoch .. '-' .. int(c.last - 1)
  if verdicts then
    redis.call('XADD', stream, id, 'b', blob, 'v', verdicts)
  else
    redis.call('XADD', stream, id, 'b', blob)
  end
end

local function load_chain(chains, name)
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

${REDIS_PLACES}

-- list: names, each followed by the index of the argument that holds its value; 0 removes the checkpoint.
local function write_checkpoints(key, list, args)
  for i = 1, #list, 2 do
    if list[i + 1] > 0 then
      redis.call('HSET', key, list[i], args[list[i + 1]])
    else
      redis.call('HDEL', key, list[i])
    end
  end
end

-- meta, chains, verdicts, checkpoints, records, rejected | leader, table, atLeast, window, producers, store
local function claim(keys, args)
  local meta = keys[1]
  local now = identity()
  if args[6] ~= now then return {'STORE_CHANGED', now} end
  local known = redis.call('HMGET', meta, 'epoch', 'leader', 'table')
  local leader, version = tonumber(known[2] or '0'), tonumber(known[3] or '0')
  local asked_leader, asked_version = tonumber(args[1]), tonumber(args[2])
  if asked_leader < leader or (asked_leader == leader and asked_version < version) then
    return {'STALE_GRANT', int(leader) .. '/' .. int(version)}
  end
  local time = redis.call('TIME')
  local ms = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
  local epoch = int(math.max(tonumber(known[1] or '0') + 1, tonumber(args[3]), ms, 1))
  redis.call('HSET', meta, 'epoch', epoch, 'leader', args[1], 'table', args[2], 'window', args[4], 'producers', args[5])
  if redis.call('HEXISTS', meta, 'c:records') == 0 then
    -- Every key exists from the first claim on, so that a moving slot never answers TRYAGAIN for a missing key.
    save_channel(meta, 'records', load_channel(meta, 'records'))
    redis.call('HSET', keys[2], '', '')
    redis.call('ZADD', keys[3], 0, '')
    redis.call('HSET', keys[4], '', '')
    for i = 5, 6 do
      redis.call('XGROUP', 'CREATE', keys[i], 'none', '$', 'MKSTREAM')
      redis.call('XGROUP', 'DESTROY', keys[i], 'none')
    end
  end
  if redis.call('HEXISTS', meta, 'short') == 0 then
    -- Chains of a release that did not count them: there are few, so they are counted here.
    local short = 0
    for _, name in ipairs(redis.call('HKEYS', keys[2])) do if is_short(name) then short = short + 1 end end
    redis.call('HSET', meta, 'short', short)
  end
  return {'ok', epoch, redis.call('HGETALL', meta), redis.call('HGETALL', keys[4])}
end

-- A batch: 1 producer, 2 its epoch, 3 previous, 4 first, 5 last, 6 time, 7 records, 8 size, 9 group,
-- 10 argument of its position, 11 argument of its rejects, 12 argument of their verdicts, 13 number of rejects, 14 prefix of its
-- verdicts, 15 owner of the chain that it makes
local function judge(chain, batch, state, name)
  if not chain then
    if batch[3] ~= '' then return {'unknown'} end
    return crowded(state.live, state.limit, name, batch[15] or '')
  end
  if batch[2] < chain.epoch then return {'stale', chain.epoch} end
  if batch[5] <= chain.stored then return {'duplicate', chain.stored} end
  if batch[3] == chain.stored and batch[4] > chain.stored then return nil end
  return {'gap', chain.stored}
end

-- The bytes of a group without its refused batches.
local function accepted_part(group, blob)
  if group.accepted == group.size then return blob end
  local parts = {}
  for i, piece in ipairs(group.pieces) do parts[i] = string.sub(blob, piece[1] + 1, piece[1] + piece[2]) end
  return table.concat(parts)
end

-- meta, chains, verdicts, checkpoints, stream, rejected | epoch, store, channel, batches, checkpoints, touch, blobs...
local function append(keys, args)
  local meta, chains = keys[1], keys[2]
  local refused = fenced(meta, args[1], args[2])
  if refused then return refused end
  local epoch, channel = args[1], args[3]
  local batches = cmsgpack.unpack(args[4])
  local state = {live = live_chains(meta, chains), limit = tonumber(redis.call('HGET', meta, 'producers'))}
  local bounds = load_channel(meta, channel)
  local cache, order, groups, rejects, outcomes = {}, {}, {}, {}, {}
  local is_clean, records = true, 0

  for i, batch in ipairs(batches) do
    local name = channel .. '\\0' .. batch[1]
    local chain = cache[name]
    if chain == nil then
      chain = load_chain(chains, name) or false
      cache[name] = chain
    end
    local group = groups[batch[9]]
    if batch[9] > 0 then
      if not group then
        group = {size = 0, accepted = 0, records = 0, pieces = {}}
        groups[batch[9]] = group
      end
      group.size = group.size + batch[8]
    end
    local outcome = judge(chain, batch, state, name)
    if not outcome then
      outcome = {'written', bounds.last + records, batch[7]}
      if batch[9] > 0 then
        group.pieces[#group.pieces + 1] = {group.size - batch[8], batch[8]}
        group.accepted = group.accepted + batch[8]
        group.records = group.records + batch[7]
        records = records + batch[7]
      end
      if batch[11] > 0 then rejects[#rejects + 1] = batch end
      if not chain then
        chain = {active = 0, owner = batch[15] or '', position = ''}
        state.live.all = state.live.all + 1
        if is_short(name) then state.live.short = state.live.short + 1 end
        count_place(state.live.moves, name, nil, chain.owner)
        cache[name] = chain
      end
      if not chain.moved then
        chain.moved = true
        order[#order + 1] = name
      end
      chain.epoch, chain.stored, chain.active = batch[2], batch[5], math.max(chain.active, batch[6])
      if batch[10] > 0 then chain.position = args[batch[10]] end
    elseif outcome[1] ~= 'duplicate' then
      is_clean = false
    end
    outcomes[i] = outcome
  end

  for i = 1, #groups do
    local group = groups[i]
    if group.accepted > 0 then
      add_entry(keys[5], bounds, epoch, group.records, accepted_part(group, args[6 + i]))
    end
  end
  if records > 0 then save_channel(meta, channel, bounds) end
  if #rejects > 0 then
    local rejected = load_channel(meta, 'rejected')
    for _, batch in ipairs(rejects) do
      local members = args[batch[12]]
      add_entry(keys[6], rejected, epoch, batch[13], args[batch[11]], members)
      for _, member in ipairs(cmsgpack.unpack(members)) do redis.call('ZADD', keys[3], 0, member) end
    end
    save_channel(meta, 'rejected', rejected)
  end
  for _, name in ipairs(order) do save_chain(chains, name, cache[name]) end
  save_moves(meta, state.live.moves)
  if is_clean and args[5] ~= '' then write_checkpoints(keys[4], cmsgpack.unpack(args[5]), args) end
  -- WAIT covers this connection's last write, so a call whose batches are all duplicates needs a write too.
  if args[6] == '1' and #order == 0 then redis.call('HSET', meta, 'touched', epoch) end
  for i, outcome in ipairs(outcomes) do
    if outcome[1] == 'duplicate' and channel == 'records' then
      local batch = batches[i]
      outcome[3] = redis.call('ZRANGEBYLEX', keys[3], '[' .. batch[14] .. batch[4], '[' .. batch[14] .. batch[5] .. '\\255')
    end
  end
  return {'ok', int(bounds.last), cmsgpack.pack(outcomes)}
end

-- meta, chains | epoch, store, chain, producer epoch, now, owner
local function open_chain(keys, args)
  local refused = fenced(keys[1], args[1], args[2])
  if refused then return refused end
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

-- meta, checkpoints | epoch, store, checkpoints, values...
local function checkpoint(keys, args)
  local refused = fenced(keys[1], args[1], args[2])
  if refused then return refused end
  write_checkpoints(keys[2], cmsgpack.unpack(args[3]), args)
  return {'ok'}
end

-- The epochs that are needed to judge cursors from the record before first on.
local function cut_epochs(text, first)
  local pairs_kept, keep = {}, 1
  for epoch, start in string.gmatch(text, '(%d+) (%d+)') do
    pairs_kept[#pairs_kept + 1] = ' ' .. epoch .. ' ' .. start
    if tonumber(start) < first then keep = #pairs_kept end
  end
  return table.concat(pairs_kept, '', math.min(keep, #pairs_kept + 1))
end

-- meta, stream, verdicts | epoch, store, channel, before, entries a call
local function trim(keys, args)
  local refused = fenced(keys[1], args[1], args[2])
  if refused then return refused end
  local channel, before = args[3], tonumber(args[4])
  local bounds = load_channel(keys[1], channel)
  local removed = 0
  for _, entry in ipairs(redis.call('XRANGE', keys[2], '-', '+', 'COUNT', args[5])) do
    local last = tonumber(string.match(entry[1], '%-(%d+)$'))
    if last >= before then break end
    removed = removed + 1
    bounds.first = last + 1
    bounds.bytes = math.max(0, bounds.bytes - #entry[2][2])
    bounds.entries = bounds.entries - 1
    if entry[2][4] then
      for _, member in ipairs(cmsgpack.unpack(entry[2][4])) do redis.call('ZREM', keys[3], member) end
    end
    redis.call('XDEL', keys[2], entry[1])
  end
  if removed > 0 then
    if bounds.first == bounds.last then bounds.bytes = 0 end
    bounds.epochs = cut_epochs(bounds.epochs, bounds.first)
    save_channel(keys[1], channel, bounds)
  end
  return {'ok', int(removed), redis.call('HGET', keys[1], 'c:' .. channel) or ''}
end

-- meta, chains, verdicts | epoch, store, now, cursor
local function expire_chains(keys, args)
  local refused = fenced(keys[1], args[1], args[2])
  if refused then return refused end
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
end

-- producer | instance, held epoch or '', kept for ms
local function welcome(keys, args)
  local known = redis.call('HMGET', keys[1], 'instance', 'epoch')
  local stored, held = tonumber(known[2] or '0'), tonumber(args[2]) or 0
  local epoch = stored
  if known[1] ~= args[1] or held > stored then
    if known[1] and known[1] ~= args[1] and args[2] ~= '' and stored > held then return {'fenced', int(stored)} end
    local time = redis.call('TIME')
    epoch = math.max(stored + 1, held + 1, tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000), 1)
  end
  redis.call('HSET', keys[1], 'instance', args[1], 'epoch', int(epoch))
  redis.call('PEXPIRE', keys[1], args[3])
  return {'ok', int(epoch)}
end

-- As welcome, which nodes of earlier releases call. Besides, a name belongs to the first owner that is welcomed under it
-- (E27), and an epoch too far ahead of the clock is refused, because no node can have given it (E26).
-- producer | instance, epoch held or '', ms kept, owner or '', ms that an epoch may lie ahead
local function welcome_owned(keys, args)
  local known = redis.call('HMGET', keys[1], 'owner', 'epoch')
  if known[1] and args[4] ~= '' and known[1] ~= args[4] then return {'owned', '0'} end
  local time = redis.call('TIME')
  local max = math.max(tonumber(known[2] or '0'), tonumber(time[1]) * 1000 + tonumber(args[5]))
  if (tonumber(args[2]) or 0) > max then return {'unknown', int(max)} end
  local answer = welcome(keys, args)
  if answer[1] == 'ok' and args[4] ~= '' then redis.call('HSET', keys[1], 'owner', args[4]) end
  return answer
end

-- Takes a place for a name among those of its principal. Names are forgotten as producers are.
-- names of the principal | producer, ms kept, most names
local function take_place(keys, args)
  local time = redis.call('TIME')
  local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
  redis.call('ZREMRANGEBYSCORE', keys[1], '-inf', '(' .. int(now))
  if not redis.call('ZSCORE', keys[1], args[1]) and redis.call('ZCARD', keys[1]) >= tonumber(args[3]) then
    return {'crowded'}
  end
  redis.call('ZADD', keys[1], int(now + tonumber(args[2])), args[1])
  redis.call('PEXPIRE', keys[1], args[2])
  return {'ok'}
end

-- metadata | field, expected version, value
local function write_metadata(keys, args)
  local text = redis.call('HGET', keys[1], args[1])
  local version = text and string.match(text, '^(%d+) ') or '0'
  if version ~= args[2] then return {'conflict', version} end
  local following = int(tonumber(version) + 1)
  redis.call('HSET', keys[1], args[1], following .. ' ' .. args[3])
  return {'ok', following}
end

local function probe(keys, args)
  redis.call('SET', keys[1], args[1])
  return {'ok', identity()}
end

local function who()
  return {'ok', identity()}
end

redis.register_function('${REDIS_LIBRARY_NAME}_claim', claim)
redis.register_function('${REDIS_LIBRARY_NAME}_append', append)
redis.register_function('${REDIS_LIBRARY_NAME}_append_owned', append)
redis.register_function('${REDIS_LIBRARY_NAME}_open_chain', open_chain)
redis.register_function('${REDIS_LIBRARY_NAME}_open_owned', open_chain)
redis.register_function('${REDIS_LIBRARY_NAME}_welcome', welcome)
redis.register_function('${REDIS_LIBRARY_NAME}_welcome_owned', welcome_owned)
redis.register_function('${REDIS_LIBRARY_NAME}_take_place', take_place)
redis.register_function('${REDIS_LIBRARY_NAME}_write_metadata', write_metadata)
redis.register_function('${REDIS_LIBRARY_NAME}_probe', probe)
redis.register_function{function_name='${REDIS_LIBRARY_NAME}_who', callback=who, flags={'no-writes'}}
-- Functions that free memory must run when no memory is left.
redis.register_function{function_name='${REDIS_LIBRARY_NAME}_checkpoint', callback=checkpoint, flags={'allow-oom'}}
redis.register_function{function_name='${REDIS_LIBRARY_NAME}_trim', callback=trim, flags={'allow-oom'}}
redis.register_function{function_name='${REDIS_LIBRARY_NAME}_expire_chains', callback=expire_chains, flags={'allow-oom'}}
`;
