-- wrk asks for each of the 100 routes in turn. The requests are written out once.
local requests, turn = {}, 0

function init(args)
  for n = 0, 99 do
    requests[n] = wrk.format("GET", "/svc" .. n .. "/1k")
  end
end

function request()
  turn = (turn + 1) % 100
  return requests[turn]
end
