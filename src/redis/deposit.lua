-- Leaves messages for the holder of a slot.
-- KEYS: the deposits' order and rows, the ids' order and rows. ARGV: most deposits, where it is said that there are some,
-- the slot's name; then for each message: its key among the deposits, itself, its id, its place, another key that leads to its id ('': none).
-- Answers nothing, or how many deposits there are, if these would be too many.
local there = redis.call('ZCARD', KEYS[1])
if there + (#ARGV - 3) / 5 > tonumber(ARGV[1]) then return there end
for i = 4, #ARGV, 5 do
  -- What was left by an earlier attempt may have been taken since.
  if redis.call('HEXISTS', KEYS[4], ARGV[i + 2]) == 0 then
    redis.call('HSET', KEYS[2], ARGV[i], ARGV[i + 1])
    redis.call('ZADD', KEYS[1], 0, ARGV[i])
    redis.call('HSET', KEYS[4], ARGV[i + 2], ARGV[i + 3])
    redis.call('ZADD', KEYS[3], 0, ARGV[i + 2])
    if ARGV[i + 4] ~= '' then
      redis.call('HSET', KEYS[4], ARGV[i + 4], ARGV[i + 2])
      redis.call('ZADD', KEYS[3], 0, ARGV[i + 4])
    end
  end
end
if there == 0 then redis.call('PUBLISH', ARGV[2], ARGV[3]) end
return false
