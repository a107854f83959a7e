-- Note that visitors were heard of.
--
-- KEYS[1]  {q:<id>}:room, of which room_keys.lua makes the others
-- ARGV[1]  Unix ms, or 0 for the clock of this server
-- ARGV[2..]  lane and number of each
-- Returns Unix ms. A number that was not given out yet is passed over.
local OPERATIONS_MAX = 500  -- in one BITFIELD: far below what `unpack` takes
local at_ms = clock()
local line = read('heartbeat_timeout_ms', 't0', 't1', 't2', 't3')
if not line then
  return NO_ROOM
end
local operations = {}
local function send(lane, segment)
  local name = lane .. ':' .. int(segment)
  beats_now(at_ms, line.heartbeat_timeout_ms, lane, segment, function(bits)
    redis.call('BITFIELD', bits, unpack(operations[name]))
  end)
  operations[name] = nil
end

local pending = {}
for index = 2, #ARGV, 2 do
  local lane, number = tonumber(ARGV[index]), tonumber(ARGV[index + 1])
  if number < line['t' .. lane] then
    local segment, offset = split(number_of(lane, number))
    local name = lane .. ':' .. int(segment)
    local list = operations[name] or {}
    operations[name], pending[name] = list, {lane, segment}
    local count = #list
    list[count + 1], list[count + 2], list[count + 3], list[count + 4] = 'SET', 'u1', offset, 1
    if count + 4 >= OPERATIONS_MAX * 4 then
      send(lane, segment)
    end
  end
end
for name, at in pairs(pending) do
  if operations[name] then
    send(at[1], at[2])
  end
end
return at_ms
