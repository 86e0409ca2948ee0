"""The comparison as Markdown."""

from allocators import DO_NOT_ASK
from summary import compare, summarize

MIB = 1 << 20

# Heading, figure, format, divided by.
COLUMNS = (
    ("time, ms", "seconds", ",.1f", 0.001),
    ("faults", "faults", ",.0f", 1),
    ("huge at peak, %", "coverage", ".1f", 0.01),
    ("in the end, %", "coverage_last", ".1f", 0.01),
    ("charged at peak, MiB", "charged_peak", ",.1f", MIB),
    ("charged drained, MiB", "charged_drained", ",.1f", MIB),
    ("p99.9, ms", "latency_ms", ".3f", 1),
    ("deferred", "deferred", ",.0f", 1),
    ("split", "split_page", ",.0f", 1),
)


def cell(value, form, divisor=1):
    return "-" if value is None else format(value / divisor, form)


def table(headings, rows):
    """Lines of a Markdown table; the first column is text."""
    lines = [headings, ["---"] + ["--:"] * (len(headings) - 1), *rows]
    return ["| " + " | ".join(line) + " |" for line in lines]


def of_workload(workload, by_allocator):
    """One workload: a row for each allocator.  Columns that nobody has a figure for are left
    out."""
    columns = [column for column in COLUMNS
               if any(f and f[column[1]] is not None for f in by_allocator.values())]
    rows = [[name, *(cell(f[key], form, divisor) for _, key, form, divisor in columns)]
            if f else [name, "failed", *[""] * (len(columns) - 1)]
            for name, f in by_allocator.items()]
    runs = max((f["runs"] for f in by_allocator.values() if f), default=0)
    return [f"### {workload.name}", "", f"{workload.what}; {runs} run{'s' * (runs != 1)} each.", "",
            *table(["allocator", *(heading for heading, *_ in columns)], rows), ""]


def of_summary(workloads, medians):
    """unsplit against the best peer: a row for each workload, then what they come to."""
    compared = {name: compare(by_allocator) for name, by_allocator in medians.items()}
    rows = [[name, "big" if workloads[name].big else "small", cell(c["time"], ".2f"),
             c["rival"] or "-", cell(c["charged"], ".2f"), cell(c["coverage"], ".1f", 0.01),
             cell(c["last"], ".1f", 0.01), cell(c["deferred"], ",.0f"), cell(c["drained"], ".2f"),
             c["thriftiest"] or "-"]
            for name, c in compared.items() if c]
    if not rows:
        return []
    return [*table(["workload", "size", "time / best peer", "best peer",
                    "charged at peak / least peer", "huge at peak, %", "in the end, %",
                    "deferred splits", "charged drained / least peer", "least peer"], rows), "",
            *totals(summarize(compared, {name: w.big for name, w in workloads.items()})), ""]


def totals(s):
    return [
        f"- time, geometric mean of big workloads: {cell(s['big'], '.3f')}, "
        f"of small ones: {cell(s['small'], '.3f')}, "
        f"worst: {cell(s['worst'], '.2f')} ({s['worst_workload'] or '-'})",
        f"- least huge share at 256 MiB and more: {cell(s['coverage'], '.1f', 0.01)} % "
        f"({s['coverage_workload'] or '-'})",
        f"- deferred splits, all together: {s['deferred']:,.0f}",
        f"- charged after drain, at worst: {cell(s['drained'], '.2f')} of the least peer",
    ]


def markdown(mode, rounds, workloads, medians, left_out):
    """Everything, as one text."""
    lines = [f"Medians of {rounds} round{'s' * (rounds > 1)}, "
             f"transparent_hugepage/enabled={mode or 'not known'}."]
    asking_not = [name for name in DO_NOT_ASK if any(name in by for by in medians.values())]
    if mode == "madvise" and asking_not:
        lines.append(f"No huge pages in this mode: {', '.join(asking_not)}.")
    lines += ["", *of_summary(workloads, medians)]
    for name, by_allocator in medians.items():
        lines += of_workload(workloads[name], by_allocator)
    lines += [f"Left out: {text}." for text in left_out]
    return "\n".join(lines).rstrip() + "\n"
