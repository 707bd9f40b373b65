-- Take one letter out of the dead letters, and put its message back on the stream if there is one to put.
--
-- KEYS  1 stream   2 dead, by time   3 letters   4 counts   5.. indexes: by actor, reason, fingerprint   8 ledger
-- ARGV  1 letter id   2 actor   3 reason   4 fingerprint   5 encoded message, '' to discard
--       6 ledger retention (s)   then arguments (field, record, …) for the ledger
-- Returns 1 taken, 0 it was not there: of two operators one acts, and neither on one that died of another cause since.
if redis.call('ZREM', KEYS[7], ARGV[1]) == 0 then
  return 0
end
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('HDEL', KEYS[3], ARGV[1])
for i, name in ipairs({'actor', 'reason', 'fingerprint'}) do
  redis.call('ZREM', KEYS[4 + i], ARGV[1])
  local field = name .. '|' .. ARGV[1 + i]
  if redis.call('HINCRBY', KEYS[4], field, -1) <= 0 then
    redis.call('HDEL', KEYS[4], field)
  end
end
if ARGV[5] ~= '' then
  redis.call('XADD', KEYS[1], '*', 'm', ARGV[5])
end
if #ARGV > 6 then
  redis.call('HSET', KEYS[8], unpack(ARGV, 7))
  redis.call('EXPIRE', KEYS[8], ARGV[6])
end
return 1
