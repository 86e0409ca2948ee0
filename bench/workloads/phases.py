"""Workloads that are programs of ours.  They print a line of JSON after each phase."""

import json
import subprocess
from dataclasses import asdict

import measure
from watch import Watch
from .base import Workload, expect, outcome

WAITS = {"light", "idle", "await"}  # phases whose time says nothing
INTERVAL = 0.05


class Phases(Workload):
    """A program of ours with its arguments."""

    def __init__(self, name, what, arguments, quick, **more):
        self.name, self.what = name, what
        self.arguments, self.quick = arguments.split(), quick.split()
        vars(self).update(more)

    def run(self, setting, env, first):
        program, *arguments = self.arguments
        quick = self.quick if setting.quick else ()
        argv = [setting.build / "bench" / program, *arguments, *quick]
        with Watch(INTERVAL) as watch:
            process = watch.start(argv, env, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                  text=True)
            with process.stdin, process.stdout:
                lines = [*self.follow(process, argv, setting)]
            expect(watch.wait() == 0, f"{program} ended with status {process.returncode}")
        phases = [json.loads(line) for line in lines]
        if not watch.group:  # what they read is charged to others as well
            phases = [{**phase, "charged": None} for phase in phases]
        return self.figures(watch, phases)

    def follow(self, process, argv, setting):
        """What it prints.  Before it goes on from a phase `await`, memory is warmed: in the time
        that it waits for, the host took back what it had given up, and whoever keeps all would
        win."""
        todo = phases_of(argv)
        for line in process.stdout:
            yield line
            todo = todo[1:]
            if todo[:1] == ["await"]:
                measure.prewarm(self.warm_bytes(setting))
                process.stdin.write("\n")
                process.stdin.flush()

    def figures(self, watch, phases):
        seconds = sum(phase["seconds"] for phase in phases if phase["phase"] not in WAITS)
        figures = outcome(watch, seconds, **of_drained(phases), latency_ms=worst_latency(phases))
        fullest = max(phases, key=lambda phase: phase["anonymous"])
        if fullest["anonymous"] >= (figures["anonymous"] or 0):
            figures["anonymous"] = fullest["anonymous"]
            figures["coverage"] = fullest["huge"] / fullest["anonymous"]
        last = [phase for phase in phases if phase["live"]][-1]
        figures["coverage_last"] = last["huge"] / last["anonymous"]
        figures["charged_peak"] = max(filter(None, (figures["charged_peak"],
                                                    *(phase["charged"] for phase in phases))),
                                      default=None)
        if self.once:  # the memory over time is of interest
            figures["moments"] = [asdict(moment) for moment in watch.moments]
            figures["phases"] = phases
        return figures


def phases_of(argv):
    """The list that the last --phases names; empty if there is none."""
    lists = [after for option, after in zip(argv, argv[1:]) if option == "--phases"]
    return lists[-1].split(",") if lists else []


def of_drained(phases):
    """What is charged after the wait that follows a drain, if there is one."""
    for drain, after in zip(phases, phases[1:]):
        if drain["phase"] == "drain" and after["phase"] in WAITS:
            return {"charged_drained": after["charged"], "live_drained": after["live"]}
    return {}


def worst_latency(phases):
    """The 99.9 % quantile of the phase in which it was worst, in ms, or None."""
    return max((phase["latency_ns"]["p99.9"] / 1e6 for phase in phases if "latency_ns" in phase),
               default=None)


QUICK_CHURN = "--objects 3000 --replacements 10000"

PHASES = (
    Phases("churn", "objects of 16 B to 256 KiB replaced at random",
           "churn --objects 30000 --replacements 150000 --phases grow,churn,free", QUICK_CHURN,
           warm=1200),
    Phases("churn-threads", "the same in two threads, a quarter freed by the other",
           "churn --objects 30000 --replacements 200000 --threads 2 --remote 0.25"
           " --phases grow,churn,free", QUICK_CHURN, warm=1200),
    Phases("lifecycle", "grow, churn, drain by 90 %, wait 12 s, grow again, wait 4 s",
           "churn --objects 30000 --replacements 60000"
           " --phases grow,churn,drain,light:12,await,regrow,light:4",
           QUICK_CHURN + " --phases grow,churn,drain,light:0.1,await,regrow,light:0.1",
           warm=1200, once=True),
    Phases("lifecycle-small", "the same with small objects: 64 to 512 B, drained by 98 %",
           "churn --objects 2000000 --min 64 --max 512 --replacements 500000"
           " --phases grow,churn,drain:98,light:12,await,regrow,light:4",
           "--objects 100000 --replacements 20000"
           " --phases grow,churn,drain:98,light:0.1,await,regrow,light:0.1",
           warm=800, once=True),
    Phases("server", "sessions of small records in two threads", "simulate server",
           "--mib 32 --count 10000", warm=800),
    Phases("pipe", "one thread frees what another allocates", "simulate pipe --count 1000000",
           "--mib 16 --count 20000", warm=500),
    Phases("blocks", "blocks of 64 KiB to 64 MiB, recycled", "simulate blocks",
           "--mib 128 --count 20", warm=1800),
    Phases("fragment", "sizes drift, bytes stay the same", "simulate fragment", "--mib 16",
           warm=1100),
    Phases("fork", "children read all while the parent writes", "simulate fork --rest 1",
           "--mib 32 --count 3000 --rest 0", warm=900),
)
