-- Begin the session of somebody who was admitted, once; a repeat finds the same session.
--
-- KEYS[1]  {q:<id>}:room, of which room_keys.lua makes the others
-- ARGV[1]  Unix ms, or 0 for the clock of this server
-- ARGV[2]  lane
-- ARGV[3]  number
-- ARGV[4]  id of the session, the same for each claim of this place
-- ARGV[5]  ms the session lasts
-- Returns {state; Unix ms; began; ends; last seen; views; why it is over, '' while it is not}: state 1
-- begun now, 2 is under way, 3 is over, 0 still waits, -1 left, -2 expired (also: nobody came in
-- time), -3 never given out. The last five are there when there is a session.
local KEPT_MS = 600000
local at_ms = clock()
local lane, arrival, session_id = tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4]
local line = read('h' .. lane, 't' .. lane, 'f' .. lane, 'inside', 'capacity', 'hold_until_ms')
if not line then
  return NO_ROOM
end
local number = number_of(lane, arrival)
local held = redis.call('HMGET', session_key(lane, arrival), 'began_at_ms', 'ends_at_ms', 'seen_at_ms',
  'views')
local _, _, over = session_of(lane, arrival, at_ms)
if over then
  return {over == '' and 2 or 3, at_ms, tonumber(held[1]), tonumber(held[2]), tonumber(held[3]),
    tonumber(held[4]), over}
end
if number >= line['t' .. lane] then
  return {-3, at_ms}
end
if number < line['f' .. lane] * BITS then
  return {-2, at_ms}
end

local function begin()
  local ends_at_ms = at_ms + tonumber(ARGV[5])
  set_bit('claimed', lane, number, 1)
  redis.call('ZADD', prefix .. 'sessions', int(ends_at_ms), session_name(lane, arrival, session_id))
  redis.call('HSET', prefix .. 'session_ids', session_id, lane .. ':' .. int(arrival))
  local record = session_key(lane, arrival)
  redis.call('HSET', record, 'id', session_id, 'began_at_ms', int(at_ms), 'ends_at_ms',
    int(ends_at_ms), 'seen_at_ms', int(at_ms), 'views', 0)
  redis.call('PEXPIREAT', record, int(ends_at_ms + KEPT_MS))
  return {1, at_ms, at_ms, ends_at_ms, at_ms, 0, ''}
end

if is_set('limbo', lane, number) then
  if number >= line['h' .. lane] or line.inside >= line.capacity or at_ms < line.hold_until_ms then
    return {0, at_ms}
  end
  -- Passed by while the place was lost with the store: no grant is kept, so the slot is taken here.
  set_bit('limbo', lane, number, 0)
  set_bit('gone', lane, number, 0)
  add('inside', 1)
  add('admitted', 1)
  return begin()
end
if is_set('gone', lane, number) then
  return {is_set('expired', lane, number) and -2 or -1, at_ms}
end
if number >= line['h' .. lane] then
  return {0, at_ms}
end
local grant = grant_of(lane, number)
if not grant or is_set('claimed', lane, number) then
  return {-2, at_ms}
end
use_grant(grant)
return begin()
