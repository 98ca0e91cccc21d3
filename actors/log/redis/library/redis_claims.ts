/** The part of the Redis Function library that an owner begins with: `claim`, and the `checkpoint` of what it has done. */
export const REDIS_CLAIMS = `-- list: names, each followed by the index of the argument that holds its value; 0 removes the checkpoint.
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
  local epoch = int(math.max(tonumber(known[1] or '0') + 1, tonumber(args[3]), now_ms(), 1))
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

-- meta, checkpoints | epoch, store, checkpoints, values...
local function checkpoint(keys, args)
  write_checkpoints(keys[2], cmsgpack.unpack(args[3]), args)
  return {'ok'}
end`;
