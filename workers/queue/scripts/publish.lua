-- Store messages on one queue, each once. Per message one atomic step: the once-key, the message and its ledger
-- record are there together or not at all.
--
-- KEYS  1 stream   2 index of ledgers   then for each message: once-key, ledger
-- ARGV  1 once-window (s)   2 ledger retention (s)   3 most entries the queue may hold, 0 for no limit
--       then for each message: digest of the body as sent, encoded message, ledger field, ledger record
-- Returns for each message 1 stored, 0 stored before with the same body, -1 stored before with another body,
-- -2 the queue is full.
--
-- Without a limit these are follow-ups of accepted work, which a full server must still take: a script whose first
-- write needs no memory may go on, so XACK of nothing comes first (Redis, script.c: scriptVerifyOOM).
local limit = tonumber(ARGV[3])
local room = math.huge
if limit == 0 then
  redis.call('XACK', KEYS[1], 'workers', '0-0')
else
  room = limit - redis.call('XLEN', KEYS[1])
end
local answers, new = {}, {}
for i = 1, (#KEYS - 2) / 2 do
  local once, ledger, at = KEYS[1 + 2 * i], KEYS[2 + 2 * i], 4 * i
  if room > 0 and redis.call('SET', once, ARGV[at], 'EX', ARGV[1], 'NX') then
    redis.call('XADD', KEYS[1], '*', 'm', ARGV[at + 1])
    room = room - 1
    if redis.call('HSET', ledger, ARGV[at + 2], ARGV[at + 3]) == 1 and redis.call('HLEN', ledger) == 1 then
      new[#new + 1] = ledger
    end
    redis.call('EXPIRE', ledger, ARGV[2])
    answers[i] = 1
  else
    local sent = redis.call('GET', once)
    if not sent then
      answers[i] = -2
    else
      answers[i] = sent == ARGV[at] and 0 or -1
      if limit > 0 then  -- a write, so that what confirms this call confirms the one that stored it too
        redis.call('SET', once, sent, 'KEEPTTL')
      end
    end
  end
end
if #new > 0 then
  redis.call('RPUSH', KEYS[2], unpack(new))  -- no more than a call has messages: see MOST_AT_ONCE
end
return answers
