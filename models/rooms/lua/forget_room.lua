-- Delete a room, some thousand keys a call; from the first call on nobody finds it.
--
-- KEYS[1]  {q:<id>}:room, of which room_keys.lua makes the others
-- ARGV[1]  Unix ms, or 0 for the clock of this server
-- ARGV[2]  Unix ms when the room was made: one of this name that was made at another time stays
-- Returns 1 while there is more to delete, else 0.
local KEYS_MAX = 5000
local left = KEYS_MAX
local grave = prefix .. 'forgotten'
-- What was begun is finished first: its keys would be those of a room that is made again.
if redis.call('EXISTS', grave) == 0 then
  local made_at_ms = redis.call('HMGET', room, 'created_at_ms')[1]
  if redis.call('EXISTS', room) == 0 or (made_at_ms and made_at_ms ~= ARGV[2]) then
    return 0
  end
  redis.call('RENAME', room, grave)
end

local function delete(name)
  redis.call('UNLINK', name)
  left = left - 1
end

local function field(name)
  return tonumber(redis.call('HGET', grave, name) or 0)
end

-- From the top down, so that what is left is told by one number.
local function delete_ids()
  local buckets = field('id_buckets')
  while buckets > 0 and left > 0 do
    buckets = buckets - 1
    delete(prefix .. 'ids:' .. int(buckets))
  end
  redis.call('HSET', grave, 'id_buckets', int(buckets))
end

local function delete_segments(lane)
  local floor, last = field('f' .. lane), math.floor(field('t' .. lane) / BITS)
  while floor <= last and left > 0 do
    for _, kind in ipairs({'gone', 'expired', 'claimed', 'limbo'}) do
      delete(key(kind, lane, floor))
    end
    floor = floor + 1
  end
  redis.call('HSET', grave, 'f' .. lane, int(floor))
end

local function delete_sessions()
  local names = redis.call('ZRANGE', prefix .. 'sessions', 0, math.max(left, 1) - 1)
  for _, name in ipairs(names) do
    local lane, number = string.match(name, '^(%d):(%d+):')
    delete(session_key(lane, tonumber(number)))
    redis.call('ZREM', prefix .. 'sessions', name)
  end
end

delete_ids()
for lane = 0, 3 do
  delete_segments(lane)
end
delete_sessions()
if left <= 0 then
  return 1
end
for lane = 0, 3 do
  delete(prefix .. 'grants:' .. lane)
  delete(prefix .. 'joined:' .. lane)
  delete(prefix .. 'table:' .. lane)
end
for _, name in ipairs({'gone_counts', 'gone_versions', 'grant_deadlines', 'grant_open',
  'session_ids', 'sessions', 'code_uses', 'fading', 'fading_since',
  'forgotten'}) do
  delete(prefix .. name)
end
return 0
