-- Tell a room its settings; the first time makes the room.
--
-- KEYS[1]  {q:<id>}:room, of which room_keys.lua makes the others
-- ARGV[1]  Unix ms, or 0 for the clock of this server
-- ARGV[2..]  status, rate_per_s, capacity, line_max, claim_ms, heartbeat_timeout_ms, opens_at_ms,
--            draw (0 or 1), created_at_ms, 1 if the room was made this moment, else 0
-- A room that its database knows and this store does not was lost here, unless it is new: its numbers
-- begin beyond all that were given out, so that no old token meets a new place, and nobody is let in
-- until sessions that are under way had time to be counted again.
-- Returns {1 if the room was made, else 0; Unix ms}.
local at_ms = clock()
local names = {'status', 'rate_per_s', 'capacity', 'line_max', 'claim_ms', 'heartbeat_timeout_ms',
  'opens_at_ms', 'draw'}
local before = redis.call('HMGET', room, 'status', 'heartbeat_timeout_ms')
for index, name in ipairs(names) do
  redis.call('HSET', room, name, ARGV[index + 1])
end
local status, timeout_ms = ARGV[2], ARGV[7]
if before[1] then
  -- Buckets of another width say nothing, and in maintenance nobody need be heard of.
  if before[2] ~= timeout_ms or (before[1] == 'maintenance' and status ~= 'maintenance') then
    redis.call('HSET', room, 'heard_from_ms', int(at_ms))
  end
  return {0, at_ms}
end
local created_at_ms = tonumber(ARGV[10])
local start = 0
if created_at_ms > 0 and ARGV[11] ~= '1' then
  -- A segment for each 100 ms of its life: nobody joins that fast.
  start = math.ceil(math.max(at_ms - created_at_ms, 1) / 100) * BITS
  redis.call('HSET', room, 'lost_below', int(start), 'recovered_at_ms', int(at_ms),
    'hold_until_ms', int(at_ms + HOLD_MS))
end
for lane = 0, 3 do
  redis.call('HSET', room, 'h' .. lane, int(start), 't' .. lane, int(start), 'w' .. lane, 0,
    'f' .. lane, int(start / BITS), 'joined' .. lane, 0)
end
redis.call('HSET', room, 'created_at_ms', int(created_at_ms), 'inside', 0, 'tokens', 0, 'ticked_at_ms', int(at_ms), 'version', 0,
  'heard_from_ms', int(at_ms), 'reaped', 0, 'run_id', server_run_id(),
  'epoch', server_run_id() .. ':' .. int(at_ms), 'id_buckets', 1, 'id_count', 0, 'id_cursor', 0)
return {1, at_ms}
