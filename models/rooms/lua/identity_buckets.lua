-- Who a visitor is: digests in hashes of some fifty, which the store keeps as one piece of memory.
--
-- The hashes are split one by one as they fill (linear hashing), and those of visitors who are not
-- here any more are dropped before a hash is split, so that they do not pile up.
-- Returns nothing: it is no script of its own, and others begin with it.
local IDS_EACH = 48

-- The largest power of two that is not larger.
local function power_below(number)
  local power = 1
  while power * 2 <= number do
    power = power * 2
  end
  return power
end

local function hash_of(digest)
  local a, b, c, d = string.byte(digest, 1, 4)
  return ((a * 256 + b) * 256 + c) * 256 + d
end

local function bucket_of(digest, buckets)
  local power = power_below(buckets)
  local bucket = hash_of(digest) % (power * 2)
  if bucket >= buckets then
    bucket = bucket - power
  end
  return bucket
end

local function ids_key(bucket)
  return prefix .. 'ids:' .. int(bucket)
end

-- Say whether a visitor still has a place: waits, has a slot kept, or is inside.
local function is_here(lane, arrival, at_ms, heads, floors)
  local number = number_of(lane, arrival)
  if number >= heads[lane] then
    return not is_set('gone', lane, number)
  end
  local _, _, over = session_of(lane, arrival, at_ms)
  if over then
    return over == ''
  end
  if number < floors[lane] * BITS or is_set('gone', lane, number) then
    return false
  end
  return not is_set('claimed', lane, number) and grant_of(lane, number) ~= nil
end

local function unpack_place(value)
  local lane = tonumber(value) % 4
  return lane, (tonumber(value) - lane) / 4
end

-- Drop from a bucket who is not here any more, and return what stays, as names and values.
local function prune(bucket, is_kept)
  local held = redis.call('HGETALL', ids_key(bucket))
  local kept = {}
  for index = 1, #held, 2 do
    if is_kept(held[index + 1]) then
      kept[#kept + 1] = held[index]
      kept[#kept + 1] = held[index + 1]
    else
      redis.call('HDEL', ids_key(bucket), held[index])
    end
  end
  return kept, (#held - #kept) / 2
end

-- Make one more bucket and move there what belongs there.
local function split_bucket(buckets)
  local source = buckets - power_below(buckets)
  local held = redis.call('HGETALL', ids_key(source))
  for index = 1, #held, 2 do
    if bucket_of(held[index], buckets + 1) == buckets then
      redis.call('HSET', ids_key(buckets), held[index], held[index + 1])
      redis.call('HDEL', ids_key(source), held[index])
    end
  end
end

-- Keep the buckets small after one more came in; at most two of them are looked at.
local function tend(ids, is_kept)
  if ids.count <= ids.buckets * IDS_EACH then
    return
  end
  local kept, dropped = prune(ids.cursor, is_kept)
  ids.count = ids.count - dropped
  ids.cursor = (ids.cursor + 1) % ids.buckets
  if dropped * 2 < #kept / 2 then
    split_bucket(ids.buckets)
    ids.buckets = ids.buckets + 1
  end
end
