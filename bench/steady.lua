-- Sends HTTP requests at a steady rate over a few kept-alive connections, whether or not the answers come, and prints how long the
-- answers took, each counted from the moment at which its request was due. One thread; the timetable is in order, and whichever
-- connection is free takes the request that has been due for the longest. Linux only. Its own part of a latency is printed too.
--
-- luajit steady.lua ADDRESS PORT METHOD PATH FILE CONNECTIONS RATE SECONDS [HEADER …]; FILE has a body a line, taken in turn.

local ffi = require("ffi")
ffi.cdef([[
  typedef struct { long seconds, nanoseconds; } moment;
  typedef struct { int file; short asked, seen; } waited;
  typedef struct { unsigned short family, port; unsigned int address; char nothing[8]; } internet_address;
  int clock_gettime(int clock, moment *now);
  int prctl(int option, unsigned long first, unsigned long second, unsigned long third, unsigned long fourth);
  int socket(int domain, int type, int protocol);
  int connect(int file, const internet_address *address, unsigned int length);
  int setsockopt(int file, int level, int name, const int *value, unsigned int length);
  unsigned int inet_addr(const char *address);
  unsigned short htons(unsigned short port);
  int ppoll(waited *files, unsigned long count, const moment *longest, const void *signals);
  long send(int file, const char *bytes, unsigned long length, int flags);
  long recv(int file, char *bytes, unsigned long length, int flags);
]])
local C = ffi.C
local MONOTONIC, TIMER_SLACK, INTERNET, STREAM, TCP, NO_DELAY, READABLE, DO_NOT_WAIT = 1, 29, 2, 1, 6, 1, 1, 0x40
local HEADSTART_US, GRACE_US, BUFFER_BYTES, HEAD_BYTES = 2e5, 1e6, 1048576, 4096

local address, port, method, path, file, connections, rate, seconds = unpack(arg)
connections, rate, seconds = tonumber(connections), tonumber(rate), tonumber(seconds)

local moment = ffi.new("moment")
local function clock_us()
  C.clock_gettime(MONOTONIC, moment)
  return tonumber(moment.seconds) * 1e6 + tonumber(moment.nanoseconds) / 1e3
end

local function fail(words) io.stderr:write(words .. "\n") os.exit(1) end

local requests = {}
for body in io.lines(file) do
  local head = { method .. " " .. path .. " HTTP/1.1", "host: " .. address .. ":" .. port, "content-type: application/json" }
  for index = 9, #arg do head[#head + 1] = arg[index] end
  if #body > 0 then head[#head + 1] = "content-length: " .. #body end
  requests[#requests + 1] = table.concat(head, "\r\n") .. "\r\n\r\n" .. body
end

local server, yes = ffi.new("internet_address"), ffi.new("int[1]", 1)
server.family, server.port, server.address = INTERNET, C.htons(tonumber(port)), C.inet_addr(address)
local files = ffi.new("waited[?]", connections)
local free, due_us, missing_bytes = {}, {}, {}
for index = 0, connections - 1 do
  files[index].file, files[index].asked = C.socket(INTERNET, STREAM, 0), READABLE
  if C.connect(files[index].file, server, ffi.sizeof("internet_address")) ~= 0 then fail("cannot connect to " .. address .. ":" .. port) end
  C.setsockopt(files[index].file, TCP, NO_DELAY, yes, 4)
  free[#free + 1], due_us[index], missing_bytes[index] = index, false, 0
end

-- The default would let every wait end up to 50 microseconds late.
C.prctl(TIMER_SLACK, 1, 0, 0, 0)
local buffer, longest = ffi.new("char[?]", BUFFER_BYTES), ffi.new("moment")
local waits, delays, failures = {}, {}, 0
local interval_us, place = 1e6 / rate, 0
local began = clock_us() + HEADSTART_US
local last_us = began + seconds * 1e6
local next_us, free_since = began, began

-- Sends what is due, as far as connections are free; the moment after the last of it.
local function send_due(now)
  while next_us <= now and #free > 0 do
    local index = table.remove(free, 1) -- the one that has rested the longest, so that all take part
    place = place % #requests + 1
    local request = requests[place]
    if C.send(files[index].file, request, #request, 0) ~= #request then fail("a request was not sent") end
    if next_us < last_us then delays[#delays + 1] = now - math.max(next_us, free_since) end
    due_us[index], next_us = next_us, next_us + interval_us
    now = clock_us()
  end
  return now
end

-- Takes what has come of an answer: true when it is whole.
local function is_answered(index)
  local length = tonumber(C.recv(files[index].file, buffer, BUFFER_BYTES, DO_NOT_WAIT))
  if length <= 0 then fail("a connection was closed") end
  if missing_bytes[index] == 0 then
    local text = ffi.string(buffer, math.min(length, HEAD_BYTES))
    local _, head_bytes = text:find("\r\n\r\n", 1, true)
    local status, body_bytes = text:match("^HTTP/1%.1 (%d+)"), text:match("[cC]ontent%-[lL]ength: *(%d+)")
    if not (head_bytes and status and body_bytes) then fail("an answer does not begin with a whole head that says its length") end
    if tonumber(status) >= 400 then failures = failures + 1 end
    missing_bytes[index] = head_bytes + tonumber(body_bytes)
  end
  missing_bytes[index] = missing_bytes[index] - length
  return missing_bytes[index] == 0
end

-- The load goes on for a while after the last request that counts, so that the last ones meet what the others met.
local now = clock_us()
while now < last_us + GRACE_US do
  now = send_due(now)
  local wait_us = #free > 0 and math.max(0, next_us - now) or GRACE_US
  longest.seconds, longest.nanoseconds = math.floor(wait_us / 1e6), math.floor(wait_us % 1e6 * 1e3)
  local ready = C.ppoll(files, connections, longest, nil)
  now = clock_us()
  for index = 0, ready > 0 and connections - 1 or -1 do
    if files[index].seen ~= 0 and is_answered(index) then
      now = clock_us()
      if #free == 0 then free_since = now end
      if due_us[index] < last_us then waits[#waits + 1] = now - due_us[index] end
      free[#free + 1], due_us[index] = index, false
    end
  end
end

-- What is still not answered has waited until now, at least.
local unanswered = 0
local function give_up(due)
  waits[#waits + 1], unanswered = now - due, unanswered + 1
end
for index = 0, connections - 1 do
  if due_us[index] and due_us[index] < last_us then give_up(due_us[index]) end
end
for due = next_us, last_us - 1, interval_us do give_up(due) end

local function percentile(sorted, share) return sorted[math.max(1, math.ceil(#sorted * share))] or 0 end
table.sort(waits)
table.sort(delays)
print(string.format('{"requests":%d,"failures":%d,"unanswered":%d,"p50":%.1f,"p99":%.1f,"p99.9":%.1f,"delay p99":%.1f}', #waits, failures, unanswered,
  percentile(waits, 0.5), percentile(waits, 0.99), percentile(waits, 0.999), percentile(delays, 0.99)))
