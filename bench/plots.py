"""Plots of the lifecycle workloads by gnuplot: memory over time, and what is bounded and huge."""

import json
import subprocess

from allocators import OURS
from summary import ratio

MIB = 1 << 20
GNUPLOT = "/usr/bin/gnuplot"

# Told apart by colour and in print; ours is drawn last, and bold.
COLOURS = ("#999999", "#555555", "#e69f00", "#b8860b", "#56b4e9", "#009e73", "#cc79a7", "#0072b2",
           "#882255", "#44aa99")
OUR_COLOUR = "#d62728"

MEMORY = """
set terminal svg size 900,760 font 'sans,13' background 'white'
set output {output}
set multiplot layout 2,1 title {title} noenhanced
set key outside right top samplen 2 noenhanced
set grid ytics lt 1 lw 0.5 lc rgb '#cccccc'
set yrange [0:*]
set xrange [0:{end}]
set ylabel 'charged to the memory cgroup, MiB'
plot {charged}
set xlabel 'seconds'
set ylabel 'RSS (anonymous), MiB'
plot {rss}
unset multiplot
"""

FRONTIER = """
set terminal svg size 860,520 font 'sans,13' background 'white'
set output {output}
set title {title} noenhanced
set key outside right top noenhanced
set grid lt 1 lw 0.5 lc rgb '#cccccc'
set logscale x
set xtics (1, 1.5, 2, 3, 5, 7, 10, 15, 20, 30, 50, 70, 100)
set xrange [1:{most}]
set yrange [-4:104]
set xlabel 'charged after the drain and the wait, per live byte (less is better)'
set ylabel '% huge after growing again (more is better)'
plot {points}
"""


def draw(directory, workloads, runs):
    """Write all plots for which there are runs; returns their paths."""
    paths = []
    for name, workload in workloads.items():
        first = {allocator: of[0] for allocator, of in runs.get(name, {}).items()
                 if of and of[0]["moments"]}
        if first:
            paths += [memory(directory / f"memory-{name}.svg", name, workload, first),
                      frontier(directory / f"frontier-{name}.svg", name, workload, first)]
    return paths


def in_order(first):
    """(allocator, its run, colour), ours last."""
    for colour, allocator in zip(COLOURS * 9, [name for name in first if name != OURS]):
        yield allocator, first[allocator], colour
    if OURS in first:
        yield OURS, first[OURS], OUR_COLOUR


def quoted(text):
    """A string of gnuplot's."""
    return json.dumps(str(text), ensure_ascii=False)


def gnuplot(path, blocks, script):
    """Run the script, with blocks of data that it may call $NAME."""
    data = "".join(f"${name} << EOD\n" + "".join(line + "\n" for line in lines) + "EOD\n"
                   for name, lines in blocks.items())
    subprocess.run([GNUPLOT, "-d"], input=data + script, text=True, check=True)
    return path


# ---- memory over time ----

def memory(path, name, workload, first):
    blocks = {"live": live_lines(first)}
    curves = {"anonymous": [], "charged": []}
    for i, (allocator, run, colour) in enumerate(in_order(first)):
        width = 3 if allocator == OURS else 1.5
        for key, of in curves.items():
            blocks[f"{key}{i}"] = [f"{m['at']} {m[key] / MIB}" for m in run["moments"]
                                   if m[key] is not None] or ["NaN NaN"]
            of.append(f"${key}{i} with lines lw {width} lc rgb '{colour}' "
                      f"title {quoted(allocator)}")
    for of in curves.values():
        of.append("$live with lines dt 2 lw 1.5 lc rgb 'black' title 'live'")
    end = max(moment["at"] for run in first.values() for moment in run["moments"])
    return gnuplot(path, blocks, MEMORY.format(
        output=quoted(path), title=quoted(f"{name}: {workload.what}"), end=end,
        charged=", ".join(curves["charged"]), rss=", ".join(curves["anonymous"])))


def live_lines(first):
    """What the program itself holds, from phase to phase of the run that is drawn last."""
    *_, (_, run, _) = in_order(first)
    lines, at = ["0 0"], 0
    for phase in run["phases"]:
        at += phase["seconds"]
        lines.append(f"{at} {phase['live'] / MIB}")
    return lines


# ---- what is bounded, and what is huge again ----

def frontier(path, name, workload, first):
    blocks, points, xs = {}, [], []
    for i, (allocator, run, colour) in enumerate(in_order(first)):
        x = ratio(run["charged_drained"], run["live_drained"])
        if x is None or run["coverage_last"] is None:
            continue
        xs.append(x)
        blocks[f"point{i}"] = [f"{x} {100 * run['coverage_last']}"]
        points.append(f"$point{i} with points pt {5 + 2 * (i % 5)} ps 1.6 lc rgb '{colour}' "
                      f"title {quoted(allocator)}")
    return gnuplot(path, blocks, FRONTIER.format(
        output=quoted(path), title=quoted(f"{name}: {workload.what}"),
        most=max(xs, default=2) * 1.3,
        points=", ".join(points) or "NaN"))
