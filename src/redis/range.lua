-- Reads a part of a table in order.
-- KEYS: the table's keys, its values. ARGV: from, to (both as ZRANGE BYLEX wants them), 'REV' or nothing, limit.
-- Answers keys and values in turn.
local keys
if ARGV[3] == 'REV' then
  keys = redis.call('ZRANGE', KEYS[1], ARGV[2], ARGV[1], 'BYLEX', 'REV', 'LIMIT', 0, ARGV[4])
else
  keys = redis.call('ZRANGE', KEYS[1], ARGV[1], ARGV[2], 'BYLEX', 'LIMIT', 0, ARGV[4])
end
local rows = {}
for first = 1, #keys, 1000 do
  local last = math.min(first + 999, #keys)
  local values = redis.call('HMGET', KEYS[2], unpack(keys, first, last))
  for i = 1, #values do
    rows[#rows + 1] = keys[first + i - 1]
    rows[#rows + 1] = values[i]
  end
end
return rows
