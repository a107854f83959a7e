-- Put a room in order after a restart of the store, if there was one.
--
-- KEYS[1]  {q:<id>}:room, of which room_keys.lua makes the others
-- ARGV[1]  Unix ms, or 0 for the clock of this server
-- Returns {1 if there was one, else 0; Unix ms}.
local at_ms = clock()
if not read() then
  return NO_ROOM
end
return {recover(at_ms) and 1 or 0, at_ms}
