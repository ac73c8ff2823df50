-- What wrk sends, and what it says at the end. The file that VERSUS_TARGET names answers a table:
-- `method`, `path`, `headers` and `body` of a request that never changes, or else `paths`, of which each
-- request takes one at random, or else `span` and `length`: each request then asks for `length` bytes at
-- a random place among the first `span`.

local target = dofile(os.getenv("VERSUS_TARGET"))

wrk.method = target.method
wrk.path = target.path
wrk.body = target.body
for name, value in pairs(target.headers) do
  wrk.headers[name] = value
end

if target.paths then
  request = function()
    return wrk.format(nil, target.paths[math.random(#target.paths)])
  end
elseif target.span then
  request = function()
    local first = math.random(0, target.span - target.length)
    wrk.headers["Range"] = string.format("bytes=%d-%d", first, first + target.length - 1)
    return wrk.format()
  end
end

function done(summary, latency)
  local errors = summary.errors
  local failed = errors.connect + errors.read + errors.write + errors.status + errors.timeout
  io.write(string.format(
    "versus requests=%d bytes=%d micros=%d failed=%d p50=%d p99=%d p999=%d max=%d\n",
    summary.requests, summary.bytes, summary.duration, failed,
    latency:percentile(50), latency:percentile(99), latency:percentile(99.9), latency.max))
end
