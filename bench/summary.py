"""From the figures of single runs to medians, ratios and the summary."""

from math import exp, log
from statistics import median

from allocators import OURS

FIGURES = ("seconds", "faults", "anonymous", "coverage", "coverage_last", "charged_peak",
           "charged_drained", "live_drained", "latency_ms")
COVERED = 256 << 20  # bytes from which on coverage is asked for
SPLITS = {"deferred": "thp_deferred_split_page", "split_page": "thp_split_page",
          "split_pmd": "thp_split_pmd"}


def middle(values):
    """The median of those that are not None, or None."""
    values = [value for value in values if value is not None]
    return median(values) if values else None


def ratio(a, b):
    """a / b, or None where one is unknown or b is zero."""
    return None if a is None or not b else a / b


def geomean(values):
    """The geometric mean of those that are not None, or None."""
    values = [log(value) for value in values if value is not None]
    return exp(sum(values) / len(values)) if values else None


def medians(runs):
    """The medians of all figures over the runs of one allocator, and how many those are; None
    without runs."""
    if not runs:
        return None
    events = [run["events"] for run in runs if run["events"]]
    return {"runs": len(runs), **{key: middle(run[key] for run in runs) for key in FIGURES},
            **{key: middle(e.get(event) for e in events) for key, event in SPLITS.items()}}


def least(by_allocator, key):
    """(allocator, value) of the peer with the smallest figure, or (None, None)."""
    peers = [(figures[key], name) for name, figures in by_allocator.items()
             if name != OURS and figures and figures[key] is not None]
    value, name = min(peers, default=(None, None))
    return name, value


def compare(by_allocator):
    """How unsplit stands in one workload; None if it was not measured."""
    ours = by_allocator.get(OURS)
    if not ours:
        return None
    rival, fastest = least(by_allocator, "seconds")
    thriftiest, drained = least(by_allocator, "charged_drained")
    _, charged = least(by_allocator, "charged_peak")
    return {"time": ratio(ours["seconds"], fastest), "rival": rival,
            "coverage": ours["coverage"], "anonymous": ours["anonymous"],
            "deferred": ours["deferred"], "drained": ratio(ours["charged_drained"], drained),
            "thriftiest": thriftiest, "last": ours["coverage_last"],
            "charged": ratio(ours["charged_peak"], charged)}


def summarize(rows, big):
    """`rows` and `big`: workload → what compare() returned, and whether it is a big one."""
    rows = {name: row for name, row in rows.items() if row}
    times = {name: row["time"] for name, row in rows.items() if row["time"] is not None}
    worst = max(times, key=times.get, default=None)
    covered = {name: row["coverage"] for name, row in rows.items()
               if row["coverage"] is not None and row["anonymous"] >= COVERED}
    barest = min(covered, key=covered.get, default=None)
    return {"big": geomean(time for name, time in times.items() if big[name]),
            "small": geomean(time for name, time in times.items() if not big[name]),
            "worst": times.get(worst), "worst_workload": worst,
            "coverage": covered.get(barest), "coverage_workload": barest,
            "deferred": sum(row["deferred"] or 0 for row in rows.values()),
            "drained": max((row["drained"] for row in rows.values() if row["drained"]),
                           default=None)}
