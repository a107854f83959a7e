-- Read who is gone, and why, in spans of numbers.
--
-- KEYS[1]  {q:<id>}:room, of which room_keys.lua makes the others
-- ARGV[1]  Unix ms, or 0 for the clock of this server
-- ARGV[2..]  lane, first number and count of each span
-- Returns {Unix ms; version; for each segment: lane, segment, gone, expired, limbo}. Marks that
-- change later give the room another version.
local at_ms = clock()
local line = read('version')
if not line then
  return NO_ROOM
end
local answer = {at_ms, line.version}
for index = 2, #ARGV, 3 do
  local lane, first, count = tonumber(ARGV[index]), tonumber(ARGV[index + 1]), tonumber(ARGV[index + 2])
  for segment = math.floor(first / BITS), math.floor((first + count - 1) / BITS) do
    answer[#answer + 1] = lane
    answer[#answer + 1] = segment
    for _, kind in ipairs({'gone', 'expired', 'limbo'}) do
      answer[#answer + 1] = redis.call('GET', key(kind, lane, segment)) or ''
    end
  end
end
return answer
