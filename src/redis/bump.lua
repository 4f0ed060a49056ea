-- Raises the revision of the settings, and answers it.
-- KEYS: the revision.
local time = redis.call('TIME')
-- By the clock, at least: a fail-over that forgot some revisions does not make later ones lower than those.
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local revision = math.max(now, tonumber(redis.call('GET', KEYS[1]) or 0) + 1)
redis.call('SET', KEYS[1], string.format('%.0f', revision))
return revision
