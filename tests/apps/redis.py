"""redis-server: load, benchmark, SAVE, BGSAVE under writes, and a restart from the file.

The content that is compared is in database 0; redis-benchmark writes its random keys into 1."""

import os
import subprocess
import time

from harness import Failure, compare, expect

LOAD = """
for i = 1, 30000 do
  redis.call('SET', 'string:' .. i, string.rep('v' .. i, i % 90))
  redis.call('HSET', 'hash:' .. i % 500, 'field' .. i, i * 3)
  redis.call('RPUSH', 'list:' .. i % 300, i, string.rep('x', i % 50))
  redis.call('ZADD', 'sorted:' .. i % 200, i * 7 % 1009, 'member' .. i)
  redis.call('SADD', 'set:' .. i % 100, i % 777)
end
for i = 1, 30000, 3 do redis.call('DEL', 'string:' .. i) end
for i = 1, 30000, 5 do redis.call('APPEND', 'string:' .. i, string.rep('more', 100)) end
return redis.call('DBSIZE')
"""

# One line for each key, sorted.
CONTENT = """
local read = {
  string = function(k) return {redis.call('GET', k)} end,
  list = function(k) return redis.call('LRANGE', k, 0, -1) end,
  set = function(k) local m = redis.call('SMEMBERS', k); table.sort(m); return m end,
  zset = function(k) return redis.call('ZRANGE', k, 0, -1, 'WITHSCORES') end,
  hash = function(k) local m = redis.call('HGETALL', k); table.sort(m); return m end,
}
local keys, lines = redis.call('KEYS', '*'), {}
table.sort(keys)
for i, k in ipairs(keys) do
  local kind = redis.call('TYPE', k).ok
  lines[i] = k .. ' ' .. kind .. ' ' .. redis.sha1hex(table.concat(read[kind](k), ','))
end
return lines
"""


class Server:
    """A redis-server of our own, on a unix socket in the session's directory."""

    def __init__(self, session, *options):
        self.session = session
        self.socket = session.path("socket")
        self.process = session.popen(
            ["/usr/bin/redis-server", "--port", "0", "--unixsocket", self.socket, "--save", "",
             "--dir", session.directory, "--databases", "2", "--logfile", session.path("log"),
             *options])
        self.wait_for("PING", b"PONG")

    def cli(self, *command):
        return self.session.run("/usr/bin/redis-cli", "-s", self.socket, *command)

    def wait_for(self, command, answer):
        """Ask until the answer contains `answer`; redis itself may end the wait by dying."""
        deadline = time.monotonic() + 60
        while True:
            expect(self.process.poll() is None, "redis-server ended")
            try:
                if answer in self.cli(*command.split()):
                    return
            except Failure:
                pass  # Not listening yet.
            expect(time.monotonic() < deadline, f"{command} never said {answer}")
            time.sleep(0.05)

    def benchmark(self, *options):
        return self.session.popen(
            ["/usr/bin/redis-benchmark", "-s", self.socket, "--dbnum", "1", "-q", "-r", "20000",
             "-n", "60000", "-d", "300", *options], stdout=subprocess.DEVNULL)

    def stop(self):
        self.session.popen(["/usr/bin/redis-cli", "-s", self.socket, "SHUTDOWN", "NOSAVE"]).wait()
        expect(self.process.wait(timeout=60) == 0, "redis-server ended with an error")

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


def work(session):
    with Server(session) as server:
        output = server.cli("EVAL", LOAD, "0")
        expect(server.benchmark("-t", "set,get,lpush,hset,sadd").wait() == 0, "redis-benchmark")
        writer = server.benchmark("-t", "set")
        server.cli("BGSAVE")
        expect(writer.wait() == 0, "redis-benchmark during BGSAVE")
        server.wait_for("INFO persistence", b"rdb_bgsave_in_progress:0")
        expect(b"rdb_last_bgsave_status:ok" in server.cli("INFO", "persistence"), "BGSAVE failed")
        output += server.cli("SAVE") + server.cli("EVAL", CONTENT, "0")
        server.stop()
    expect(os.path.exists(session.path("dump.rdb")), "nothing was saved")
    with Server(session) as server:
        output += server.cli("EVAL", CONTENT, "0")
        server.stop()
    return output


if __name__ == "__main__":
    compare(work)
