-- Decide requests in order, each over several buckets: all of them have room and are drawn on, or none is.
--
-- KEYS  the buckets
-- ARGV  1 JSON: [[for each bucket: window (µs), quota], [for each request: cost, n, numbers of its n buckets]], all flat
-- Returns one string (an array of as many replies takes Redis longer than the decisions): a character for each request,
-- then for each bucket what it owes at the end in µs, and if any has one the rests, in 1/quota µs; a blank before each.
-- The character is '0' + 1 if the request's first bucket had no room + 2 if its second had none, and so on: '0' passed.
--
-- A key holds when its bucket is full again, µs since the epoch, or "µs:rest"; without one the bucket is full. What is
-- owed is kept in integers, so it neither drifts nor rounds: every number here is below 2^52 (see gcra.py).
--
-- None of this is worth a disk's or a replica's while: after a restart or a failover buckets may be full. A key that
-- expires is told to both, though, so it stays for some seconds more: one who comes often costs no DEL each time.
local SPARE_MS = 10000
local call = redis.call
if redis.set_repl then  -- fakeredis has none
  redis.set_repl(redis.REPL_NONE)
end
local time = call('TIME')
local now = time[1] * 1000000 + time[2]
local rates, requests = unpack(cjson.decode(ARGV[1]))
local owed, rests, drawn, some = {}, {}, {}, false
for i, value in ipairs(call('MGET', unpack(KEYS))) do
  local us, rest = 0, 0
  if value then
    us = tonumber(value)
    if not us then
      us, rest = string.match(value, '(%d+):(%d+)')
      us, rest = tonumber(us), tonumber(rest)
    end
    us = us - now
  end
  local window = rates[2 * i - 1]
  if us < 0 then
    us, rest = 0, 0
  elseif us >= window then  -- the server's clock was set back: nobody owes more than a window
    us, rest = window, 0
  end
  owed[i], rests[i], some = us, rest, some or rest > 0
end

local at, marks, us, rest = 1, {}, {}, {}
while requests[at] do
  local cost, first, last = requests[at], at + 2, at + 1 + requests[at + 1]
  local mark, bit = 0, 1
  for j = first, last do
    local i = requests[j]
    local window, quota = rates[2 * i - 1], rates[2 * i]
    local sum = rests[i] + cost * window
    rest[j] = sum % quota
    us[j] = owed[i] + (sum - rest[j]) / quota
    if us[j] > window or (us[j] == window and rest[j] > 0) then
      mark = mark + bit
    end
    bit = bit * 2
  end
  if mark == 0 then
    for j = first, last do
      local i = requests[j]
      owed[i], rests[i], drawn[i], some = us[j], rest[j], true, some or rest[j] > 0
    end
  end
  marks[#marks + 1] = string.char(48 + mark)
  at = last + 1
end

for i, key in ipairs(KEYS) do
  if drawn[i] then
    local full = now + owed[i]
    if rests[i] > 0 then
      full = string.format('%.0f:%.0f', full, rests[i])
    end
    call('SET', key, full, 'PX', math.ceil(owed[i] / 1000) + SPARE_MS)
  end
end
local answer = table.concat(marks) .. ' ' .. table.concat(owed, ' ')
return some and answer .. ' ' .. table.concat(rests, ' ') or answer
