-- Put messages aside until they are due.
--
-- KEYS  1 delayed, by due time   2 delayed messages
-- ARGV  for each message: its name there, delay (ms), encoded message
-- The first write needs no memory, so that a full server takes them too: see publish.lua.
redis.call('HDEL', KEYS[2], '')
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
for at = 1, #ARGV, 3 do
  redis.call('HSET', KEYS[2], ARGV[at], ARGV[at + 2])
  redis.call('ZADD', KEYS[1], now + ARGV[at + 1], ARGV[at])
end
return #ARGV / 3
