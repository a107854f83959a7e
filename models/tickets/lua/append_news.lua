-- Append the events of one change to the stream, unless they are in it or an earlier one is missing.
--
-- The numbers of a branch's changes have no gaps, so whoever appends sees whether all before are
-- there, and displays get every change once and in order, whichever processes made them.
--
-- KEYS[1]  events:tickets           the stream of all branches
-- KEYS[2]  events:tickets:versions  hash: key of a branch -> number of its last change in the stream
-- ARGV[1]  key of the branch
-- ARGV[2]  number of the change
-- ARGV[3]  1 to append also where numbers before are missing for good, else 0
-- ARGV[4]  entries that the stream keeps, about
-- ARGV[5…] fields of the entry; none for a change of which nobody is told
-- Returns the branch's last number in the stream, 0 if the stream knows none: less than ARGV[2]
-- means that an earlier one is missing.
local last = tonumber(redis.call('HGET', KEYS[2], ARGV[1]) or '0')
local number = tonumber(ARGV[2])
if number <= last then
  return last
end
if number > last + 1 and ARGV[3] == '0' then
  return last
end
if #ARGV > 4 then
  redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[4], '*', unpack(ARGV, 5))
end
redis.call('HSET', KEYS[2], ARGV[1], number)
return number
