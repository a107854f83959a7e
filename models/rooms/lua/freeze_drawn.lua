-- Fix which arrivals are drawn: all who wait when the room's opening has come. A repeat finds them
-- fixed; who joins from here on stands behind them.
--
-- KEYS[1]  {q:<id>}:room, of which room_keys.lua makes the others
-- ARGV[1]  Unix ms, or 0 for the clock of this server
-- Returns {state; Unix ms; first number and count of lane 0, 1, 2, 3}: state 1 fixed, 2 drawn
-- already, 0 there is no draw or it is not time, and then all are 0.
local at_ms = clock()
local line = read('opens_at_ms', 'draw', 'drawn', 'h0', 'h1', 'h2', 'h3', 't0', 't1', 't2', 't3')
if not line then
  return NO_ROOM
end
if line.drawn ~= 1 and (line.draw ~= 1 or at_ms < line.opens_at_ms) then
  return {0, at_ms, 0, 0, 0, 0, 0, 0, 0, 0}
end
local answer = {line.drawn == 1 and 2 or 1, at_ms}
for lane = 0, 3 do
  local head, tail = line['h' .. lane], line['t' .. lane]
  redis.call('HSETNX', room, 'drawn_first' .. lane, int(head))
  redis.call('HSETNX', room, 'drawn_count' .. lane, int(tail - head))
  local held = redis.call('HMGET', room, 'drawn_first' .. lane, 'drawn_count' .. lane)
  answer[#answer + 1], answer[#answer + 2] = tonumber(held[1]), tonumber(held[2])
end
return answer
