-- Decide requests in order, each over several buckets: all of them have room and are drawn on, or none is.
--
-- KEYS  the buckets
-- ARGV  1 JSON: [[for each bucket: window (µs), quota], [for each request: [cost, number of a bucket, …]]]
-- Returns {a character for each request, then for each bucket its debt at the end: µs, and the rest in 1/quota µs}.
-- The character is '0' + 1 if the request's first bucket had no room + 2 if its second had none, and so on: '0' passed.
--
-- A key holds when its bucket is full again, µs since the epoch, or "µs:rest"; without one the bucket is full. What is
-- owed is kept in integers, so it neither drifts nor rounds: every number here is below 2^53 (see gcra.py).
--
-- None of this is worth a disk's or a replica's while: after a restart or a failover buckets may be full. A key that
-- expires is told to both, though, so it stays for some seconds more: one who comes often costs no DEL each time.
local SPARE_MS = 10000
if redis.set_repl then  -- fakeredis has none
  redis.set_repl(redis.REPL_NONE)
end
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local asked = cjson.decode(ARGV[1])
local rates, stored = asked[1], redis.call('MGET', unpack(KEYS))
local owed, part, drawn = {}, {}, {}
for i, value in ipairs(stored) do
  local us, rest = 0, 0
  if value then
    local colon = string.find(value, ':', 1, true)
    us = tonumber(colon and string.sub(value, 1, colon - 1) or value) - now
    rest = colon and tonumber(string.sub(value, colon + 1)) or 0
  end
  if us < 0 then
    us, rest = 0, 0
  elseif us >= rates[i][1] then  -- the server's clock was set back: nobody owes more than a window
    us, rest = rates[i][1], 0
  end
  owed[i], part[i] = us, rest
end

local function grown(i, cost)
  local sum = part[i] + cost * rates[i][1]
  local rest = math.fmod(sum, rates[i][2])
  return owed[i] + (sum - rest) / rates[i][2], rest
end

local marks = {}
for n, request in ipairs(asked[2]) do
  local mark, us, rest = 0, {}, {}
  for j = 2, #request do
    local i = request[j]
    us[j], rest[j] = grown(i, request[1])
    if us[j] > rates[i][1] or (us[j] == rates[i][1] and rest[j] > 0) then
      mark = mark + 2 ^ (j - 2)
    end
  end
  if mark == 0 then
    for j = 2, #request do
      local i = request[j]
      owed[i], part[i], drawn[i] = us[j], rest[j], true
    end
  end
  marks[n] = string.char(48 + mark)
end

local answer = {table.concat(marks)}
for i, key in ipairs(KEYS) do
  if drawn[i] then
    local value = string.format('%.0f', now + owed[i])
    if part[i] > 0 then
      value = value .. string.format(':%.0f', part[i])
    end
    redis.call('SET', key, value, 'PX', string.format('%.0f', math.ceil(owed[i] / 1000) + SPARE_MS))
  end
  answer[2 * i], answer[2 * i + 1] = owed[i], part[i]
end
return answer
