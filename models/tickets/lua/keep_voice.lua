-- Keep what was spoken for displays that ask for it, and no more than so many: the oldest go.
--
-- KEYS[1]  tickets:voices          sorted set: key of what was spoken -> when, Unix ms
-- KEYS[2]  tickets:voices:<digest> what was spoken, as WAV
-- ARGV[1]  the WAV
-- ARGV[2]  how long it is kept, ms
-- ARGV[3]  now, Unix ms
-- ARGV[4]  how many are kept at most
-- Returns how many had to go.
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', tonumber(ARGV[3]) - tonumber(ARGV[2]))
redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[2])
redis.call('ZADD', KEYS[1], ARGV[3], KEYS[2])
local beyond = redis.call('ZCARD', KEYS[1]) - tonumber(ARGV[4])
if beyond <= 0 then
  return 0
end
local oldest = redis.call('ZRANGE', KEYS[1], 0, beyond - 1)
redis.call('UNLINK', unpack(oldest))
redis.call('ZREM', KEYS[1], unpack(oldest))
return beyond
