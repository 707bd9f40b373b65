-- Store messages that follow from accepted work, also on a full server: see publish.lua.
--
-- KEYS  1 stream
-- ARGV  encoded messages
redis.call('XACK', KEYS[1], 'workers', '0-0')
for _, message in ipairs(ARGV) do
  redis.call('XADD', KEYS[1], '*', 'm', message)
end
return #ARGV
