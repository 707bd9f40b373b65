-- Record that a message which was delivered before is about to be run, before it is.
--
-- KEYS  1 stream
-- ARGV  1 this consumer   2 entry id   3 how many runs were begun before
-- Returns 1, or 0 if the entry is not this consumer's any more. Said twice, it counts once.
local owned = redis.pcall('XPENDING', KEYS[1], 'workers', ARGV[2], ARGV[2], 1, ARGV[1])
if owned.err or not owned[1] then
  return 0
end
redis.call('XCLAIM', KEYS[1], 'workers', ARGV[1], 0, ARGV[2], 'RETRYCOUNT', ARGV[3] + 2, 'JUSTID')
return 1
