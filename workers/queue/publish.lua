-- Store one message for one actor, once. One atomic step: the once-key, the message and its ledger record
-- are there together or not at all.
--
-- KEYS  1 once-key   2 ledger hash   3 list of message ids   4 hash of messages
-- ARGV  1 digest of the body as sent   2 once-window (s)   3 message id   4 encoded message
--       5 ledger field   6 ledger record   7 ledger retention (s)
-- Returns 1 stored, 0 stored before with the same body, -1 stored before with another body.
local sent = redis.call('GET', KEYS[1])
if sent then
  return sent == ARGV[1] and 0 or -1
end
redis.call('HSET', KEYS[4], ARGV[3], ARGV[4])
redis.call('RPUSH', KEYS[3], ARGV[3])
redis.call('HSET', KEYS[2], ARGV[5], ARGV[6])
redis.call('EXPIRE', KEYS[2], ARGV[7])
redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])
return 1
