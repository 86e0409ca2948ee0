"""What the tests of the commands that look at other processes share."""

import json
import os
import re
import shutil
import subprocess
import tempfile
import time
import unittest

NOBODY = 65534
MIB = 1 << 20

# A program that holds memory, does what it is told on the way, and waits to be ended.
HOLDER = """
import ctypes, os, sys
blocks = [b"x" * (1 << 20) for _ in range({mib})]
{work}
print("ready", flush=True)
sys.stdin.read()
"""


def setting(name):
    return os.environ[name]


class Outcome:
    def __init__(self, status, out, err):
        self.status = status
        self.out = out
        self.err = err


def environment(**more):
    """Ours, without what would change what is started."""
    env = {k: v for k, v in os.environ.items() if k not in ("LD_PRELOAD", "UNSPLIT_CONF")}
    return {**env, "LC_ALL": "C.UTF-8", **more}


class Case(unittest.TestCase):
    """A test with a directory of its own, and processes that do not outlive it."""

    maxDiff = None

    def setUp(self):
        self.directory = tempfile.mkdtemp(prefix="unsplit-see-")
        os.chmod(self.directory, 0o755)
        self.addCleanup(shutil.rmtree, self.directory, ignore_errors=True)

    def path(self, name):
        return os.path.join(self.directory, name)

    def write(self, name, text):
        with open(self.path(name), "w", encoding="utf-8") as file:
            file.write(text)
        return self.path(name)

    def read(self, name):
        with open(self.path(name), encoding="utf-8") as file:
            return file.read()

    def unsplit(self, *args, under=(), env=None, **options):
        """Run `unsplit ARGS...` to its end."""
        command = [*under, setting("UNSPLIT_CLI"), *map(str, args)]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              env=environment(**(env or {})), check=False, timeout=60, **options)
        return Outcome(done.returncode, done.stdout, done.stderr)

    def start(self, command, **options):
        """Start a program that is ended with the test."""
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   text=True, **options)
        self.addCleanup(self.end, process)
        return process

    @staticmethod
    def end(process):
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()

    def hold(self, mib=64, work="", library=None, conf="background:off"):
        """A python program that holds `mib` MiB, and has done `work`; with the library if one is
        given."""
        env = environment(PYTHONMALLOC="malloc")
        if library:
            env = environment(PYTHONMALLOC="malloc", LD_PRELOAD=library, UNSPLIT_CONF=conf)
        process = self.start(["/usr/bin/python3", "-c", HOLDER.format(mib=mib, work=work)],
                             env=env)
        self.assertEqual(process.stdout.readline(), "ready\n")
        # What follows, to read, takes some memory too.
        while not is_asleep(process.pid):
            time.sleep(0.001)
        return process

    def hold_preloaded(self, **options):
        return self.hold(library=setting("UNSPLIT_LIB"), **options)

    def refuses(self, args, status, line, **options):
        """Ends with this status and this one line, and prints nothing else."""
        outcome = self.unsplit(*args, **options)
        self.assertEqual(outcome.err, f"unsplit: {line}\n")
        self.assertEqual(outcome.status, status)
        self.assertEqual(outcome.out, "")

    def as_nobody(self):
        """Options of subprocess, and a copy of the command: another user's, who may not read what
        is ours."""
        copy = self.path("unsplit")
        shutil.copy(setting("UNSPLIT_CLI"), copy)
        return copy, {"user": NOBODY, "group": NOBODY, "extra_groups": []}

    def fits(self, text):
        for line in text.splitlines():
            self.assertLess(len(line), 80, line)


def rollup(pid):
    """The fields of smaps_rollup, in bytes."""
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
        return {name: int(kib) * 1024 for name, kib in re.findall(r"(\w+):\s+(\d+) kB", file.read())}


def is_asleep(pid):
    with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
        return file.read().rpartition(")")[2].split()[0] in "SZ"


def is_kernel_thread(pid):
    try:
        with open(f"/proc/{pid}/status", encoding="utf-8", errors="replace") as file:
            status = file.read()
    except OSError:
        return False
    return "VmSize" not in status and "State:\tZ" not in status


def kernel_thread():
    """The id of some thread of the kernel; None where none can be seen, as in a container."""
    ids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    return next(filter(is_kernel_thread, ids), None)


def loads(text):
    return json.loads(text)
