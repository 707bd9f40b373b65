-- Delete consumers that hold nothing: this one when it leaves, and those whose processes ended long ago.
--
-- KEYS  1 stream
-- ARGV  1 a consumer to delete whatever its age, or ''   2 age of the others (ms)
-- Returns how many were deleted. One with pending entries stays: deleting it would lose them.
local consumers = redis.pcall('XINFO', 'CONSUMERS', KEYS[1], 'workers')
if consumers.err then
  return 0
end
local deleted = 0
for _, fields in ipairs(consumers) do
  local consumer = {}
  for i = 1, #fields, 2 do
    consumer[fields[i]] = fields[i + 1]
  end
  if consumer.pending == 0 and (consumer.name == ARGV[1] or consumer.idle > tonumber(ARGV[2])) then
    redis.call('XGROUP', 'DELCONSUMER', KEYS[1], 'workers', consumer.name)
    deleted = deleted + 1
  end
end
return deleted
