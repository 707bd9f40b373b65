-- What a consumer does between two reads: move due messages to the stream, and take over what nobody works on.
--
-- KEYS  1 stream   2 delayed, by due time   3 delayed messages   4 pause flag
-- ARGV  1 this consumer   2 lease (ms)   3 most messages to take over
--       4 until when, by the server's clock in ms, expired leases may be taken over; 0 if they may not
--       5 most due messages to move
-- Returns {1 if paused, ms until the next delayed message is due or -1, now (ms), {entry id, payload, deliveries, …}}.
--
-- A call that comes late, because the server, the network or this process stood still, takes nothing over: the owners
-- could not renew either, and must have the time to.
-- Released entries come first. The delivery counter is 1 + runs begun: taking over does not change it.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local due = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now, 'LIMIT', 0, ARGV[5])
for _, name in ipairs(due) do
  redis.call('ZREM', KEYS[2], name)
  local payload = redis.call('HGET', KEYS[3], name)
  if payload then
    redis.call('XADD', KEYS[1], '*', 'm', payload)
    redis.call('HDEL', KEYS[3], name)
  end
end
local head = redis.call('ZRANGE', KEYS[2], 0, 0, 'WITHSCORES')
local wait = head[2] and math.max(0, head[2] - now) or -1
local paused = redis.call('EXISTS', KEYS[4])
local taken, room = {}, paused == 1 and 0 or tonumber(ARGV[3])

local function take(pending)
  for _, entry in ipairs(pending) do
    local id, deliveries = entry[1], entry[4]
    redis.call('XCLAIM', KEYS[1], 'workers', ARGV[1], 0, id, 'RETRYCOUNT', deliveries, 'JUSTID')
    local found = redis.call('XRANGE', KEYS[1], id, id)
    if found[1] then
      taken[#taken + 1], taken[#taken + 2], taken[#taken + 3] = id, found[1][2][2], deliveries
      room = room - 1
    else
      redis.call('XACK', KEYS[1], 'workers', id)  -- flushed meanwhile
    end
  end
end

local function pending(...)
  local answer = redis.pcall('XPENDING', KEYS[1], 'workers', ...)
  return answer.err and {} or answer  -- no group yet: nothing is pending
end

if room > 0 then
  take(pending('-', '+', room, 'released'))
end
if room > 0 and now <= tonumber(ARGV[4]) then
  take(pending('IDLE', ARGV[2], '-', '+', room))
end
return {paused, wait, now, taken}
