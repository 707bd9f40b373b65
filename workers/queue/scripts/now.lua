-- The clock of the server that holds a queue.
--
-- KEYS  1 stream
-- Returns ms since the epoch.
local time = redis.call('TIME')
return time[1] * 1000 + math.floor(time[2] / 1000)
