-- Changes a slot, if it has not been taken over.
-- KEYS: the fence, then what the changes are about.
-- ARGV: epoch, its nonce, number of the write, owner, seconds for which the fence is kept (0: for ever);
-- then for each command: its name, the index of its key, how many arguments follow, these.
-- Answers nothing, or what the fence says, if that forbids it.
local epoch, nonce, sequence = tonumber(ARGV[1]), ARGV[2], tonumber(ARGV[3])
local fence = redis.call('GET', KEYS[1])
if fence then
  local holder, held, last = string.match(fence, '^(%d+) (%x+) (%d+) ')
  holder = tonumber(holder)
  if not holder or holder > epoch then return fence end
  if holder == epoch and (held ~= nonce or tonumber(last) >= sequence) then return fence end
end
local at = 6
while at <= #ARGV do
  local first = at + 3
  local behind = first + tonumber(ARGV[at + 2])
  redis.call(ARGV[at], KEYS[tonumber(ARGV[at + 1])], unpack(ARGV, first, behind - 1))
  at = behind
end
-- Last, since it needs memory: Redis may be out of it, and removing must work then.
fence = table.concat({ARGV[1], nonce, ARGV[3], ARGV[4]}, ' ')
if ARGV[5] == '0' then
  redis.call('SET', KEYS[1], fence)
else
  redis.call('SET', KEYS[1], fence, 'EX', ARGV[5])
end
return false
