-- Takes a slot, if nobody has its lease.
-- KEYS: the fence, the lease. ARGV: the new holder's nonce, its node, milliseconds.
-- Answers the new epoch; or 0, the node that has the lease, and for how many milliseconds.
local lease = redis.call('GET', KEYS[2])
if lease then
  local epoch, nonce, node = string.match(lease, '^(%d+) (%x+) (.*)$')
  if nonce == ARGV[1] then
    -- It was taken by this call, whose answer was lost.
    redis.call('PEXPIRE', KEYS[2], ARGV[3])
    return {tonumber(epoch), '', 0}
  end
  if node ~= ARGV[2] then return {0, node or lease, redis.call('PTTL', KEYS[2])} end
end
-- By the clock, at least: a fail-over that forgot some epochs does not make later ones lower than those.
local time = redis.call('TIME')
local epoch = time[1] * 1000 + math.floor(time[2] / 1000)
local fence = redis.call('GET', KEYS[1])
if fence then epoch = math.max(epoch, tonumber(string.match(fence, '^%d+')) + 1) end
local number = string.format('%.0f', epoch)
-- Redis lets a script go on when its memory is full, if it begins with a removal.
redis.call('UNLINK', KEYS[2])
redis.call('SET', KEYS[1], table.concat({number, ARGV[1], '0', ARGV[2]}, ' '))
redis.call('SET', KEYS[2], table.concat({number, ARGV[1], ARGV[2]}, ' '), 'PX', ARGV[3])
return {epoch, '', 0}
