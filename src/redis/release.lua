-- Gives a slot up, if it is still ours: its lease, and the right to write it, so that no late renewal takes it again.
-- KEYS: the fence, the lease. ARGV: epoch, its nonce, the node.
local lease, fence = redis.call('GET', KEYS[2]), redis.call('GET', KEYS[1])
if lease and lease ~= table.concat({ARGV[1], ARGV[2], ARGV[3]}, ' ') then return false end
redis.call('UNLINK', KEYS[2])
local epoch, nonce, rest = string.match(fence or '', '^(%d+) (%x+) (.*)$')
if epoch == ARGV[1] and nonce == ARGV[2] then
  redis.call('SET', KEYS[1], table.concat({epoch, '0', rest}, ' '), 'KEEPTTL')
end
return false
