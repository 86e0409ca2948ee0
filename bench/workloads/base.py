"""What a workload is: something that can be run under any allocator, and what one run yields."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from measure import Failure

MIB = 1 << 20


@dataclass
class Setting:
    """What all runs share."""
    build: Path    # where the project is built
    scratch: Path  # a directory for inputs and outputs
    quick: bool    # sizes that only show that all works


class Workload:
    """One kind of work.  `big` ones keep 64 MiB or more live."""
    name: str
    what: str           # for the table, a few words
    big = True
    warm = 64           # MiB to touch before each run
    once = False        # takes long: in the first round only, unless it was asked for by name
    programs = ()       # absolute paths, all needed
    package = ""        # which Debian package has them

    def warm_bytes(self, setting):
        """How much memory to touch before each run."""
        return self.warm * MIB // (10 if setting.quick else 1)

    def missing(self):
        """The programs that are not installed."""
        return [program for program in self.programs if not shutil.which(program)]

    def prepare(self, setting):
        """Make inputs, once, before anything is measured."""

    def run(self, setting, env, first):
        """Run once with `env` added to the environment; `first` in the first round of an allocator.
        Returns what outcome() does, or raises Failure."""
        raise NotImplementedError


def outcome(watch=None, seconds=None, **more):
    """The figures of one run; None is what was not measured in it."""
    figures = dict.fromkeys(("seconds", "faults", "anonymous", "coverage", "coverage_last",
                             "charged_peak", "charged_drained", "live_drained", "latency_ms",
                             "events", "moments"))
    if watch:
        peak = watch.peak()
        figures.update(faults=watch.faults, charged_peak=watch.charged_peak(), events=watch.events,
                       anonymous=peak and peak.anonymous, coverage=coverage(peak))
    return {**figures, "seconds": seconds, **more}


def coverage(moment):
    """The huge share of anonymous memory at that moment, or None."""
    return moment.huge / moment.anonymous if moment and moment.anonymous else None


def expect(condition, message):
    """Raise Failure unless the condition holds."""
    if not condition:
        raise Failure(message)
