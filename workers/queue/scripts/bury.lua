-- Make one message a dead letter: fenced like settle.lua.
--
-- KEYS  1 stream   2 dead, by time   3 letters   4 counts   5.. indexes: by actor, reason, fingerprint   8 ledger
-- ARGV  1 this consumer   2 entry id   3 letter id   4 letter   5 actor   6 reason   7 fingerprint
--       8 ledger retention (s)   then arguments (field, record, …) for the ledger
-- Returns 1 buried, 0 not this consumer's, -1 another letter has this id: a message that was stored twice died twice.
local owned = redis.pcall('XPENDING', KEYS[1], 'workers', ARGV[2], ARGV[2], 1, ARGV[1])
if owned.err or not owned[1] then
  return 0
end
if redis.call('ZSCORE', KEYS[2], ARGV[3]) then
  return -1
end
redis.call('XACK', KEYS[1], 'workers', ARGV[2])
redis.call('XDEL', KEYS[1], ARGV[2])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZADD', KEYS[2], now, ARGV[3])
for i, name in ipairs({'actor', 'reason', 'fingerprint'}) do
  redis.call('ZADD', KEYS[4 + i], now, ARGV[3])
  redis.call('HINCRBY', KEYS[4], name .. '|' .. ARGV[4 + i], 1)
end
redis.call('HSET', KEYS[3], ARGV[3], ARGV[4])
if #ARGV > 8 then
  redis.call('HSET', KEYS[8], unpack(ARGV, 9))
  redis.call('EXPIRE', KEYS[8], ARGV[8])
end
return 1
