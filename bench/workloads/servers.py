"""Workloads that are a server under the allocator, loaded by clients that are not."""

import glob
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import redis_server
from watch import Watch
from .base import Failure, Workload, coverage, expect, outcome

INTERVAL = 0.05


class Server(Workload):
    """Start a server, load it, stop it.  Timed is what load() says."""
    rest = 0  # seconds between the load and the last look

    def __init__(self, name, what, **more):
        self.name, self.what = name, what
        vars(self).update(more)

    def directory(self, setting):
        """A fresh directory for one run."""
        return Path(tempfile.mkdtemp(dir=setting.scratch))

    def command(self, directory):
        raise NotImplementedError

    def command_with(self, env, directory):
        """The command, and the environment to start it with."""
        return self.command(directory), env

    def load(self, setting, process, directory):
        """Wait until it is up, and load it.  Returns the seconds and the 99.9 % latency in ms."""
        raise NotImplementedError

    def run(self, setting, env, first):
        directory = self.directory(setting)
        with open(directory / "said", "w+") as said:
            try:
                figures = self.run_in(setting, env, directory, said)
            except Failure as failure:
                raise Failure(f"{failure}{last_line(said)}") from None
        shutil.rmtree(directory)
        return figures

    def run_in(self, setting, env, directory, said):
        with Watch(INTERVAL) as watch:
            process = watch.start(*self.command_with(env, directory), stdout=subprocess.DEVNULL,
                                  stderr=said)
            seconds, latency = self.load(setting, process, directory)
            expect_preloaded(process, env)
            time.sleep(0 if setting.quick else self.rest)
            last = watch.look()
            process.send_signal(signal.SIGINT)
            expect(watch.wait() == 0, f"the server ended with status {process.returncode}")
        return outcome(watch, seconds, latency_ms=latency, coverage_last=coverage(last))


def last_line(said):
    """What the server complained of last, to be put behind a message."""
    said.seek(0)
    lines = said.read().strip().splitlines()
    return f": {lines[-1]}" if lines else ""


def expect_preloaded(process, env):
    """The loader only warns of a library that another user may not read."""
    if "LD_PRELOAD" in env:
        library = os.path.realpath(env["LD_PRELOAD"])
        expect(library in Path(f"/proc/{process.pid}/maps").read_text(),
               f"{library} was not loaded: may every user read it?")


def timed(argv, **options):
    """Run a client to its end; returns the seconds and what it printed."""
    start = time.monotonic()
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, check=False, **options)
    expect(done.returncode == 0, f"{argv[0]}: {done.stderr.strip()[-200:]}")
    return time.monotonic() - start, done.stdout


# ---- redis ----

class Redis(Server):
    """SET and GET by redis-benchmark."""
    programs = (redis_server.SERVER, redis_server.CLI, redis_server.BENCHMARK)
    value = 700  # bytes

    def command(self, directory):
        return redis_server.command(directory)

    def load(self, setting, process, directory):
        redis_server.Server(process, directory)
        keys = 20000 if setting.quick else 600000
        seconds, output = timed(redis_server.benchmark(
            directory, "-t", "set,get", "-r", keys, "-n", keys, "-d", self.value, "-P", 16,
            "-c", 20))
        return seconds, redis_server.latency(output)["99.9"]


class RedisSave(Redis):
    """SET while a child saves; timed are the writes."""
    value = 1000

    def load(self, setting, process, directory):
        server = redis_server.Server(process, directory)
        keys = 20000 if setting.quick else 250000
        server.load(keys, self.value)
        server.cli("BGSAVE")
        seconds, output = timed(redis_server.benchmark(
            directory, "-t", "set", "-r", keys, "-n", keys // 4, "-d", self.value, "-c", 20))
        server.wait_for("rdb_bgsave_in_progress:0", "INFO", "persistence")
        expect(server.saved(), "BGSAVE failed")
        return seconds, redis_server.latency(output)["99.9"]


# ---- memcached ----

class Memcached(Server):
    """Writes all keys, rewrites a third with other sizes, and reads all, in big batches."""
    programs = ("/usr/bin/memcached",)
    batch = 500

    def command(self, directory):
        return [*self.programs, "-s", f"{directory}/socket", "-m", "1024", "-t", "2",
                *(("-u", "root") if os.geteuid() == 0 else ())]

    def load(self, setting, process, directory):
        keys = range(20000 if setting.quick else 400000)
        sets = self.sets(keys, 700) + self.sets(keys[::3], 400)
        with connect(f"{directory}/socket") as client:
            start = time.monotonic()
            for batch in sets:
                client.sendall(batch)
            for i in range(0, len(keys), self.batch):
                get_all(client, keys[i:i + self.batch])
            return time.monotonic() - start, None

    def sets(self, keys, size):
        """The commands, in batches; nothing is answered to them."""
        commands = [b"set key%d 0 0 %d noreply\r\n%b\r\n" % (key, size + key % 300,
                                                             b"v" * (size + key % 300))
                    for key in keys]
        return [b"".join(commands[i:i + self.batch]) for i in range(0, len(commands), self.batch)]


def connect(path):
    """A connection to the socket, as soon as it is there."""
    deadline = time.monotonic() + 30
    while True:
        client = socket.socket(socket.AF_UNIX)
        try:
            client.connect(path)
            return client
        except OSError:
            client.close()
            if time.monotonic() > deadline:
                raise Failure("memcached does not listen") from None
            time.sleep(0.02)


def get_all(client, keys):
    client.sendall(b"get " + b" ".join(b"key%d" % key for key in keys) + b"\r\n")
    tail = b""
    while not tail.endswith(b"\r\nEND\r\n"):
        received = client.recv(1 << 20)
        expect(received, "memcached closed the connection")
        tail = (tail + received)[-7:]


# ---- postgres ----

SORTS = """SET work_mem = '512MB';
SELECT count(*), min(w) FROM
 (SELECT i, md5(i::text) w FROM generate_series(1, {rows}) i ORDER BY w, i) sorted;
SELECT count(*), max(n) FROM
 (SELECT md5((i % {rows} / 2)::text) w, count(*) n FROM generate_series(1, {rows}) i GROUP BY 1) g;
"""


def postgres_tool(name):
    found = sorted(glob.glob(f"/usr/lib/postgresql/*/bin/{name}"))
    return found[-1] if found else name


class Postgres(Server):
    """pgbench's own transactions, then sorts and groups in memory, two clients each.  The directory
    of the data stays the same: it is made once."""
    programs = tuple(map(postgres_tool, ("initdb", "postgres", "pgbench")))

    def directory(self, setting):
        """Only for the socket."""
        return self.own(super().directory(setting))

    def own(self, path):
        """The server refuses to be root."""
        if os.geteuid() == 0:
            os.chown(path, pwd.getpwnam("postgres").pw_uid, -1)
        return path

    def command_with(self, env, directory):
        """What changes the user is left out: threads, as jemalloc's background_thread, make that
        fail."""
        words = [f"{name}={value}" for name, value in env.items()]
        return self.as_user("/usr/bin/env", *words, *self.postgres(directory)), {}

    def as_user(self, *argv):
        if os.geteuid() == 0:
            return ["/usr/bin/setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups",
                    *argv]
        return list(argv)

    def prepare(self, setting):
        self.data = self.own(Path(tempfile.mkdtemp(dir=setting.scratch)))
        self.sorts = setting.scratch / "sorts.sql"
        self.sorts.write_text(SORTS.replace("{rows}", "20000" if setting.quick else "500000"))
        timed(self.as_user(postgres_tool("initdb"), "-D", self.data, "-A", "trust", "--no-sync",
                           "--locale=C", "-E", "UTF8", "-U", "postgres"), cwd=self.data)
        directory = self.directory(setting)
        process = subprocess.Popen(self.as_user(*self.postgres(directory)),
                                   stderr=subprocess.DEVNULL)
        try:
            self.wait_for(process, directory)
            timed(self.pgbench(directory, "-i", "-q", "-s", 1 if setting.quick else 5))
        finally:
            process.send_signal(signal.SIGINT)
            process.wait()

    def postgres(self, directory):
        return [postgres_tool("postgres"), "-D", self.data, "-k", directory,
                "-c", "listen_addresses=", "-c", "fsync=off", "-c", "autovacuum=off",
                "-c", "max_parallel_workers_per_gather=0"]

    def pgbench(self, directory, *options):
        return [postgres_tool("pgbench"), "-h", directory, "-U", "postgres", "-n",
                *map(str, options), "postgres"]

    def wait_for(self, process, directory):
        deadline = time.monotonic() + 60
        while subprocess.run([postgres_tool("pg_isready"), "-q", "-h", directory],
                             check=False).returncode:
            expect(process.poll() is None and time.monotonic() < deadline, "postgres did not start")
            time.sleep(0.05)

    def load(self, setting, process, directory):
        self.wait_for(process, directory)
        transactions, _ = timed(self.pgbench(directory, "-c", 2, "-j", 2, "-t",
                                             100 if setting.quick else 1500))
        sorts, _ = timed(self.pgbench(directory, "-c", 2, "-j", 2, "-t", 1, "-f", self.sorts))
        return transactions + sorts, None


SERVERS = (
    Redis("redis", "redis-benchmark: SET and GET, 20 clients", warm=600),
    RedisSave("redis-bgsave", "SET while a child saves; in the end: 2 s later", warm=900, rest=2),
    Memcached("memcached", "SET and GET of 400,000 keys", warm=700),
    Postgres("postgres", "pgbench, then sorts and groups in memory", warm=500),
)
