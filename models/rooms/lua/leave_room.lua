-- Take a visitor out: of the line, of a slot that was kept, or of the room.
--
-- KEYS[1]  {q:<id>}:room, of which room_keys.lua makes the others
-- ARGV[1]  Unix ms, or 0 for the clock of this server
-- ARGV[2]  lane
-- ARGV[3]  number
-- Returns {1 left the line, 2 gave back a slot, 3 ended a session, 0 was not there; Unix ms}.
local at_ms = clock()
local lane, arrival = tonumber(ARGV[2]), tonumber(ARGV[3])
local line = read('h' .. lane, 't' .. lane)
if not line then
  return NO_ROOM
end
local number = number_of(lane, arrival)
local segment = math.floor(number / BITS)
if number >= line['t' .. lane] then
  return {0, at_ms}
end
local session_id, _, over = session_of(lane, arrival, at_ms)
if session_id then
  if over ~= '' then
    return {0, at_ms}
  end
  end_session(lane, arrival, session_id, 'left', at_ms)
  return {3, at_ms}
end
if number >= line['h' .. lane] then
  if set_bit('gone', lane, number, 1) == 1 then
    return {0, at_ms}
  end
  add('w' .. lane, -1)
  add('cancelled', 1)
  note_gone(lane, segment, 1)
  return {1, at_ms}
end
local grant = grant_of(lane, number)
if not grant or is_set('claimed', lane, number) or set_bit('gone', lane, number, 1) == 1 then
  return {0, at_ms}
end
use_grant(grant)
add('inside', -1)
add('cancelled', 1)
return {2, at_ms}
