"""bench/compare: that it measures and writes what it says, and refuses what it cannot do."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import unittest
import xml.etree.ElementTree
from pathlib import Path

HERE = Path(__file__).resolve().parent
BUILD = os.environ.get("COMPARE_BUILD", str(HERE.parent / "build"))
sys.path.insert(0, str(HERE))

import allocators  # noqa: E402
import measure  # noqa: E402
import summary  # noqa: E402
import tables  # noqa: E402
import watch  # noqa: E402
import workloads  # noqa: E402


def compare(*arguments):
    return subprocess.run([sys.executable, "-B", HERE / "compare", "--build", BUILD, *arguments],
                          capture_output=True, text=True, check=False)


class Case(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        directory = tempfile.TemporaryDirectory(prefix="unsplit-compare-test-")
        self.addCleanup(directory.cleanup)
        self.directory = Path(directory.name)

    def library(self, code):
        """A library that runs this code when it is loaded."""
        path = self.directory / "made.so"
        headers = "".join(f"#include <{name}.h>\n" for name in ("stdio", "stdlib", "unistd"))
        source = f"{headers}__attribute__((constructor)) static void start(void) {{ {code} }}\n"
        subprocess.run(["cc", "-shared", "-fPIC", "-x", "c", "-", "-o", path], input=source,
                       text=True, check=True)
        return path


class Refusals(Case):
    def refuses(self, message, *arguments):
        done = compare(*arguments)
        self.assertEqual((done.returncode, done.stdout, done.stderr.count("\n")), (2, "", 1),
                         done.stderr)
        self.assertIn(message, done.stderr)

    def test_unknown_names(self):
        self.refuses("unknown workload 'chrun'; known: churn, ", "--workload", "chrun,churn")
        self.refuses("unknown allocator 'jmalloc'; known: plain glibc, ", "--only", "jmalloc")

    def test_peers(self):
        self.refuses("--peer x: there is no file '/nowhere'", "--peer", "x=/nowhere")
        self.refuses("--peer 'x' is not NAME=LIBRARY", "--peer", "x")
        self.refuses("--peer x: 'y' is not VARIABLE=VALUE", "--peer", f"x={__file__},y")
        self.refuses("cannot be preloaded", "--only", "x", "--peer", f"x={__file__}")
        self.refuses("a name has no comma", "--peer", f"x,y={__file__}")
        self.refuses("'unsplit' is taken", "--peer", f"unsplit={__file__}")
        self.refuses("--peer jemalloc: there is one of that name", "--peer",
                     f"jemalloc={__file__}")
        self.refuses("--peer x: there is one of that name", "--peer", f"x={__file__}",
                     "--peer", f"x={__file__},A=1")

    def test_options(self):
        self.refuses("--rounds takes a number from 1, not 0", "--rounds", "0")
        self.refuses("invalid choice: 'never'", "--thp", "never")
        self.refuses("unrecognized arguments: --fast", "--fast")
        self.refuses("there is no directory", "--json", "/nowhere/file")
        self.refuses("nothing is built there", "--build", "/nowhere")


class Peers(Case):
    """What is made of --peer."""

    def parse(self, settings):
        name, library, env = allocators.parse_peer(f"new one={__file__}{settings}")
        self.assertEqual((name, library), ("new one", __file__))
        return env

    def test_variables(self):
        self.assertEqual(self.parse(""), {})
        self.assertEqual(self.parse(",A=1,_b2="), {"A": "1", "_b2": ""})

    def test_commas_in_values(self):
        self.assertEqual(self.parse(",MALLOC_CONF=thp:always,hpa:true,MORE=1,2"),
                         {"MALLOC_CONF": "thp:always,hpa:true", "MORE": "1,2"})
        self.assertEqual(self.parse(",A=x=1,2=3,a.b=4,,B=5"), {"A": "x=1,2=3,a.b=4,", "B": "5"})

    def test_what_a_library_says_of_its_settings_is_passed_on(self):
        library = self.library('if (getenv("SAY")) fputs("1\\n2\\n3\\n4\\n", stderr);')
        for env, noted in (({"SAY": "1"}, ["x says: 1; 2; 3"]), ({}, [])):
            notes = []
            found = allocators.find({"x": (str(library), env)}, notes.append)
            self.assertEqual((found["x"], notes), ({"LD_PRELOAD": str(library), **env}, noted))


class Quick(Case):
    """One small round of some workloads, for plain glibc and ours."""

    def test_round(self):
        names = ["lifecycle", "server", "pipe", "blocks", "fragment", "fork", "true", "gcc-small"]
        output, plots = self.directory / "all.json", self.directory / "plots"
        done = compare("--quick", "--only", "plain glibc,unsplit", "--workload", ",".join(names),
                       "--json", output, "--plots", plots)
        self.assertEqual(done.returncode, 0, done.stderr)
        measured = json.loads(output.read_text())
        self.assertEqual(list(measured["workloads"]), names)
        for name in names:
            self.assertIn(f"### {name}\n", done.stdout)
            for allocator in ("plain glibc", "unsplit"):
                self.check(name, measured["workloads"][name]["allocators"][allocator]["medians"])
        self.check_plots(plots)

    def check(self, name, medians):
        self.assertGreater(medians["seconds"], 0, name)
        self.assertGreater(medians["faults"], 0, name)
        if workloads.ALL[name].big:
            self.assertGreater(medians["anonymous"], 8 << 20, name)
            self.assertTrue(0 <= medians["coverage"] <= 1, name)

    def check_plots(self, plots):
        for name in ("memory-lifecycle.svg", "frontier-lifecycle.svg"):
            self.assertTrue(xml.etree.ElementTree.parse(plots / name).getroot().tag.endswith("svg"))
        self.assertIn("unsplit", (plots / "memory-lifecycle.svg").read_text())

    def test_a_peer_that_fails_is_a_row_and_no_error(self):
        library = self.library('if (getenv("BAD")) _exit(3);')
        done = compare("--quick", "--only", "plain glibc,bad,unsplit", "--workload", "pipe",
                       "--peer", f"bad={library},BAD=1")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("| bad | failed |", done.stdout)
        self.assertIn("pipe under bad: simulate ended with status 3", done.stderr)

    def test_a_server_that_fails_is_quoted(self):
        self.directory.chmod(0o755)  # the server of postgres is not root
        library = self.library('if (!getenv("BAD")) return;'
                               'fputs("first\\nbad luck\\n", stderr); _exit(3);')
        done = compare("--quick", "--only", "bad", "--workload", "postgres",
                       "--peer", f"bad={library},BAD=yes")
        self.assertIn("postgres under bad: postgres did not start: bad luck\n", done.stderr)


class Ended(Case):
    """The mode of THP is restored, whatever ends the comparison.  A directory stands for that of
    the kernel."""

    def ended_by(self, number):
        knob = self.directory / "enabled"
        knob.write_text("always [madvise] never")
        script = (f"import pathlib, runpy, sys; sys.path.insert(0, '{HERE}'); import measure; "
                  f"measure.THP = pathlib.Path('{self.directory}'); "
                  f"runpy.run_path('{HERE / 'compare'}', run_name='__main__')")
        process = subprocess.Popen(
            [sys.executable, "-B", "-c", script, "--build", BUILD, "--only", "plain glibc",
             "--workload", "churn", "--thp", "always"],
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        with process:
            self.assertIn("round 1 of 3: churn", process.stderr.readline())
            self.assertEqual(knob.read_text(), "always")
            process.send_signal(number)
            process.stderr.read()
        self.assertEqual((process.returncode, knob.read_text()), (128 + number, "madvise"))

    def test_interrupted(self):
        self.ended_by(signal.SIGINT)

    def test_terminated(self):
        self.ended_by(signal.SIGTERM)


class Watched(Case):
    """What follows a run from outside."""

    def test_what_takes_too_long_is_ended_with_its_children(self):
        with self.assertRaisesRegex(measure.Failure, "it took longer than 0.2 s"):
            with watch.Watch(0.05) as watched:
                watched.limit = 0.2
                process = watched.start(["/bin/sh", "-c", "sleep 60 & wait"], {})
                watched.wait()
        self.assertEqual(process.returncode, -9)

    def test_faults_and_memory(self):
        seen = self.directory / "seen"
        with watch.Watch(0.01) as watched:
            script = ("import os, time\nb = b'x' * (64 << 20)\n"
                      f"while not os.path.exists('{seen}'): time.sleep(0.01)")
            watched.start([sys.executable, "-c", script], {})
            while not watched.moments or watched.peak().anonymous < 64 << 20:
                time.sleep(0.01)
            seen.touch()
            self.assertEqual(watched.wait(), 0)
        self.assertGreater(watched.faults, 100)
        self.assertGreaterEqual(watched.charged_peak() or 64 << 20, 64 << 20)


def made_up(seconds, coverage=1.0, **more):
    return {"runs": 3, **dict.fromkeys(summary.FIGURES), "seconds": seconds, "coverage": coverage,
            "anonymous": 512 << 20, "charged_peak": 600 << 20, **dict.fromkeys(summary.SPLITS, 0),
            **more}


class Figures(Case):
    """What is made of the figures."""

    def test_median_skips_what_was_not_measured(self):
        self.assertEqual(summary.middle([3, None, 1, 2]), 2)
        self.assertIsNone(summary.middle([None]))
        self.assertIsNone(summary.medians([]))

    def test_best_peer_is_the_fastest_of_the_others(self):
        row = summary.compare({"slow": made_up(4), "fast": made_up(2), "failed": None,
                               "unsplit": made_up(1, charged_peak=300 << 20)})
        self.assertEqual((row["time"], row["rival"], row["charged"]), (0.5, "fast", 0.5))
        self.assertIsNone(summary.compare({"fast": made_up(2), "unsplit": None}))

    def test_summary(self):
        rows = {"a": summary.compare({"peer": made_up(1), "unsplit": made_up(2, 0.9)}),
                "b": summary.compare({"peer": made_up(2), "unsplit": made_up(1, deferred=3)}),
                "c": summary.compare({"peer": made_up(1), "unsplit": made_up(1, 0, anonymous=1)})}
        s = summary.summarize(rows, {"a": True, "b": True, "c": False})
        self.assertAlmostEqual(s["big"], 1)
        self.assertEqual((s["small"], s["worst"], s["worst_workload"]), (1, 2, "a"))
        self.assertEqual((s["coverage"], s["coverage_workload"], s["deferred"]), (0.9, "a", 3))
        self.assertIsNone(s["drained"])

    def test_who_has_no_huge_pages_is_said_if_it_is_there(self):
        for mode, names, wanted in (("madvise", ("tcmalloc", "x"), True),
                                    ("always", ("tcmalloc", "x"), False),
                                    ("madvise", ("x",), False)):
            figures = {"true": {name: made_up(1) for name in names}}
            text = tables.markdown(mode, 1, {"true": workloads.ALL["true"]}, figures, [])
            self.assertEqual("No huge pages in this mode: tcmalloc." in text, wanted, text)

    def test_table_leaves_out_columns_without_figures(self):
        text = "\n".join(tables.of_workload(workloads.ALL["true"], {"x": made_up(0.25),
                                                                   "y": None}))
        self.assertIn("| x | 250.0 | 100.0 | 600.0 | 0 | 0 |", text)
        self.assertIn("| y | failed |", text)
        self.assertNotIn("drained", text)


if __name__ == "__main__":
    unittest.main()
