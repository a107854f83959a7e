-- Say what a copy of the line needs: its numbers, and the bitmaps that changed since.
--
-- KEYS[1]  {q:<id>}:room, of which room_keys.lua makes the others
-- ARGV[1]  Unix ms, or 0 for the clock of this server
-- ARGV[2]  epoch of the copy, '' for none: another one says that all is sent anew
-- ARGV[3]  version of the copy
-- ARGV[4]  how many segments at most, in the order of their changes
-- Returns {Unix ms; version of what was sent; 1 if that is all, else 0; all fields of the room, name
-- and value in turn; for each segment: lane, segment, gone, expired}.
local at_ms = clock()
local fields = redis.call('HGETALL', room)
if #fields == 0 then
  return NO_ROOM
end
local known, version, segments_max = 0, 0, tonumber(ARGV[4])
for index = 1, #fields, 2 do
  if fields[index] == 'version' then
    version = tonumber(fields[index + 1])
  elseif fields[index] == 'epoch' and fields[index + 1] == ARGV[2] then
    known = tonumber(ARGV[3])
  end
end
local changed = redis.call('ZRANGEBYSCORE', prefix .. 'gone_versions', '(' .. int(known), '+inf',
  'WITHSCORES', 'LIMIT', 0, segments_max)
local segments = {}
for index = 1, #changed, 2 do
  local lane, segment = string.match(changed[index], '^(%d):(%d+)$')
  segments[#segments + 1] = tonumber(lane)
  segments[#segments + 1] = tonumber(segment)
  segments[#segments + 1] = redis.call('GET', key('gone', lane, tonumber(segment))) or ''
  segments[#segments + 1] = redis.call('GET', key('expired', lane, tonumber(segment))) or ''
end
local is_all = 1
if #changed / 2 == segments_max then
  is_all, version = 0, tonumber(changed[#changed])
end
return {at_ms, version, is_all, fields, segments}
