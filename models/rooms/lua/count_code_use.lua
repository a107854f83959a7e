-- Count a place that a code gave, while it is good for one more.
--
-- KEYS[1]  {q:<id>}:room, of which room_keys.lua makes the others
-- ARGV[1]  Unix ms, or 0 for the clock of this server
-- ARGV[2]  serial of the code
-- ARGV[3]  for how many places it is good
-- Returns {1 counted, 0 used up; Unix ms}.
local at_ms = clock()
if not read() then
  return NO_ROOM
end
if redis.call('HINCRBY', prefix .. 'code_uses', ARGV[2], 1) > tonumber(ARGV[3]) then
  redis.call('HINCRBY', prefix .. 'code_uses', ARGV[2], -1)
  return {0, at_ms}
end
return {1, at_ms}
