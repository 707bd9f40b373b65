-- Renew the leases of entries that this consumer knows it received.
--
-- KEYS  1 stream
-- ARGV  1 this consumer   then entry ids
-- Returns the ids that are not this consumer's any more. A plain XCLAIM would steal back what another took over.
local lost = {}
for i = 2, #ARGV do
  local owned = redis.pcall('XPENDING', KEYS[1], 'workers', ARGV[i], ARGV[i], 1, ARGV[1])
  if owned.err or not owned[1] then
    lost[#lost + 1] = ARGV[i]
  else
    redis.call('XCLAIM', KEYS[1], 'workers', ARGV[1], 0, ARGV[i], 'JUSTID')
  end
end
return lost
