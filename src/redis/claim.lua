-- Takes a slot over.
-- KEYS: the fence. ARGV: the new holder's nonce and name.
-- Answers the new epoch.
local fence = redis.call('GET', KEYS[1])
local epoch = 1
if fence then epoch = tonumber(string.match(fence, '^%d+')) + 1 end
redis.call('SET', KEYS[1], table.concat({string.format('%.0f', epoch), ARGV[1], '0', ARGV[2]}, ' '))
return epoch
