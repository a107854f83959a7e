-- List sessions that are under way, those that end first first; or find the place of one.
--
-- KEYS[1]  {q:<id>}:room, of which room_keys.lua makes the others
-- ARGV[1]  Unix ms, or 0 for the clock of this server
-- ARGV[2]  how many to pass over
-- ARGV[3]  how many at most
-- ARGV[4]  id of the one to find, or ''
-- Returns {Unix ms; how many there are; for each: lane, number, id, began, ends, last seen, views}.
local at_ms = clock()
if not read() then
  return NO_ROOM
end
local names = {}
if ARGV[4] ~= '' then
  local place = redis.call('HGET', prefix .. 'session_ids', ARGV[4])
  names = place and {place .. ':' .. ARGV[4]} or {}
else
  names = redis.call(
    'ZRANGEBYSCORE', prefix .. 'sessions', '(' .. int(at_ms), '+inf', 'LIMIT', ARGV[2], ARGV[3])
end
local answer = {at_ms, redis.call('ZCOUNT', prefix .. 'sessions', '(' .. int(at_ms), '+inf')}
for _, name in ipairs(names) do
  local lane, number, session_id = string.match(name, '^(%d):(%d+):(.*)$')
  local held = redis.call('HMGET', session_key(lane, tonumber(number)), 'began_at_ms', 'ends_at_ms',
    'seen_at_ms', 'views')
  local facts = {tonumber(lane), tonumber(number), session_id, tonumber(held[1]),
    tonumber(held[2]), tonumber(held[3]), tonumber(held[4])}
  for _, fact in ipairs(facts) do
    answer[#answer + 1] = fact
  end
end
return answer
