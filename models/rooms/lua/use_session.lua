-- Read a session, note that it is used, or end it.
--
-- KEYS[1]  {q:<id>}:room, of which room_keys.lua makes the others
-- ARGV[1]  Unix ms, or 0 for the clock of this server
-- ARGV[2]  lane
-- ARGV[3]  number
-- ARGV[4]  page views to add, or -1 only to read
-- ARGV[5]  ms from now until it shall end at least, 0 to leave that as it is
-- ARGV[6]  ms from its beginning until it ends at the latest, whatever ARGV[5] says
-- ARGV[7]  reason to end it, or ''
-- Returns {Unix ms} when there is none, else {Unix ms; id; began; ends; last seen; views; why it is
-- over, '' while it is not; since when it is over, 0; 1 if this call ended it}.
local KEPT_MS = 600000
local at_ms = clock()
local lane, number = tonumber(ARGV[2]), tonumber(ARGV[3])
if not read() then
  return NO_ROOM
end
local record = session_key(lane, number)
local session_id, ends_at_ms, over = session_of(lane, number, at_ms)
if not session_id then
  return {at_ms}
end

local function use(views)
  redis.call('HINCRBY', record, 'views', views)
  redis.call('HSET', record, 'seen_at_ms', int(at_ms))
  local began_at_ms = tonumber(redis.call('HGET', record, 'began_at_ms'))
  local wanted_ms = math.min(at_ms + tonumber(ARGV[5]), began_at_ms + tonumber(ARGV[6]))
  if wanted_ms > ends_at_ms then
    redis.call('HSET', record, 'ends_at_ms', int(wanted_ms))
    redis.call('ZADD', prefix .. 'sessions', int(wanted_ms),
      session_name(lane, number, session_id))
    redis.call('PEXPIREAT', record, int(wanted_ms + KEPT_MS))
  end
end

local was_ended = 0
if over == '' and ARGV[7] ~= '' then
  end_session(lane, number, session_id, ARGV[7], at_ms)
  was_ended, over = 1, ARGV[7]
elseif over == '' and tonumber(ARGV[4]) >= 0 then
  use(ARGV[4])
end
local held = redis.call('HMGET', record, 'began_at_ms', 'ends_at_ms', 'seen_at_ms', 'views',
  'over_at_ms')
local over_at_ms = 0
if over ~= '' then
  over_at_ms = tonumber(held[5] or held[2])
end
return {at_ms, session_id, tonumber(held[1]), tonumber(held[2]), tonumber(held[3]),
  tonumber(held[4]), over, over_at_ms, was_ended}
