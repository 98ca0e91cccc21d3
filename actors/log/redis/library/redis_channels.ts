/** The part of the Redis Function library that keeps channels: their entries, bounds and epoch tables, and `trim`. */
export const REDIS_CHANNELS = `local function load_channel(meta, channel)
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
end`;
