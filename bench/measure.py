"""Run a command in a memory cgroup of its own, and say what the kernel counted for it.

Memory is measured as what the cgroup is charged: unlike RSS that shows huge pages which the
process has given back in part only, and which the kernel therefore still holds for it.
"""

import glob
import mmap
import os
import re
import select
import subprocess
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

THP = Path("/sys/kernel/mm/transparent_hugepage")
UNIT = 2 << 20
EVENTS = ("thp_split_pmd", "thp_split_page", "thp_deferred_split_page", "thp_fault_alloc",
          "thp_collapse_alloc")


class Failure(Exception):
    """A program did not do what it should."""


@contextmanager
def thp_set(mode):
    """Set transparent_hugepage/enabled for a while; needs root.  None leaves it alone."""
    old = thp_mode()
    try:
        if mode:
            (THP / "enabled").write_text(mode)
        yield
    finally:
        if mode and old:
            (THP / "enabled").write_text(old)


def thp_mode():
    """The word in brackets of transparent_hugepage/enabled, or None without THP."""
    try:
        return re.search(r"\[(\w+)\]", (THP / "enabled").read_text()).group(1)
    except (OSError, AttributeError):
        return None


def thp_events():
    """The events of /proc/vmstat, which counts for the whole machine."""
    lines = (line.split() for line in Path("/proc/vmstat").read_text().splitlines())
    return {key: int(value) for key, value in lines if key in EVENTS}


# ---- memory cgroups ----

def _cgroup_dirs():
    """The directories in which a child cgroup may be made: our own cgroup, then its parents."""
    roots = {"memory": Path("/sys/fs/cgroup/memory"), "": Path("/sys/fs/cgroup")}
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers in roots:
            path = Path(path.lstrip("/"))
            yield from (roots[controllers] / p for p in (path, *path.parents))


class Cgroup:
    """A memory cgroup.  With version 2 the controller must be on in the parent, else there is no
    memory.current in it and it is of no use."""

    def __init__(self, path):
        self.path = path
        self.usage = next(p for p in (path / "memory.usage_in_bytes", path / "memory.current")
                          if p.exists())

    def join(self):
        (self.path / "cgroup.procs").write_text("0")

    def memory(self):
        """Bytes of anonymous memory that is mapped, of that in huge pages, and charged without page
        cache.  Cheap: unlike smaps it stops nobody from changing his mappings."""
        usage = int(self.usage.read_text())
        stat = {key: int(value) for key, value in
                (line.split() for line in (self.path / "memory.stat").read_text().splitlines())}
        if "total_cache" in stat:  # version 1
            return stat["total_rss"], stat["total_rss_huge"], usage - stat["total_cache"]
        return stat["anon"], stat.get("anon_thp", 0), usage - stat["file"]

    def peak(self):
        """The most that was charged at once, or None where the kernel does not keep it."""
        for name in ("memory.max_usage_in_bytes", "memory.peak"):
            if (self.path / name).exists():
                return int((self.path / name).read_text())
        return None


def _make_cgroup():
    for parent in _cgroup_dirs():
        path = parent / f"unsplit-bench-{os.getpid()}"
        try:
            path.mkdir()
        except OSError:
            continue
        try:
            return Cgroup(path)
        except StopIteration:
            path.rmdir()
    return None


def _remove_cgroup(path):
    """The kernel may need a moment to see that the last process is gone."""
    for _ in range(50):
        try:
            return path.rmdir()
        except OSError:
            time.sleep(0.02)


@contextmanager
def own_cgroup():
    """A fresh memory cgroup, or None if we may not make one."""
    group = _make_cgroup()
    try:
        yield group
    finally:
        if group:
            _remove_cgroup(group.path)


# ---- running a command ----

@dataclass
class Sample:
    """What a process holds at one moment, in bytes."""
    anonymous: int = 0
    huge: int = 0
    asked: int = 0  # resident in mappings advised with MADV_HUGEPAGE


@dataclass
class Run:
    """What a command cost, and what it printed."""
    status: int
    seconds: float
    faults: int
    rss_peak: int  # never below what this interpreter had when it started the command
    charged_peak: int | None
    output: str
    peak: Sample
    events: dict


def take_sample(pid):
    """Sum up /proc/PID/smaps; all zero if the process is gone."""
    sample, resident = Sample(), 0
    try:
        lines = Path(f"/proc/{pid}/smaps").read_text().splitlines()
    except OSError:
        return sample
    for line in lines:
        key, _, value = line.partition(":")
        if key == "Rss":
            resident = int(value.split()[0]) << 10
        elif key == "Anonymous":
            sample.anonymous += int(value.split()[0]) << 10
        elif key == "AnonHugePages":
            sample.huge += int(value.split()[0]) << 10
        elif key == "VmFlags" and "hg" in value.split():
            sample.asked += resident
    return sample


def _watch(process, interval):
    """Wait for the process.  Returns its resource usage and the sample in which it held most."""
    peak = Sample()
    pidfd = os.pidfd_open(process.pid)
    try:
        while not select.select([pidfd], [], [], interval)[0]:
            peak = max(peak, take_sample(process.pid), key=lambda sample: sample.anonymous)
    finally:
        os.close(pidfd)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return usage, peak


def run(argv, env, stdin=subprocess.DEVNULL, interval=None):
    """Run argv with `env` added to the environment.  If an interval is given, its memory is
    sampled every so many seconds, which costs it a little time."""
    with own_cgroup() as group, tempfile.TemporaryFile("w+") as output:
        events, start = thp_events(), time.monotonic()
        process = subprocess.Popen(argv, env={**os.environ, **env}, stdin=stdin, stdout=output,
                                   preexec_fn=group.join if group else None)
        usage, peak = _watch(process, interval)
        seconds, later = time.monotonic() - start, thp_events()
        output.seek(0)
        return Run(process.returncode, seconds, usage.ru_minflt, usage.ru_maxrss << 10,
                   group.peak() if group else None, output.read(), peak,
                   {key: later[key] - events[key] for key in events})


def prewarm(size):
    """Touch so much memory in huge pages, and free it: right before each run, or whoever runs first
    pays.  In a virtual machine memory that the host must supply first is some 50 times dearer, and
    a guest with free page reporting hands free huge blocks back to the host after two seconds."""
    available = int(re.search(r"MemAvailable: *(\d+)", Path("/proc/meminfo").read_text())[1]) << 10
    size = max(min(size, available // 2) & ~(UNIT - 1), UNIT)
    with mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as memory:
        try:
            memory.madvise(mmap.MADV_HUGEPAGE)
        except OSError:
            pass  # a kernel without THP: base pages will do
        for offset in range(0, size, mmap.PAGESIZE):
            memory[offset] = 1


def find_library(name):
    """The path of a shared object where Debian installs it, or None."""
    found = glob.glob(f"/usr/lib/*-linux-gnu/{name}") + glob.glob(f"/usr/local/lib/{name}")
    return found[0] if found else None
