-- Hand back entries that were not begun: they keep their ids, and are taken before newer ones are read.
--
-- KEYS  1 stream
-- ARGV  1 this consumer   then entry ids
-- Returns how many were handed back.
local released = 0
for i = 2, #ARGV do
  local owned = redis.pcall('XPENDING', KEYS[1], 'workers', ARGV[i], ARGV[i], 1, ARGV[1])
  if not owned.err and owned[1] then
    redis.call('XCLAIM', KEYS[1], 'workers', 'released', 0, ARGV[i], 'JUSTID')
    released = released + 1
  end
end
return released
