-- A quota under one key: a hash of slot number to the count taken in it. A
-- calendar window has one slot, its start.
--
-- now         microseconds; empty: the server's clock
-- length      microseconds of a slot; 0: calendar, and start is its start
-- slots       how many slots before the current one still count
-- limit cap   the quota, and the most that can be counted
-- settle      to count unasked; below 0: to give back, to the slot back first,
--             and to no other day than that of back (0: any)
-- want least  grant as many as there are, from least to want, or none
-- ttl         milliseconds that a calendar window lasts
local now, length, start, slots = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local limit, cap, settle = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local want, least, back, ttl = tonumber(ARGV[8]), tonumber(ARGV[9]), tonumber(ARGV[10]), tonumber(ARGV[11])
if not now then
  local t = redis.call('TIME')
  now = t[1] * 1000000 + t[2]
end
local held = redis.call('HGETALL', KEYS[1])
-- A clock that goes back stands still here: who is late at midnight counts into
-- the new day. One that is ahead by more than a window is not believed.
local current, ahead = start, start + ttl / 1000 + 1
if length > 0 then
  current = math.floor(now / length)
  ahead = current + slots
end
for i = 1, #held, 2 do
  local s = tonumber(held[i])
  if s and s > current and s <= ahead then current = s end
end

local used, count, order, gone = 0, {}, {}, {}
for i = 1, #held, 2 do
  local s, n = tonumber(held[i]), tonumber(held[i + 1])
  if not s or not n or s < current - slots or s > current then
    gone[#gone + 1] = held[i]
  else
    used = used + n
    count[s] = n
    order[#order + 1] = s
  end
end
table.sort(order)

local changed = {}
local function add(s, n)
  if not count[s] then
    count[s] = 0
    order[#order + 1] = s
    table.sort(order)
  end
  count[s] = count[s] + n
  used = used + n
  changed[s] = true
end
if settle > 0 then
  settle = math.min(settle, cap - used)
  if settle > 0 then add(current, settle) end
elseif settle < 0 and (length > 0 or back == current or back == 0) then
  local rest = -settle
  local function give(s)
    local n = math.min(rest, count[s])
    if n > 0 then
      rest = rest - n
      add(s, -n)
    end
  end
  if count[back] then give(back) end
  for i = #order, 1, -1 do give(order[i]) end
end
local granted, room = 0, limit - used
if want > 0 and least <= room then
  granted = math.min(want, room)
  if granted > 0 then add(current, granted) end
end

if next(changed) then
  if #gone > 0 then redis.call('HDEL', KEYS[1], unpack(gone)) end
  local last = current
  for s in pairs(changed) do
    local field = string.format('%.0f', s)
    if count[s] > 0 then
      redis.call('HSET', KEYS[1], field, string.format('%.0f', count[s]))
    else
      redis.call('HDEL', KEYS[1], field)
    end
    last = math.max(last, s)
  end
  if length > 0 then ttl = math.ceil(((last + slots + 1) * length - now) / 1000) end
  redis.call('PEXPIRE', KEYS[1], string.format('%.0f', math.max(ttl, 1)))
end

-- When enough of the oldest slots have gone for what was refused, and all of them.
local retry, reset, freed = 0, 0, 0
if length > 0 then
  local need = used + math.max(least, 1) - limit
  for i = 1, #order do
    local s = order[i]
    if count[s] > 0 then
      reset = (s + slots + 1) * length - now
      if freed < need then
        freed = freed + count[s]
        retry = reset
      end
    end
  end
  if need <= 0 then retry = 0 end
end
return {granted, used, now, current, retry, reset}
