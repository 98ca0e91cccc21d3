/**
 * The part of the Redis Function library that judges and writes batches: `append`, and
 * `append_attached`. It has the rules of append_plan.ts, over the
 * channels and chains of the other parts. redis_append.ts makes its arguments and reads its reply.
 */
export const REDIS_BATCHES = `-- A batch: 1 producer, 2 its epoch, 3 previous, 4 first, 5 last, 6 time, 7 records, 8 size, 9 group,
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

-- Writes the attached batches where no batch of their call was refused, and answers the ends of their channels. A batch: 1
-- channel, 2 records, 3 argument of its bytes. Their streams are the keys from the seventh on, in the same order.
local function attach(keys, args, attached, is_clean)
  local channels, ends = {}, {}
  for i, batch in ipairs(attached) do
    local bounds = channels[batch[1]] or load_channel(keys[1], batch[1])
    channels[batch[1]] = bounds
    if is_clean then add_entry(keys[6 + i], bounds, args[1], batch[2], args[batch[3]]) end
  end
  for i, batch in ipairs(attached) do ends[i] = int(channels[batch[1]].last) end
  if is_clean then
    for channel, bounds in pairs(channels) do save_channel(keys[1], channel, bounds) end
  end
  return ends
end

-- meta, chains, verdicts, checkpoints, stream, rejected | epoch, store, channel, batches, checkpoints, touch, blobs...
local function append(keys, args, attached)
  local meta, chains = keys[1], keys[2]
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
  local ends = attached and attach(keys, args, attached, is_clean)
  -- WAIT covers this connection's last write, so a call whose batches are all duplicates needs a write too.
  if args[6] == '1' and #order == 0 then redis.call('HSET', meta, 'touched', epoch) end
  for i, outcome in ipairs(outcomes) do
    if outcome[1] == 'duplicate' and channel == 'records' then
      local batch = batches[i]
      outcome[3] = redis.call('ZRANGEBYLEX', keys[3], '[' .. batch[14] .. batch[4], '[' .. batch[14] .. batch[5] .. '\\255')
    end
  end
  return {'ok', int(bounds.last), cmsgpack.pack(outcomes), ends}
end

-- As append, with the attached batches' streams behind its keys, and their description as the last argument.
local function append_attached(keys, args)
  return append(keys, args, cmsgpack.unpack(args[#args]))
end`;
