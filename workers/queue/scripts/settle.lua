-- Settle messages of one queue: done, or to be run again later. Each is one fenced step: the entry is removed first,
-- and what follows is written only if it was still this consumer's; settled twice, or by a late owner, nothing changes.
--
-- KEYS  1 stream   2 delayed, by due time   3 delayed messages   4 settled per 10 s
--       then a ledger for each settlement that has records
-- ARGV  1 this consumer   2 ledger retention (s)
--       then for each settlement: entry id, delay (ms) or -1 when it is done, encoded message or '', n,
--       and n arguments (field, record, …) for its ledger
-- Returns for each settlement 1 settled, 0 not this consumer's.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local answers, at, key, settled = {}, 3, 5, 0
while at <= #ARGV do
  local id, delay, count = ARGV[at], tonumber(ARGV[at + 1]), tonumber(ARGV[at + 3])
  local owned = redis.pcall('XPENDING', KEYS[1], 'workers', id, id, 1, ARGV[1])
  if owned.err or not owned[1] then
    answers[#answers + 1] = 0
  else
    redis.call('XACK', KEYS[1], 'workers', id)
    redis.call('XDEL', KEYS[1], id)
    if delay == 0 then
      redis.call('XADD', KEYS[1], '*', 'm', ARGV[at + 2])
    elseif delay > 0 then
      redis.call('HSET', KEYS[3], id, ARGV[at + 2])
      redis.call('ZADD', KEYS[2], now + delay, id)
    end
    if count > 0 then
      redis.call('HSET', KEYS[key], unpack(ARGV, at + 4, at + 3 + count))
      redis.call('EXPIRE', KEYS[key], ARGV[2])
    end
    answers[#answers + 1] = 1
    settled = settled + 1
  end
  if count > 0 then
    key = key + 1
  end
  at = at + 4 + count
end
if settled > 0 then
  local tick = math.floor(now / 10000)
  if redis.call('HINCRBY', KEYS[4], tick, settled) == settled then  -- the first of these 10 s: on a busy queue the
    for _, other in ipairs(redis.call('HKEYS', KEYS[4])) do         -- hash never expires, so old counts go here
      if math.abs(tick - other) > 12 then
        redis.call('HDEL', KEYS[4], other)
      end
    end
  end
  redis.call('EXPIRE', KEYS[4], 120)
end
return answers
