"""Follow what one process and its descendants hold while they run.

As root they get a memory cgroup of their own, which tells all at little cost.  Else what is charged
is not known, and /proc/PID/smaps_rollup has to do for the rest.
"""

import os
import re
import signal
import subprocess
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import measure


@dataclass
class Moment:
    """What was held so many seconds after the start, in bytes."""
    at: float
    anonymous: int
    huge: int
    charged: int | None


class Watch:
    """A context in which one process is started, and followed until the context is left.  Whatever
    still runs then is killed, and so is what takes longer than `limit` seconds."""

    limit = 90

    def __init__(self, interval):
        self.interval = interval
        self.moments = []
        self.faults = None
        self.events = {}
        self.charged_limit = None  # more than the cgroup ever had at once, page cache included
        self._context = measure.own_cgroup()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self.process = None
        self._overdue = False

    def __enter__(self):
        self.group = self._context.__enter__()
        self._events_before = measure.thp_events()
        return self

    def start(self, argv, env, **options):
        """Start the process with `env` added to its environment."""
        self._start = time.monotonic()
        self.process = subprocess.Popen(argv, env={**os.environ, **env},
                                        preexec_fn=self.group.join if self.group else None,
                                        **{"stdin": subprocess.DEVNULL, **options})
        self._thread.start()
        return self.process

    def wait(self):
        """Wait for the process to end; returns its exit status.  Faults are those of it and of all
        descendants that were waited for.  Raises measure.Failure if it took too long."""
        _, status, usage = os.wait4(self.process.pid, 0)
        self.process.returncode = os.waitstatus_to_exitcode(status)
        self.faults = usage.ru_minflt
        if self._overdue:
            raise measure.Failure(f"it took longer than {self.limit} s")
        return self.process.returncode

    def __exit__(self, *exception):
        self._done.set()
        if self.process:
            self._thread.join()
            self._kill()
            if self.process.returncode is None:
                self.process.wait()
        later = measure.thp_events()
        self.events = {key: later[key] - self._events_before[key] for key in later}
        if self.group:
            self.charged_limit = self.group.peak()
        return self._context.__exit__(*exception)

    def _follow(self):
        while not self._done.wait(self.interval):
            moment = self.look()
            if moment:
                self.moments.append(moment)
            if time.monotonic() - self._start > self.limit:
                self._overdue = True
                self._kill()
                return

    def _kill(self):
        """Also descendants that others started; without a cgroup only those that have a parent."""
        pids = [self.process.pid] if self.process.returncode is None else []
        if self.group:
            pids = (self.group.path / "cgroup.procs").read_text().split()
        elif pids:
            pids = list(_family(self.process.pid))
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)

    def look(self):
        """What is held now; None if nobody is left to ask."""
        at = time.monotonic() - self._start
        if self.group:
            return Moment(at, *self.group.memory())
        held = [h for h in map(_rollup, _family(self.process.pid)) if h]
        if not held:
            return None
        return Moment(at, sum(h[0] for h in held), sum(h[1] for h in held), None)

    # ---- of all moments ----

    def peak(self):
        """The moment at which most was held, or None if none was seen."""
        return max(self.moments, key=lambda moment: moment.anonymous, default=None)

    def charged_peak(self):
        """The most that was charged at any moment; None if unknown."""
        return max((m.charged for m in self.moments if m.charged is not None), default=None)


def _rollup(pid):
    """Anonymous and huge bytes of a process, or None if it is gone."""
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return None
    field = {key: int(value) << 10 for key, value in re.findall(r"(\w+): +(\d+) kB", text)}
    return field.get("Anonymous", 0), field.get("AnonHugePages", 0)


def _family(pid):
    """A process and all its descendants that are there."""
    yield pid
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return
    for child in children:
        yield from _family(int(child))
