-- Count one request against a limit, unless the limit is reached: a refused one is not counted.
--
-- KEYS[1]  limit:<name>:<subject>  hash: w = number of the window, n = requests counted in it
-- ARGV[1]  requests allowed in a window
-- ARGV[2]  length of a window, ms; windows begin at its multiples
-- ARGV[3]  Unix ms, or 0 for the clock of this server, which all processes share
-- Returns {1 if the request may go on, else 0; requests left; end of the window, Unix ms}.
local now_ms = tonumber(ARGV[3])
if now_ms == 0 then
  local time = redis.call('TIME')
  now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
end
local window_ms = tonumber(ARGV[2])
local window = math.floor(now_ms / window_ms)
local ends_at_ms = (window + 1) * window_ms
local held = redis.call('HMGET', KEYS[1], 'w', 'n')
local count = 0
if tonumber(held[1]) == window then
  count = tonumber(held[2])
end
local left = tonumber(ARGV[1]) - count
if left <= 0 then
  return {0, 0, ends_at_ms}
end
redis.call('HSET', KEYS[1], 'w', window, 'n', count + 1)
redis.call('PEXPIRE', KEYS[1], ends_at_ms - now_ms)
return {1, left - 1, ends_at_ms}
