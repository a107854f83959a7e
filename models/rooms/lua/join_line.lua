-- Take visitors into the line, in the order given; who is here already keeps the place.
--
-- KEYS[1]  {q:<id>}:room, of which room_keys.lua makes the others
-- ARGV[1]  Unix ms, or 0 for the clock of this server
-- ARGV[2..]  for each arrival its lane and its digest, 8 bytes, '' for one who is nobody known
-- Returns {Unix ms; waiting afterwards; then for each arrival: outcome, lane, number, position}:
-- outcome 1 joined, 0 was here, -1 the line is full, -2 maintenance, -3 closed; the position is 0
-- for one who was here.
local at_ms = clock()
local line = read('line_max', 'heartbeat_timeout_ms', 'peak', 'id_buckets', 'id_count', 'id_cursor',
  'run_id')
if not line then
  return NO_ROOM
end
recover(at_ms)
local heads, tails, waits, floors, starts = {}, {}, {}, {}, {}
local length = 0
for lane = 0, 3 do
  local held = redis.call('HMGET', room, 'h' .. lane, 't' .. lane, 'w' .. lane, 'f' .. lane)
  heads[lane], tails[lane], waits[lane] = tonumber(held[1]), tonumber(held[2]), tonumber(held[3])
  floors[lane], starts[lane] = tonumber(held[4]), tails[lane]
  length = length + waits[lane]
end
local ids = {buckets = line.id_buckets, count = line.id_count, cursor = line.id_cursor}

local function is_kept(value)
  local lane, number = unpack_place(value)
  return is_here(lane, number, at_ms, heads, floors)
end

local function find(digest)
  local value = redis.call('HGET', ids_key(bucket_of(digest, ids.buckets)), digest)
  if value and is_kept(value) then
    return unpack_place(value)
  end
  return nil
end

local function remember(digest, lane, number)
  local is_new = redis.call(
    'HSET', ids_key(bucket_of(digest, ids.buckets)), digest, int(number * 4 + lane))
  ids.count = ids.count + is_new
  tend(ids, is_kept)
end

local function refusal()
  if line.status == 'maintenance' then
    return -2
  end
  if line.status == 'closed' then
    return -3
  end
  if line.line_max > 0 and length >= line.line_max then
    return -1
  end
  return nil
end

-- When somebody joined is known to a quarter of a second or a thousandth of the lane: enough for
-- the mean of the waits, and a thousand marks or some more, however long the lane is.
local function mark_time(lane)
  local marks = prefix .. 'joined:' .. lane
  local last = redis.call('ZRANGE', marks, -1, -1)[1]
  if last then
    local number, last_ms = string.match(last, '^(%d+):(%d+)$')
    local gap = math.max(1, (starts[lane] - heads[lane]) / 1000)
    if at_ms - tonumber(last_ms) < 250 or starts[lane] - tonumber(number) < gap then
      return
    end
  end
  redis.call('ZADD', marks, int(starts[lane]), int(starts[lane]) .. ':' .. int(at_ms))
end

local function beat(lane)
  local from = starts[lane]
  while from < tails[lane] do
    local segment, offset = split(from)
    local to = math.min(tails[lane], (segment + 1) * BITS)
    beats_now(at_ms, line.heartbeat_timeout_ms, lane, segment, function(bits)
      fill(bits, offset, offset + to - from, 1)
    end)
    from = to
  end
end

local answer = {at_ms, 0}
local function answer_one(outcome, lane, number, position)
  local count = #answer
  answer[count + 1], answer[count + 2] = outcome, lane
  answer[count + 3], answer[count + 4] = number, position
end

local function join(lane, digest)
  local number = tails[lane]
  tails[lane], waits[lane], length = number + 1, waits[lane] + 1, length + 1
  if digest ~= '' then
    remember(digest, lane, number)
  end
  local position = 0
  for each = lane, 3 do
    position = position + waits[each]
  end
  answer_one(1, lane, number, position)
end

for index = 2, #ARGV, 2 do
  local lane, digest = tonumber(ARGV[index]), ARGV[index + 1]
  local held_lane, held_number
  if digest ~= '' then
    held_lane, held_number = find(digest)
  end
  local refused = refusal()
  if held_lane then
    answer_one(0, held_lane, held_number, 0)
  elseif refused then
    answer_one(refused, lane, 0, 0)
  else
    join(lane, digest)
  end
end

for lane = 0, 3 do
  if tails[lane] > starts[lane] then
    mark_time(lane)
    beat(lane)
    redis.call('HSET', room, 't' .. lane, int(tails[lane]), 'w' .. lane, int(waits[lane]))
    add('joined' .. lane, tails[lane] - starts[lane])
  end
end
redis.call('HSET', room, 'peak', int(math.max(line.peak, length)), 'id_buckets', int(ids.buckets),
  'id_count', int(ids.count), 'id_cursor', int(ids.cursor))
answer[2] = length
return answer
