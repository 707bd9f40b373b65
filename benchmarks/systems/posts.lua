-- What wrk posts: sign-ups, each with another address. Arguments: the bearer token, then `made` (the gateway makes the
-- ids), `own` (the caller does, a new one each time) or `batch` (a hundred events at a time, without ids).
local EVENT = '"type": "user.signed_up", "data": {"email": "ada%d@example.com", "name": "Ada Lovelace", ' ..
  '"preferences": {"language": "en", "newsletter": true}}}'
local shape, batch
local run, sent = os.time(), 0

function init(arguments)
  wrk.method, wrk.path = "POST", "/v1/events"
  wrk.headers["Authorization"] = "Bearer " .. arguments[1]
  wrk.headers["Content-Type"] = "application/json"
  shape = (arguments[2] == "own" and '{"id": "' .. run .. '-%d", ' or "{") .. EVENT
  if arguments[2] == "batch" then
    local events = {}
    for number = 1, 100 do
      events[number] = shape:format(number)
    end
    batch = wrk.format(nil, nil, nil, "[" .. table.concat(events, ", ") .. "]")
  end
end

function request()
  sent = sent + 1
  return batch or wrk.format(nil, nil, nil, shape:format(sent, sent))
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '\n{"answers": %d, "refused": %d, "lost": %d, "seconds": %f, "p50_ms": %f, "p99_ms": %f}\n',
    summary.requests, errors.status, errors.connect + errors.read + errors.write + errors.timeout,
    summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3))
end
