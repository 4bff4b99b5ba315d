-- Ten thousand clients, each known by a header.
local n = 0
request = function()
  n = (n + 7919) % 10000
  wrk.headers["X-Client"] = "client-" .. n
  return wrk.format("GET")
end
