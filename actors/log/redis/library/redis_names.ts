/** The Redis functions that belong to no partition: producers' names and epochs, by welcome.ts, and metadata. */
export const REDIS_NAMES = `-- producer | instance, held epoch or '', kept for ms
local function welcome(keys, args)
  local known = redis.call('HMGET', keys[1], 'instance', 'epoch')
  local stored, held = tonumber(known[2] or '0'), tonumber(args[2]) or 0
  local epoch = stored
  if known[1] ~= args[1] or held > stored then
    if known[1] and known[1] ~= args[1] and args[2] ~= '' and stored > held then return {'fenced', int(stored)} end
    epoch = math.max(stored + 1, held + 1, now_ms(), 1)
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
  local max = math.max(tonumber(known[2] or '0'), now_ms() + tonumber(args[5]))
  if (tonumber(args[2]) or 0) > max then return {'unknown', int(max)} end
  local answer = welcome(keys, args)
  if answer[1] == 'ok' and args[4] ~= '' then redis.call('HSET', keys[1], 'owner', args[4]) end
  return answer
end

-- Takes a place for a name among those of its principal. Names are forgotten as producers are.
-- names of the principal | producer, ms kept, most names
local function take_place(keys, args)
  local now = now_ms()
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
end`;
