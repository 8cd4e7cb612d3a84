-- wrk.lua: has wrk send the bench's requests, and print what it counted as one line of JSON.
--
-- arguments: [BODY_BYTES]
function init(arguments)
    local size = tonumber(arguments[1] or "0")
    if size > 0 then
        wrk.method = "POST"
        wrk.headers["Content-Type"] = "application/octet-stream"
        wrk.body = string.rep("b", size)
    end
end

function done(summary, latency)
    local errors = summary.errors
    local failed = errors.connect + errors.read + errors.write + errors.status + errors.timeout
    io.write(string.format(
        'wrk {"requests": %d, "bytes": %d, "seconds": %.6f, "failed": %d, "p50": %.4f, "p99": %.4f, "max": %.4f}\n',
        summary.requests, summary.bytes, summary.duration / 1e6, failed, latency:percentile(50) / 1e3,
        latency:percentile(99) / 1e3, latency.max / 1e3))
end
