-- Says that a node is there, and forgets those that have not said so for a while.
-- KEYS: the nodes, the revision of the settings. ARGV: the node's id, what it says, milliseconds.
-- Answers the revision, and what every node that is there says.
local time = redis.call('TIME')
local now, kept = time[1] * 1000 + math.floor(time[2] / 1000), tonumber(ARGV[3])
-- Redis lets a script go on when its memory is full, if it begins with a removal.
redis.call('HDEL', KEYS[1], ARGV[1])
local function write(id, said)
  redis.call('HSET', KEYS[1], id, table.concat({string.format('%.0f', now), said}, ' '))
end
local nodes, there = redis.call('HGETALL', KEYS[1]), {ARGV[2]}
for i = 1, #nodes, 2 do
  local heard, said = string.match(nodes[i + 1], '^(%d+) (.*)$')
  heard = tonumber(heard) or 0
  if heard + kept <= now then
    redis.call('HDEL', KEYS[1], nodes[i])
  else
    -- A clock that was set back, or that of another server.
    if heard > now then write(nodes[i], said) end
    there[#there + 1] = said
  end
end
write(ARGV[1], ARGV[2])
return {tonumber(redis.call('GET', KEYS[2]) or 0), there}
