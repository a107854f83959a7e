-- Say exactly where a place stands, and give one in limbo back to who presents it.
--
-- KEYS[1]  {q:<id>}:room, of which room_keys.lua makes the others
-- ARGV[1]  Unix ms, or 0 for the clock of this server
-- ARGV[2]  lane
-- ARGV[3]  number
-- ARGV[4]  1 to take a place out of limbo, 0 to change nothing
-- Returns {state; position, 0 unless waiting; how many wait; Unix ms}: state 1 waits, 2 admitted
-- (may claim, or has claimed), 0 left, -1 expired, -2 never given out.
local at_ms = clock()
local lane, arrival = tonumber(ARGV[2]), tonumber(ARGV[3])
local line = read('h0', 'h1', 'h2', 'h3', 't' .. lane, 'w0', 'w1', 'w2', 'w3', 'f' .. lane,
  'heartbeat_timeout_ms', 'draw', 'drawn')
if not line then
  return NO_ROOM
end
local number = number_of(lane, arrival)
local length = line.w0 + line.w1 + line.w2 + line.w3
local head = line['h' .. lane]

local function bits_between(bits, from, to)
  local text = redis.call('GETRANGE', bits, math.floor(from / 8), math.floor((to - 1) / 8))
  local first, count = math.floor(from / 8) * 8, 0
  for index = 1, #text do
    local byte = string.byte(text, index)
    for place = 0, 7 do
      local offset = first + (index - 1) * 8 + place
      if offset >= from and offset < to and bit.band(byte, bit.rshift(128, place)) ~= 0 then
        count = count + 1
      end
    end
  end
  return count
end

-- The unit BIT of BITCOUNT is of Redis 7: whole bytes are counted there, edges here.
local function gone_in(segment, from, to)
  local bits = key('gone', lane, segment)
  local first, last = math.ceil(from / 8), math.floor(to / 8)
  if first >= last then
    return from < to and bits_between(bits, from, to) or 0
  end
  local count = redis.call('BITCOUNT', bits, first, last - 1)
  if from < first * 8 then
    count = count + bits_between(bits, from, first * 8)
  end
  if to > last * 8 then
    count = count + bits_between(bits, last * 8, to)
  end
  return count
end

local function position()
  if line.draw == 1 and line.drawn ~= 1 then
    -- Any place may yet come out: the last one promises nobody too much.
    local last = 0
    for each = lane, 3 do
      last = last + line['w' .. each]
    end
    return last
  end
  local from_segment, from = split(head)
  local to_segment, to = split(number)
  local ahead = number - head
  if from_segment == to_segment then
    ahead = ahead - gone_in(to_segment, from, to)
  else
    ahead = ahead - gone_in(from_segment, from, BITS) - gone_in(to_segment, 0, to)
    for segment = from_segment + 1, to_segment - 1 do
      local name = lane .. ':' .. int(segment)
      ahead = ahead - tonumber(redis.call('HGET', prefix .. 'gone_counts', name) or 0)
    end
  end
  for each = lane + 1, 3 do
    ahead = ahead + line['w' .. each]
  end
  return ahead + 1
end

local function give_back()
  local segment, offset = split(number)
  set_bit('limbo', lane, number, 0)
  set_bit('gone', lane, number, 0)
  note_gone(lane, segment, -1)
  add('w' .. lane, 1)
  length = length + 1
  beats_now(at_ms, line.heartbeat_timeout_ms, lane, segment, function(bits)
    redis.call('SETBIT', bits, offset, 1)
  end)
end

if number >= line['t' .. lane] then
  return {-2, 0, length, at_ms}
end
local _, _, over = session_of(lane, arrival, at_ms)
if over then
  return {over == '' and 2 or -1, 0, length, at_ms}
end
if number < line['f' .. lane] * BITS then
  return {-1, 0, length, at_ms}
end
local is_limbo = is_set('limbo', lane, number)
if is_limbo and ARGV[4] == '1' and number >= head then
  give_back()
  is_limbo = false
end
if is_limbo then
  -- The head went by meanwhile: whoever presents the place is next, and `claim` lets them in.
  return {number < head and 2 or 0, 0, length, at_ms}
end
if is_set('gone', lane, number) then
  return {is_set('expired', lane, number) and -1 or 0, 0, length, at_ms}
end
if number >= head then
  return {1, position(), length, at_ms}
end
local may_claim = not is_set('claimed', lane, number) and grant_of(lane, number)
return {may_claim and 2 or -1, 0, length, at_ms}
