"""A redis-server of our own on a unix socket, filled and loaded."""

import re
import subprocess
import time

from measure import Failure

SERVER, CLI, BENCHMARK = (f"/usr/bin/redis-{name}" for name in ("server", "cli", "benchmark"))
BATCH = 50000

# The same keys that redis-benchmark writes.
LOAD = ("local v = string.rep('v', {size}) for i = {start}, {end} do"
        " redis.call('SET', string.format('key:%012d', i), v .. i) end")


def command(directory):
    """How to start it.  Redis turns huge pages off for itself unless told not to."""
    return [SERVER, "--port", "0", "--unixsocket", f"{directory}/socket", "--save", "", "--dir",
            str(directory), "--disable-thp", "no", "--logfile", f"{directory}/log"]


def benchmark(directory, *options):
    return [BENCHMARK, "-s", f"{directory}/socket", "--precision", "3", *map(str, options)]


class Server:
    """Talks to the process, which somebody else started by command()."""

    def __init__(self, process, directory):
        self.process = process
        self.socket = f"{directory}/socket"
        self.wait_for("PONG", "PING")

    def cli(self, *command):
        done = subprocess.run([CLI, "-s", self.socket, *command], capture_output=True, text=True,
                              check=False)
        return done.stdout + done.stderr

    def wait_for(self, answer, *command, meanwhile=lambda: None):
        deadline = time.monotonic() + 120
        while answer not in self.cli(*command):
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise Failure(f"redis-server never said {answer} to {' '.join(command)}")
            meanwhile()
            time.sleep(0.1)

    def load(self, keys, size):
        """Write so many values of so many bytes."""
        for start in range(0, keys, BATCH):
            end = min(start + BATCH, keys) - 1
            self.cli("EVAL", LOAD.format(size=size, start=start, end=end), "0")
        if self.cli("DBSIZE").strip() != str(keys):
            raise Failure(f"{keys} keys were not loaded")

    def saved(self):
        return "rdb_last_bgsave_status:ok" in self.cli("INFO", "persistence")

    def ask_to_end(self):
        self.cli("SHUTDOWN", "NOSAVE")


def latency(output):
    """Median and 99.9 % in ms.  The CSV of redis-benchmark knows no 99.9 %; its list of percentiles
    comes close above."""
    listed = [(float(percent), float(ms))
              for percent, ms in re.findall(r"([\d.]+)% <= ([\d.]+) milliseconds \(", output)]
    if not listed:
        raise Failure("redis-benchmark listed no percentiles")
    return {name: next(ms for percent, ms in listed if percent >= least)
            for name, least in (("median", 50), ("99.9", 99.9))}
