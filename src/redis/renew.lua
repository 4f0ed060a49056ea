-- Renews a lease, or takes it again when it has lapsed or was forgotten, and nobody has taken the slot meanwhile.
-- KEYS: the fence, the lease. ARGV: epoch, its nonce, the node, milliseconds.
-- Answers nothing, or which node has the slot.
local ours = table.concat({ARGV[1], ARGV[2], ARGV[3]}, ' ')
local lease = redis.call('GET', KEYS[2])
if lease and lease ~= ours then return string.match(lease, '^%d+ %x+ (.*)$') or lease end
local epoch, fence = tonumber(ARGV[1]), redis.call('GET', KEYS[1])
local known = false
if fence then
  local holder, nonce, node = string.match(fence, '^(%d+) (%x+) %d+ (.*)$')
  holder = tonumber(holder)
  if not holder then return fence end
  known = holder == epoch and nonce == ARGV[2]
  if holder >= epoch and not known then return node end
end
if lease then
  redis.call('PEXPIRE', KEYS[2], ARGV[4])
  return false
end
-- Redis lets a script go on when its memory is full, if it begins with a removal.
redis.call('UNLINK', KEYS[2])
redis.call('SET', KEYS[2], ours, 'PX', ARGV[4])
-- A fail-over forgot it: whoever takes the slot next is to be told of us.
if not known then redis.call('SET', KEYS[1], table.concat({ARGV[1], ARGV[2], '0', ARGV[3]}, ' ')) end
return false
