-- What a restart of the store means for a room; stands before scripts that hand out numbers.
--
-- A store that died may have lost its last second: numbers that visitors hold were never given out,
-- as it knows. So the next number jumps to another segment, and those between are in limbo: gone,
-- until somebody presents a signed token for one.
-- Returns nothing: it is no script of its own, and others begin with it.
local HOLD_MS = 7000
local LIMBO_MS = 1800000
-- More than the store can lose: a second of joins.
local LOST_MAX = 16384

-- INFO tells a restart, and a replica that was made master, for some microseconds a script.
local function server_run_id()
  return string.match(redis.call('INFO', 'server'), 'run_id:(%w+)')
end

local function jump(lane)
  local tail = tonumber(redis.call('HGET', room, 't' .. lane))
  local last = math.ceil((tail + LOST_MAX) / BITS)
  for segment = math.floor(tail / BITS), last - 1 do
    local from = math.max(tail - segment * BITS, 0)
    fill(key('gone', lane, segment), from, BITS, 1)
    fill(key('limbo', lane, segment), from, BITS, 1)
    note_gone(lane, segment, BITS - from)
  end
  redis.call('HSET', room, 't' .. lane, int(last * BITS))
end

-- Put a room in order after a restart; say whether there was one. Whoever comes first does it, be it
-- a visitor; `untold` stays until a tick has told of it.
local function recover(at_ms)
  local run_id = server_run_id()
  local known = redis.call('HGET', room, 'run_id')
  if known == run_id then
    return false
  end
  for lane = 0, 3 do
    jump(lane)
  end
  redis.call('HSET', room, 'run_id', run_id, 'epoch', run_id .. ':' .. int(at_ms),
    'hold_until_ms', int(at_ms + HOLD_MS), 'recovered_at_ms', int(at_ms),
    'limbo_until_ms', int(at_ms + LIMBO_MS), 'heard_from_ms', int(at_ms), 'tokens', 0,
    'ticked_at_ms', int(at_ms), 'untold', 1)
  return true
end
