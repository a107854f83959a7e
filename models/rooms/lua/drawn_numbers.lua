-- From the number in a token to the one in the line: they differ where the room was drawn.
--
-- Arrivals keep their numbers. The draw permutes those from `drawn_first<lane>` on, as many as
-- `drawn_count<lane>` says, by a Feistel network over two digits, left + columns * right. What its
-- rounds add lies in table:<lane>, 4 bytes each: for each pair of rounds one for each row (the right
-- digit), then one for each column. draw.py makes the table and says why it is so.
-- Returns nothing: it is no script of its own, and stands before those that take a token's number.
local ROUND_PAIRS = 8
-- So many numbers of a lane cost more by single values than by the whole table.
local MANY = 16
local drawn_lanes = {}

local function drawn_lane(lane)
  if drawn_lanes[lane] == nil then
    local held = redis.call('HMGET', room, 'drawn', 'drawn_first' .. lane, 'drawn_count' .. lane)
    local count = held[1] == '1' and tonumber(held[3]) or 0
    local columns = math.floor(math.sqrt(math.max(count - 1, 0))) + 1
    drawn_lanes[lane] = {first = tonumber(held[2] or 0), count = count, columns = columns,
      rows = math.ceil(count / columns), looked_up = 0}
  end
  return drawn_lanes[lane]
end

local function round_value(lane, drawn, index)
  local bytes
  if drawn.table then
    bytes = string.sub(drawn.table, index * 4 + 1, index * 4 + 4)
  else
    bytes = redis.call('GETRANGE', prefix .. 'table:' .. lane, int(index * 4), int(index * 4 + 3))
  end
  local a, b, c, d = string.byte(bytes, 1, 4)
  return ((a * 256 + b) * 256 + c) * 256 + d
end

local function number_of(lane, arrival)
  local drawn = drawn_lane(lane)
  local number = arrival - drawn.first
  if number < 0 or number >= drawn.count then
    return arrival
  end
  drawn.looked_up = drawn.looked_up + 1
  if drawn.looked_up == MANY then
    drawn.table = redis.call('GET', prefix .. 'table:' .. lane)
  end
  repeat
    local left, right = number % drawn.columns, math.floor(number / drawn.columns)
    for pair = 0, ROUND_PAIRS - 1 do
      local start = pair * (drawn.rows + drawn.columns)
      left = (left + round_value(lane, drawn, start + right)) % drawn.columns
      right = (right + round_value(lane, drawn, start + drawn.rows + left)) % drawn.rows
    end
    number = left + drawn.columns * right
  until number < drawn.count
  return drawn.first + number
end
