-- Bring a visitor's deadline forward, as when the page was left; a heartbeat puts it back.
--
-- KEYS[1]  {q:<id>}:room, of which room_keys.lua makes the others
-- ARGV[1]  Unix ms, or 0 for the clock of this server
-- ARGV[2]  lane
-- ARGV[3]  number
-- ARGV[4]  ms until the visitor is taken for gone; never later than without
-- Returns Unix ms.
local at_ms = clock()
local line = read('heartbeat_timeout_ms', 'heard_from_ms')
if not line then
  return NO_ROOM
end
local lane, number = tonumber(ARGV[2]), number_of(tonumber(ARGV[2]), tonumber(ARGV[3]))
local segment, offset = split(number)
local timeout_ms = line.heartbeat_timeout_ms
local width_ms = beat_width_ms(timeout_ms)
local present = math.floor(at_ms / width_ms)
-- Heard of in this bucket, one is taken for gone when `ARGV[4]` is over.
local last = present - beat_span(timeout_ms) + math.ceil(tonumber(ARGV[4]) / width_ms)
local was_heard = false
for bucket = last + 1, present do
  local bits = beat_key(width_ms, bucket, lane, segment)
  if redis.call('GETBIT', bits, offset) == 1 then
    redis.call('SETBIT', bits, offset, 0)
    was_heard = true
  end
end
if was_heard and last <= present then
  local bits = beat_key(width_ms, last, lane, segment)
  redis.call('SETBIT', bits, offset, 1)
  local ends_ms = (last + beat_span(timeout_ms) + 2) * width_ms
  redis.call('PEXPIRE', bits, int(math.max(ends_ms - present * width_ms, width_ms)))
end
-- Until the time-out is over for the first time silence shows nothing: then it is noted who faded.
local due_ms = at_ms + tonumber(ARGV[4])
if due_ms - timeout_ms <= line.heard_from_ms + width_ms then
  local name = lane .. ':' .. int(number)
  redis.call('ZADD', prefix .. 'fading', int(due_ms), name)
  redis.call('HSET', prefix .. 'fading_since', name, int(at_ms))
end
return at_ms
