-- Take out of the line whoever was not heard of for the time-out: not sooner, a bucket later at most.
--
-- Once in a bucket of time; a repeat in the same one finds nobody. When the room itself was not
-- looked after for a while (nothing ticked, or the clock jumped), nobody could be heard of, so the
-- time-out begins anew for all.
--
-- KEYS[1]  {q:<id>}:room, of which room_keys.lua makes the others
-- ARGV[1]  Unix ms, or 0 for the clock of this server
-- Returns {Unix ms; taken out in lane 0, 1, 2, 3}.
local UNATTENDED_MS = 10000
local FADING_MAX = 500
local at_ms = clock()
local line = read('heartbeat_timeout_ms', 'heard_from_ms', 'heard_to_ms', 'looked_at_ms',
  'reaped', 'h0', 'h1', 'h2', 'h3', 't0', 't1', 't2', 't3', 'w0', 'w1', 'w2', 'w3')
if not line then
  return NO_ROOM
end
local timeout_ms = line.heartbeat_timeout_ms
local width_ms = beat_width_ms(timeout_ms)
-- A clock that was put back a little leaves heartbeats in buckets that are yet to come.
local last = math.floor(math.max(at_ms, line.heard_to_ms) / width_ms)
-- Who was heard of in this bucket may have been so within the time-out.
local first = math.floor((at_ms - timeout_ms) / width_ms)
local silent, heard = prefix .. 'scratch:silent', prefix .. 'scratch:here'
local away_ms = at_ms - line.looked_at_ms
redis.call('HSET', room, 'looked_at_ms', int(at_ms))
if line.looked_at_ms > 0 and (away_ms < 0 or away_ms > UNATTENDED_MS)
  or line.heard_to_ms - at_ms > UNATTENDED_MS then
  redis.call('HSET', room, 'heard_from_ms', int(at_ms), 'heard_to_ms', int(at_ms), 'reaped', 0)
  return {at_ms, 0, 0, 0, 0}
end
local is_early = first <= math.floor(line.heard_from_ms / width_ms)

local function was_heard_since(ms, lane, number)
  local segment, offset = split(number)
  for each = math.floor(ms / width_ms), last do
    if redis.call('GETBIT', beat_key(width_ms, each, lane, segment), offset) == 1 then
      return true
    end
  end
  return false
end

-- Who left the page in a time in which nobody else can be called silent yet; see fade_beats.lua.
local function reap_fading()
  local fading, since, taken = prefix .. 'fading', prefix .. 'fading_since', {[0] = 0, 0, 0, 0}
  local due = redis.call('ZRANGEBYSCORE', fading, '-inf', int(at_ms), 'LIMIT', 0, FADING_MAX)
  for _, name in ipairs(due) do
    local lane, number = string.match(name, '^(%d):(%d+)$')
    local faded_ms = tonumber(redis.call('HGET', since, name))
    lane, number = tonumber(lane), tonumber(number)
    redis.call('ZREM', fading, name)
    redis.call('HDEL', since, name)
    -- Where nobody could be heard of meanwhile, that somebody was not says nothing.
    if is_early and faded_ms >= line.heard_from_ms and number >= line['h' .. lane]
      and not was_heard_since(faded_ms, lane, number)
      and set_bit('gone', lane, number, 1) == 0 then
      set_bit('expired', lane, number, 1)
      note_gone(lane, math.floor(number / BITS), 1)
      add('w' .. lane, -1)
      add('expired', 1)
      taken[lane] = taken[lane] + 1
    end
  end
  return {at_ms, taken[0], taken[1], taken[2], taken[3]}
end

if line.status == 'maintenance' then
  return {at_ms, 0, 0, 0, 0}
end
local faded = reap_fading()
if is_early or line.reaped == first then
  return faded
end
redis.call('HSET', room, 'reaped', int(first))

local function pad(bits, byte)
  local length = redis.call('STRLEN', bits)
  if length < BYTES then
    redis.call('APPEND', bits, string.rep(byte, BYTES - length))
  end
end

-- Leave in `silent` the bits of [from, to) of a segment who wait and were not heard of.
local function find_silent(lane, segment, from, to)
  local beats = {}
  for each = first, last do
    beats[#beats + 1] = beat_key(width_ms, each, lane, segment)
  end
  redis.call('BITOP', 'OR', silent, unpack(beats))
  pad(silent, '\0')
  redis.call('BITOP', 'NOT', silent, silent)
  local gone = key('gone', lane, segment)
  if redis.call('EXISTS', gone) == 1 then
    redis.call('BITOP', 'NOT', heard, gone)
    pad(heard, '\255')
    redis.call('BITOP', 'AND', silent, silent, heard)
  end
  if from > 0 then
    fill(silent, 0, from, 0)
  end
  if to < BITS then
    fill(silent, to, BITS, 0)
  end
  return redis.call('BITCOUNT', silent)
end

local function reap(lane, segment, from, to)
  local name = lane .. ':' .. int(segment)
  if from == 0 and tonumber(redis.call('HGET', prefix .. 'gone_counts', name) or 0) >= to then
    return 0
  end
  local count = find_silent(lane, segment, from, to)
  if count > 0 then
    for _, kind in ipairs({'gone', 'expired'}) do
      local bits = key(kind, lane, segment)
      redis.call('BITOP', 'OR', bits, bits, silent)
    end
    note_gone(lane, segment, count)
  end
  return count
end

local answer = {at_ms}
local total = 0
for lane = 0, 3 do
  local head, tail, reaped = line['h' .. lane], line['t' .. lane], 0
  if line['w' .. lane] > 0 then
    for segment = math.floor(head / BITS), math.floor((tail - 1) / BITS) do
      local start = segment * BITS
      local from, to = math.max(head - start, 0), math.min(tail - start, BITS)
      reaped = reaped + reap(lane, segment, from, to)
    end
    if reaped > 0 then
      add('w' .. lane, -reaped)
    end
  end
  answer[lane + 2] = reaped
  total = total + reaped
end
redis.call('DEL', silent, heard)
if total > 0 then
  add('expired', total)
end
return answer
