-- What every script of a room begins with: its keys, its clock, bits in segments.
--
-- KEYS[1]  {q:<id>}:room  hash: settings; h0..h3, t0..t3, w0..w3 and f0..f3 by lane (the head, which
--          is the lowest number not yet passed; the next number; how many wait; the lowest segment
--          kept); `inside` (sessions and reserved slots); the token bucket; counters
-- ARGV[1]  Unix ms, or 0 for the clock of this server, which all processes share
-- Every other key is made from KEYS[1] and has its hash tag, so one room is one slot of a cluster:
--   gone, expired, claimed, limbo :<lane>:<segment>     bitmaps of 65,536 numbers, 8 KiB at most
--   beats:<width>:<bucket>:<lane>:<segment>             bitmap: who was heard of, goes by itself
--   gone_counts, gone_versions                          hash, sorted set: <lane>:<segment>
--   grants:<lane>                                       sorted set: <lane>:<from>:<to> by its end
--   grant_deadlines, grant_open                         sorted set, hash: when it ends, its slots
--   joined:<lane>                                       sorted set: <number>:<ms> by number
--   ids:<bucket>                                        hash: digest of a visitor -> number, lane
--   table:<lane>                                        string: the permutation of the draw
--   fading, fading_since                                sorted set, hash: <lane>:<number>
--   code_uses                                           hash: serial of a code -> places it gave
--   sessions, session_ids, session:<lane>:<number>      sorted set by end, hash, hash
-- Returns nothing: it is no script of its own, and all begin with it.
local BITS = 65536
local BYTES = 8192
local room = KEYS[1]
local prefix = string.sub(room, 1, -5)
local NO_ROOM = redis.error_reply('NOROOM the store does not know this room')

-- As text, since Lua writes large numbers with an exponent.
local function int(number)
  return string.format('%.0f', number)
end

local function key(kind, lane, segment)
  return prefix .. kind .. ':' .. lane .. ':' .. int(segment)
end

local function clock()
  local at_ms = tonumber(ARGV[1])
  if at_ms == 0 then
    local time = redis.call('TIME')
    at_ms = time[1] * 1000 + math.floor(time[2] / 1000)
  end
  return at_ms
end

-- Fields of the room by name, as numbers where they are numbers; nil when there is no room.
local function read(...)
  local values = redis.call('HMGET', room, 'status', ...)
  if not values[1] then
    return nil
  end
  local fields = {status = values[1]}
  for index, name in ipairs({...}) do
    local value = values[index + 1]
    fields[name] = tonumber(value or 0) or value
  end
  return fields
end

local function add(name, by)
  return redis.call('HINCRBY', room, name, int(by))
end

local function split(number)
  return math.floor(number / BITS), number % BITS
end

local function is_set(kind, lane, number)
  local segment, offset = split(number)
  return redis.call('GETBIT', key(kind, lane, segment), offset) == 1
end

local function set_bit(kind, lane, number, bit)
  local segment, offset = split(number)
  return redis.call('SETBIT', key(kind, lane, segment), offset, bit)
end

-- Make all bits of [from, to) one or zero; three commands at most, whatever the span.
local function fill(bits, from, to, bit)
  local function put(offset, count)
    redis.call('BITFIELD', bits, 'SET', 'u' .. count, offset, bit == 1 and 2 ^ count - 1 or 0)
  end
  local first, last = math.ceil(from / 8), math.floor(to / 8)
  if first > last then
    put(from, to - from)
    return
  end
  if first * 8 > from then
    put(from, first * 8 - from)
  end
  if last > first then
    redis.call('SETRANGE', bits, first, string.rep(bit == 1 and '\255' or '\0', last - first))
  end
  if to > last * 8 then
    put(last * 8, to - last * 8)
  end
end

-- Note how many more are gone in a segment, so that copies of it elsewhere are brought up to date.
local function note_gone(lane, segment, count)
  local name = lane .. ':' .. int(segment)
  redis.call('HINCRBY', prefix .. 'gone_counts', name, int(count))
  redis.call('ZADD', prefix .. 'gone_versions', add('version', 1), name)
end

-- A twelfth of the time-out, within bounds: the coarser, the fewer bitmaps a reaping reads.
local function beat_width_ms(timeout_ms)
  return math.min(5000, math.max(100, math.floor(timeout_ms / 12)))
end

local function beat_key(width_ms, bucket, lane, segment)
  return prefix .. 'beats:' .. int(width_ms) .. ':' .. int(bucket) .. ':' .. lane .. ':' .. int(segment)
end

-- So many buckets before the present one make up the time-out.
local function beat_span(timeout_ms)
  return math.ceil(timeout_ms / beat_width_ms(timeout_ms))
end

-- The bitmap of those heard of now; lives on until it counts for nobody.
local function beats_now(at_ms, timeout_ms, lane, segment, write)
  local width_ms = beat_width_ms(timeout_ms)
  local bits = beat_key(width_ms, math.floor(at_ms / width_ms), lane, segment)
  write(bits)
  redis.call('PEXPIRE', bits, int((beat_span(timeout_ms) + 2) * width_ms))
  if at_ms > tonumber(redis.call('HGET', room, 'heard_to_ms') or 0) then
    redis.call('HSET', room, 'heard_to_ms', int(at_ms))
  end
end

-- The grant that holds a slot for a number, while the slot is not taken and the time not over.
local function grant_of(lane, number)
  local grant = redis.call(
    'ZRANGEBYSCORE', prefix .. 'grants:' .. lane, '(' .. int(number), '+inf', 'LIMIT', 0, 1)[1]
  if grant and tonumber(string.match(grant, ':(%d+):')) <= number then
    return grant
  end
  return nil
end

local function drop_grant(grant)
  local lane = string.match(grant, '^%d')
  redis.call('ZREM', prefix .. 'grants:' .. lane, grant)
  redis.call('ZREM', prefix .. 'grant_deadlines', grant)
  redis.call('HDEL', prefix .. 'grant_open', grant)
end

-- One slot of a grant is taken or given back.
local function use_grant(grant)
  if redis.call('HINCRBY', prefix .. 'grant_open', grant, -1) <= 0 then
    drop_grant(grant)
  end
end

local function session_key(lane, number)
  return prefix .. 'session:' .. lane .. ':' .. int(number)
end

local function session_name(lane, number, session_id)
  return lane .. ':' .. int(number) .. ':' .. session_id
end

-- The session of a place: id, when it ends, and why it is over, '' while it is not; or nil.
local function session_of(lane, number, at_ms)
  local held = redis.call('HMGET', session_key(lane, number), 'id', 'ends_at_ms', 'over')
  if not held[1] then
    return nil
  end
  local over = held[3] or ''
  if over == '' and tonumber(held[2]) <= at_ms then
    over = 'expired'
  end
  return held[1], tonumber(held[2]), over
end
