-- Count a session again that the store lost when it died; its signed token proves it.
--
-- KEYS[1]  {q:<id>}:room, of which room_keys.lua makes the others
-- ARGV[1]  Unix ms, or 0 for the clock of this server
-- ARGV[2]  lane
-- ARGV[3]  number
-- ARGV[4]  id of the session
-- ARGV[5]  Unix ms when it began
-- ARGV[6]  Unix ms when it ends
-- A session that began after the store was back, or that is known, is not restored: it is as it is.
-- The slot is counted even when none is free: the visitor is inside.
-- Returns {1 if it was restored, else 0; Unix ms}.
local KEPT_MS = 600000
local at_ms = clock()
local lane, arrival, session_id = tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4]
local line = read('h' .. lane, 't' .. lane, 'f' .. lane, 'recovered_at_ms')
if not line then
  return NO_ROOM
end
local number = number_of(lane, arrival)
recover(at_ms)
line = read('h' .. lane, 't' .. lane, 'f' .. lane, 'recovered_at_ms', 'lost_below')
local began_at_ms, ends_at_ms = tonumber(ARGV[5]), tonumber(ARGV[6])
local record = session_key(lane, arrival)
if ends_at_ms <= at_ms or began_at_ms >= line.recovered_at_ms or number >= line['t' .. lane]
  or redis.call('EXISTS', record) == 1 then
  return {0, at_ms}
end
local segment = math.floor(number / BITS)
-- Of a number from before the whole room was lost nothing is known but what its token says.
local is_lost = number < line.lost_below
local was_claimed = not is_lost
  and (segment < line['f' .. lane] or set_bit('claimed', lane, number, 1) == 1)
local grant = grant_of(lane, number)
if was_claimed then
  -- The store knows that this session was under way, and that it is over.
  return {0, at_ms}
end
if number >= line['h' .. lane] then
  -- That it was admitted is lost too: out of the line with it.
  if set_bit('gone', lane, number, 1) == 0 then
    add('w' .. lane, -1)
    note_gone(lane, segment, 1)
  end
  set_bit('limbo', lane, number, 0)
end
if grant then
  use_grant(grant)
else
  add('inside', 1)
end
redis.call('ZADD', prefix .. 'sessions', int(ends_at_ms), session_name(lane, arrival, session_id))
redis.call('HSET', prefix .. 'session_ids', session_id, lane .. ':' .. int(arrival))
redis.call('HSET', record, 'id', session_id, 'began_at_ms', int(began_at_ms), 'ends_at_ms',
  int(ends_at_ms), 'seen_at_ms', int(at_ms), 'views', 0)
redis.call('PEXPIREAT', record, int(ends_at_ms + KEPT_MS))
return {1, at_ms}
