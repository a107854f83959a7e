-- Open a room by its draw: from here on arrivals and numbers in the line are two things.
--
-- KEYS[1]  {q:<id>}:room, of which room_keys.lua makes the others
-- ARGV[1]  Unix ms, or 0 for the clock of this server
-- ARGV[2]  version that the marks were read at
-- ARGV[3]  secret of the draw, in hex
-- ARGV[4]  for lane 0 its first number, ARGV[5] how many are drawn, ARGV[6] its table of rounds; in
--          ARGV[7..15] the same for the other lanes
-- ARGV[16..]  lane, segment, gone, expired and limbo, moved, of each segment with drawn numbers
-- Returns {1 open by this draw or an earlier one, 0 marks changed since they were read; Unix ms}.
local at_ms = clock()
local line = read('version', 'drawn')
if not line then
  return NO_ROOM
end
if line.drawn == 1 then
  return {1, at_ms}
end
if line.version ~= tonumber(ARGV[2]) then
  return {0, at_ms}
end

local function put(bits, text)
  if text == '' then
    redis.call('DEL', bits)
  else
    redis.call('SET', bits, text)
  end
end

for index = 16, #ARGV, 5 do
  local lane, segment = tonumber(ARGV[index]), tonumber(ARGV[index + 1])
  local before = redis.call('BITCOUNT', key('gone', lane, segment))
  for at, kind in ipairs({'gone', 'expired', 'limbo'}) do
    put(key(kind, lane, segment), ARGV[index + 1 + at])
  end
  note_gone(lane, segment, redis.call('BITCOUNT', key('gone', lane, segment)) - before)
end
for lane = 0, 3 do
  local index = 4 + lane * 3
  redis.call('HSET', room, 'drawn_first' .. lane, ARGV[index], 'drawn_count' .. lane, ARGV[index + 1])
  put(prefix .. 'table:' .. lane, ARGV[index + 2])
end
-- Heartbeats so far stand under arrivals: everybody is given the whole time-out from here on.
redis.call('HSET', room, 'drawn', 1, 'draw_secret', ARGV[3], 'drawn_at_ms', int(at_ms),
  'heard_from_ms', int(at_ms))
return {1, at_ms}
