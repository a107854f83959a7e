-- Let the next visitors in: as many as the rate and the free slots allow, higher lanes first.
--
-- Slots of sessions that ended, and of visitors who did not come in time, come back first. Late,
-- doubled and missing ticks change nothing: the bucket of tokens is in the room.
--
-- KEYS[1]  {q:<id>}:room, of which room_keys.lua makes the others
-- ARGV[1]  Unix ms, or 0 for the clock of this server
-- Returns {Unix ms; admitted; inside; waiting; no-shows; whether the store was restarted and no tick
-- told of it yet, 0 or 1;
-- a list of lane, from, to, count for each span of numbers admitted; ids of sessions that ended}.
local ENDED_MAX = 1000
local OVERDUE_MAX = 500
local ADMITTED_MAX = 100000
local FORGOTTEN_MAX = 16
local BURST_S = 2
local CHUNK = 1024  -- bytes of a bitmap looked at in one go
local at_ms = clock()
if not read() then
  return NO_ROOM
end
recover(at_ms)
local line = read('rate_per_s', 'capacity', 'claim_ms', 'opens_at_ms', 'draw', 'drawn', 'tokens',
  'ticked_at_ms', 'hold_until_ms', 'limbo_until_ms', 'inside', 'h0', 'h1', 'h2', 'h3', 't0', 't1',
  't2', 't3', 'w0', 'w1', 'w2', 'w3', 'f0', 'f1', 'f2', 'f3', 'untold')
local is_restarted = line.untold == 1
if is_restarted then
  redis.call('HDEL', room, 'untold')
end

local function end_sessions()
  local names = redis.call(
    'ZRANGEBYSCORE', prefix .. 'sessions', '-inf', int(at_ms), 'LIMIT', 0, ENDED_MAX)
  local ended = {}
  for index, name in ipairs(names) do
    ended[index] = string.match(name, '^%d:%d+:(.*)$')
  end
  if #names > 0 then
    redis.call('ZREM', prefix .. 'sessions', unpack(names))
    redis.call('HDEL', prefix .. 'session_ids', unpack(ended))
    add('inside', -#names)
    add('ended', #names)
  end
  return ended
end

local function drop_overdue()
  local grants = redis.call(
    'ZRANGEBYSCORE', prefix .. 'grant_deadlines', '-inf', int(at_ms), 'LIMIT', 0, OVERDUE_MAX)
  local slots = 0
  for _, grant in ipairs(grants) do
    slots = slots + tonumber(redis.call('HGET', prefix .. 'grant_open', grant) or 0)
    drop_grant(grant)
  end
  if slots > 0 then
    add('inside', -slots)
    add('no_shows', slots)
  end
  return slots
end

-- Go from `head` over `needed` who wait; return where that ends and how many were still needed.
local function pass(lane, head, tail, needed)
  while needed > 0 and head < tail do
    local segment, offset = split(head)
    local stop = math.min(BITS, tail - segment * BITS)
    local first, last = math.floor(offset / 8), math.floor((stop - 1) / 8)
    local chunk_last = math.min(last, first + CHUNK - 1)
    local gone = redis.call('GETRANGE', key('gone', lane, segment), first, chunk_last)
    if #gone == 0 then
      -- Nobody is gone from here to the end of the segment.
      local step = math.min(needed, stop - offset)
      head, needed = head + step, needed - step
    end
    for index = 1, #gone > 0 and chunk_last - first + 1 or 0 do
      local byte = string.byte(gone, index) or 0
      local from, to = 0, 8
      if index == 1 then
        from = offset % 8
      end
      if first + index - 1 == last then
        to = (stop - 1) % 8 + 1
      end
      if byte == 255 then
        head = head + to - from
      elseif byte == 0 and needed >= to - from then
        head, needed = head + to - from, needed - (to - from)
      else
        for place = from, to - 1 do
          if needed == 0 then
            break
          end
          if bit.band(byte, bit.rshift(128, place)) == 0 then
            needed = needed - 1
          end
          head = head + 1
        end
      end
      if needed == 0 then
        break
      end
    end
  end
  return head, needed
end

-- Sum up how long `count` visitors of [from, to) waited, by the marks that joins left.
local function note_waits(lane, from, to, count)
  local marks = prefix .. 'joined:' .. lane
  local first = redis.call('ZREVRANGEBYSCORE', marks, int(from), '-inf', 'LIMIT', 0, 1)[1]
  local inner = redis.call('ZRANGEBYSCORE', marks, '(' .. int(from), '(' .. int(to))
  local joined_ms = at_ms
  if first then
    joined_ms = tonumber(string.match(first, ':(%d+)$'))
  end
  local sum_ms, at = 0, from
  for _, mark in ipairs(inner) do
    local number, ms = string.match(mark, '^(%d+):(%d+)$')
    sum_ms = sum_ms + (tonumber(number) - at) * math.max(at_ms - joined_ms, 0)
    at, joined_ms = tonumber(number), tonumber(ms)
  end
  sum_ms = sum_ms + (to - at) * math.max(at_ms - joined_ms, 0)
  add('waits_ms', math.floor(sum_ms / (to - from) * count + 0.5))
end

-- The last mark at or below the head is still that of who comes next.
local function drop_marks(lane, head)
  local marks = prefix .. 'joined:' .. lane
  local kept = redis.call('ZREVRANGEBYSCORE', marks, int(head), '-inf', 'LIMIT', 0, 1)[1]
  if kept then
    redis.call('ZREMRANGEBYSCORE', marks, '-inf', '(' .. string.match(kept, '^%d+'))
  end
end

-- Segments behind the head go once no slot is kept for anybody in them.
local function forget_segments(lane, head)
  local floor = line['f' .. lane]
  local last = math.floor(head / BITS)
  local grant = redis.call('ZRANGE', prefix .. 'grants:' .. lane, 0, 0)[1]
  if grant then
    last = math.min(last, math.floor(tonumber(string.match(grant, ':(%d+):')) / BITS))
  end
  if at_ms < line.limbo_until_ms then
    return
  end
  last = math.min(last, floor + FORGOTTEN_MAX)
  if last <= floor then
    return
  end
  for segment = floor, last - 1 do
    local name = lane .. ':' .. int(segment)
    redis.call('UNLINK', key('gone', lane, segment), key('expired', lane, segment),
      key('claimed', lane, segment), key('limbo', lane, segment))
    redis.call('HDEL', prefix .. 'gone_counts', name)
    redis.call('ZREM', prefix .. 'gone_versions', name)
  end
  redis.call('HSET', room, 'f' .. lane, int(last))
end

local grants = {}
local function admit(lane, needed)
  local from, waits = line['h' .. lane], line['w' .. lane]
  local to, missing = pass(lane, from, line['t' .. lane], math.min(needed, waits))
  local count = math.min(needed, waits) - missing
  local grant = lane .. ':' .. int(from) .. ':' .. int(to)
  redis.call('ZADD', prefix .. 'grants:' .. lane, int(to), grant)
  redis.call('ZADD', prefix .. 'grant_deadlines', int(at_ms + line.claim_ms), grant)
  redis.call('HSET', prefix .. 'grant_open', grant, int(count))
  redis.call('HSET', room, 'h' .. lane, int(to), 'w' .. lane, int(waits - count))
  line['h' .. lane], line['w' .. lane] = to, waits - count
  note_waits(lane, from, to, count)
  drop_marks(lane, to)
  for _, each in ipairs({lane, from, to, count}) do
    grants[#grants + 1] = each
  end
  return count
end

local ended = end_sessions()
local no_shows = drop_overdue()
local inside = line.inside - #ended - no_shows
local is_open = line.status == 'active' and at_ms >= line.hold_until_ms
  and at_ms >= line.opens_at_ms and (line.draw == 0 or line.drawn == 1)
local tokens = 0
if is_open then
  -- A clock that was put back pays nothing, and its next tick pays from there on.
  local earned = line.rate_per_s * math.max(at_ms - line.ticked_at_ms, 0) / 1000
  tokens = math.min(math.max(line.rate_per_s * BURST_S, 1), line.tokens + earned)
end
local needed = math.min(math.floor(tokens + 1e-9), line.capacity - inside, ADMITTED_MAX)
local admitted = 0
for lane = 3, 0, -1 do
  if needed > admitted and line['w' .. lane] > 0 then
    admitted = admitted + admit(lane, needed - admitted)
  end
  if line['w' .. lane] == 0 and line['h' .. lane] < line['t' .. lane]
    and at_ms >= line.limbo_until_ms then
    -- All who are left in this lane are gone: the head need not look at them again.
    line['h' .. lane] = line['t' .. lane]
    redis.call('HSET', room, 'h' .. lane, int(line['h' .. lane]))
    drop_marks(lane, line['h' .. lane])
  end
  forget_segments(lane, line['h' .. lane])
end
if admitted > 0 then
  add('admitted', admitted)
  add('inside', admitted)
end
redis.call('HSET', room, 'tokens', string.format('%.6f', tokens - admitted),
  'ticked_at_ms', int(at_ms))
local waiting = line.w0 + line.w1 + line.w2 + line.w3
return {at_ms, admitted, inside + admitted, waiting, no_shows, is_restarted and 1 or 0, grants,
  ended}
