-- A token bucket (GCRA) under one key: the time at which it is full again, as
-- "<microseconds since the epoch> <nanoseconds>". A key that is gone is a full
-- bucket, so the key lives exactly as long as something is owed.
--
-- now         microseconds; empty: the server's clock
-- settle      nanoseconds to add to (below 0: take off) what is owed, unasked
-- want least  tokens: grant as many as there are, from least to want, or none
-- token       nanoseconds that one is worth
-- limit cap   nanoseconds: of a whole bucket, and of the most that can be owed
local now, settle, want, least = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local token, limit, cap = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
if not now then
  local t = redis.call('TIME')
  now = t[1] * 1000000 + t[2]
end

local debt, held = 0, redis.call('GET', KEYS[1])
if held then
  local us, ns = string.match(held, '^(%d+) (%d+)$')
  if us then debt = (us - now) * 1000 + ns end
end
-- A clock that went back may not make more of a debt than it can be.
debt = math.min(math.max(debt, 0), cap)
if settle ~= 0 then debt = math.min(math.max(debt + settle, 0), cap) end

local granted = math.min(want, math.floor((limit - debt) / token))
if granted < least or granted < 0 then granted = 0 end
debt = debt + granted * token

if granted > 0 or settle ~= 0 then
  if debt <= 0 then
    redis.call('DEL', KEYS[1])
  else
    local full = string.format('%.0f %.0f', now + math.floor(debt / 1000), debt % 1000)
    redis.call('SET', KEYS[1], full, 'PX', string.format('%.0f', math.ceil(debt / 1000000)))
  end
end
return {granted, debt, now}
