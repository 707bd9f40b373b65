-- Record that a message which was delivered before is about to be run, before it is.
--
-- KEYS  1 stream
-- ARGV  1 this consumer   2 entry id
-- Returns how many runs were begun before, or -1 if the entry is not this consumer's any more.
local owned = redis.pcall('XPENDING', KEYS[1], 'workers', ARGV[2], ARGV[2], 1, ARGV[1])
if owned.err or not owned[1] then
  return -1
end
local deliveries = owned[1][4]
redis.call('XCLAIM', KEYS[1], 'workers', ARGV[1], 0, ARGV[2], 'RETRYCOUNT', deliveries + 1, 'JUSTID')
return deliveries - 1
