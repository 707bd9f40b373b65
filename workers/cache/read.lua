-- Read one entry, valid only while every tag still has the nonce the entry was loaded under.
--
-- KEYS  1 entry   2.. its tags
-- ARGV  1 a fresh nonce, for tags that have none   2 tag lifetime (s)
-- Returns {value} on a hit, else {false, nonce of each tag}: what a value loaded from now on is stored under.
local entry = redis.call('GET', KEYS[1])
local nonces = redis.call('MGET', unpack(KEYS, 2))
local lost = false
for i, nonce in ipairs(nonces) do
  if not nonce then
    lost = true
    nonces[i] = ARGV[1]
    redis.call('SET', KEYS[i + 1], ARGV[1], 'EX', ARGV[2])
  end
end
local stamp = table.concat(nonces, ',') .. '\n'
if entry and not lost and string.sub(entry, 1, #stamp) == stamp then
  return {string.sub(entry, #stamp + 1)}
end
return {false, unpack(nonces)}
