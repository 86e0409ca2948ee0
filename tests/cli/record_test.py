"""`unsplit record` and `unsplit plot`: what a process held over time."""

import csv
import os
import signal
import subprocess
import unittest
import xml.etree.ElementTree

from see import MIB, Case, environment, loads, rollup, setting

HEAD = ["time_ms", "used", "backed", "charged", "huge", "broken", "returned_units",
        "demoted_units", "healed_units", "map_cuts"]

# Grows when it is told to, so that nothing depends on how fast it runs: it waits until the
# recording, whose path it gets, has seen what it holds.
GROW = """
import csv, sys, time
def rows():
    with open(sys.argv[1], encoding="ascii") as file:
        return [row for row in csv.DictReader(file) if row["map_cuts"] is not None]
blocks = [b"x" * (1 << 20) for _ in range(64)]
while not any(int(row["backed"] or 0) >= 64 << 20 for row in rows()):
    time.sleep(0.01)
blocks = blocks[:8]
sys.exit(7)
"""


# The kernel takes a while to free so many pages, in which the process is there, without memory.
END = """
import mmap, os
memory = mmap.mmap(-1, 3 << 29, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | mmap.MAP_POPULATE)
os._exit(0)
"""


class Recorded(Case):
    @staticmethod
    def until_lines(path, count):
        """A command that ends when the file has so many lines."""
        return ["sh", "-c", f"until [ $(wc -l <{path}) -ge {count} ]; do sleep 0.01; done"]


class Record(Recorded):
    def record(self, *args, **options):
        return self.unsplit("record", "-i", "10", "-o", self.path("run.csv"), *args, **options)

    def rows(self):
        with open(self.path("run.csv"), encoding="ascii", newline="") as file:
            rows = list(csv.DictReader(file))
        self.assertEqual(list(rows[0]), HEAD)
        return [{k: int(v) if v else None for k, v in row.items()} for row in rows]

    def grow(self, *before):
        script = self.write("grow.py", GROW)
        return [*before, "/usr/bin/python3", script, self.path("run.csv")]

    def test_a_command(self):
        outcome = self.record("--", setting("UNSPLIT_CLI"), "run", "--background=off", "--",
                              "/usr/bin/env", "PYTHONMALLOC=malloc", *self.grow())
        self.assertEqual((outcome.status, outcome.err, outcome.out), (7, "", ""))
        rows = self.rows()
        times = [row["time_ms"] for row in rows]
        self.assertEqual(times, sorted(times))
        most = max(rows, key=lambda row: row["used"] or 0)
        self.assertGreaterEqual(most["used"], 64 * MIB)
        self.assertGreaterEqual(max(row["huge"] for row in rows), 56 * MIB)
        self.assertLessEqual(max(row["huge"] for row in rows), max(row["backed"] for row in rows))

    def test_a_command_without_the_library(self):
        self.assertEqual(self.record(*self.grow()).status, 7)
        rows = self.rows()
        self.assertGreaterEqual(max(row["backed"] for row in rows), 64 * MIB)
        self.assertEqual({row["used"] for row in rows}, {None})

    def test_an_end_that_takes_long_is_no_error(self):
        script = self.write("end.py", END)
        for _ in range(6):  # not at each end does a look fall into that time
            outcome = self.unsplit("record", "-i", "30", "-o", self.path("run.csv"), "--",
                                   "/usr/bin/python3", script)
            self.assertEqual((outcome.status, outcome.err), (0, ""))

    def test_a_process(self):
        program = self.hold_preloaded(mib=32)
        path = self.path("run.csv")
        recorder = self.start([setting("UNSPLIT_CLI"), "record", "-i", "10", "-o", path, "-p",
                               str(program.pid)], env=environment())
        while not os.path.exists(path) or len(self.read("run.csv").splitlines()) < 4:
            self.assertIsNone(recorder.poll())
        kernel = rollup(program.pid)
        program.kill()
        program.wait()
        self.assertEqual(recorder.wait(20), 0)
        for row in self.rows():
            self.assertEqual((row["backed"], row["huge"]),
                             (kernel["Anonymous"], kernel["AnonHugePages"]))

    def test_a_process_without_the_library(self):
        pid = self.hold(mib=8).pid
        path = self.path("run.csv")
        recorder = self.start([setting("UNSPLIT_CLI"), "record", "-i", "10", "-o", path, "-p",
                               str(pid)], env=environment())
        while not os.path.exists(path) or len(self.read("run.csv").splitlines()) < 4:
            self.assertIsNone(recorder.poll())
        for row in self.rows()[:3]:
            self.assertIsNone(row["used"])
            self.assertGreaterEqual(row["backed"], 8 * MIB)

    def test_what_is_ended_by_a_signal_is_whole(self):
        program = self.hold_preloaded(mib=8)
        path = self.path("run.csv")
        recorder = self.start([setting("UNSPLIT_CLI"), "record", "-i", "1", "-o", path, "-p",
                               str(program.pid)], env=environment())
        while not os.path.exists(path) or len(self.read("run.csv").splitlines()) < 10:
            self.assertIsNone(recorder.poll())
        recorder.send_signal(signal.SIGINT)
        recorder.wait(20)
        self.assertTrue(self.read("run.csv").endswith("\n"))
        self.assertEqual({len(line.split(",")) for line in self.read("run.csv").splitlines()},
                         {len(HEAD)})

    def test_json(self):
        path = self.path("run.json")
        self.unsplit("record", "-i", "10", "-o", path, "--json", *self.until_lines(path, 2))
        lines = [loads(line) for line in self.read("run.json").splitlines()]
        self.assertEqual(list(lines[0]), HEAD)

    def test_keeps_the_exit_status(self):
        self.assertEqual(self.record("true").status, 0)
        self.assertEqual(self.record("sh", "-c", "exit 3").status, 3)
        self.assertEqual(self.record("sh", "-c", "kill -TERM $$").status, 128 + signal.SIGTERM)
        outcome = self.record("sh", "-c", 'echo "$1"; echo e >&2', "sh", "a b")
        self.assertEqual((outcome.out, outcome.err), ("a b\n", "e\n"))

    def test_what_cannot_be_started(self):
        outcome = self.record("--", "no-such-program-anywhere")
        self.assertEqual((outcome.status, outcome.err),
                         (127, 'unsplit: "no-such-program-anywhere" is not found\n'))
        plain = self.write("plain", "")
        outcome = self.record(plain)
        self.assertEqual((outcome.status, outcome.err),
                         (126, f'unsplit: "{plain}" cannot be executed: Permission denied\n'))

    def test_processes_that_cannot_be_recorded(self):
        path = self.path("run.csv")
        args = ["record", "-o", path, "-p"]
        self.refuses([*args, "x"], 2,
                     'record: "x" is no process id, which is a number from 1 on')
        with open("/proc/sys/kernel/pid_max", encoding="ascii") as file:
            beyond = int(file.read())
        self.refuses([*args, beyond], 1, f"there is no process {beyond}")
        zombie = self.start(["/bin/true"])
        os.waitid(os.P_PID, zombie.pid, os.WEXITED | os.WNOWAIT)
        self.refuses([*args, zombie.pid], 1, f"process {zombie.pid} (true) has ended")
        library = f"{setting('UNSPLIT_TEST_PROGRAMS')}/foreign/version/libunsplit.so.0"
        pid = self.hold(mib=1, library=library).pid
        outcome = self.unsplit(*args, pid)
        self.assertEqual(outcome.status, 1)
        self.assertIn("runs unsplit 0.0.7, whose statistics this command", outcome.err)
        if os.getuid() == 0:
            command, user = self.as_nobody()
            done = subprocess.run([command, *args[:-1], "-p", str(self.hold(mib=1).pid)],
                                  stderr=subprocess.PIPE, text=True, check=False, **user)
            self.assertEqual(done.returncode, 1)
            self.assertIn("may not be read by this user; be its user, or root\n", done.stderr)
        self.assertEqual(os.path.exists(path), False)

    def test_file_that_cannot_be_written(self):
        self.refuses(["record", "-o", "/no/such/file", "true"], 1,
                     "/no/such/file cannot be written: No such file or directory")
        self.refuses(["record", "-o", "/dev/full", "true"], 1,
                     "/dev/full cannot be written: No space left on device")

    def test_wrong_usage(self):
        more = '; "unsplit help record" tells more'
        self.refuses(["record", "true"], 2, "record needs -o FILE" + more)
        for args in (["record", "-o", "x"], ["record", "-o", "x", "-p", "1", "true"]):
            self.refuses(args, 2, "record needs either a command or -p PID" + more)
        self.refuses(["record", "-x"], 2, 'record has no option "-x"' + more)
        self.refuses(["record", "-i", "0", "-o", "x", "true"], 2,
                     'record: option -i: "0" is no number of milliseconds, which is from 1 on')


class Plot(Recorded):
    def recording(self, rows=((0, 1, 2, 3, 4), (100, 5, 6, 7, 8)), name="run.csv"):
        lines = [",".join([*map(str, row), *[""] * (len(HEAD) - len(row))]) for row in rows]
        return self.write(name, "\n".join([",".join(HEAD), *lines, ""]))

    def plot(self, path, name, *args):
        outcome = self.unsplit("plot", path, "-o", self.path(name), *args)
        self.assertEqual((outcome.status, outcome.err, outcome.out), (0, "", ""))
        with open(self.path(name), "rb") as file:
            return file.read()

    def texts(self, path, *args):
        """What is written in the drawing."""
        root = xml.etree.ElementTree.fromstring(self.plot(path, "out.svg", *args))
        return ["".join(node.itertext()).strip()
                for node in root.iter("{http://www.w3.org/2000/svg}text")]

    def curves(self, path, *args):
        """The titles of the curves in the drawing."""
        texts = self.texts(path, *args)
        known = ("charged to the cgroup", "backed", "on huge pages", "used by the program")
        return [name for name in known if name in texts], texts

    def test_svg(self):
        self.assertEqual(self.curves(self.recording())[0],
                         ["charged to the cgroup", "backed", "on huge pages", "used by the program"])

    def test_png(self):
        self.assertTrue(self.plot(self.recording(), "out.png").startswith(b"\x89PNG\r\n"))

    def test_draws_only_what_is_known(self):
        path = self.recording([(0, "", 2, "", 4), (100, "", 6, "", 8)])
        self.assertEqual(self.curves(path)[0], ["backed", "on huge pages"])

    def test_draws_a_real_recording(self):
        path = self.path("run.csv")
        self.assertEqual(self.unsplit("record", "-i", "10", "-o", path,
                                      *self.until_lines(path, 4)).status, 0)
        self.assertIn("backed", self.curves(path)[0])

    def test_several(self):
        one = self.recording(name="one_a.csv")
        texts = self.texts(one, self.recording(name="two.2.csv"), self.recording(name="three"))
        for name in ("one_a", "two.2", "three", "used by the program (one_a)",
                     "charged to the cgroup, MiB", "% of it on huge pages"):
            self.assertIn(name, texts)
        self.assertNotIn("backed", texts)

    def test_several_of_which_not_all_know_everything(self):
        plain = self.recording([(0, "", 0, "", 0), (100, "", 6, "", 8)], name="plain.csv")
        texts = self.texts(plain, self.recording(name="ours.csv"), "--title", "it's")
        for name in ("backed, MiB", "used by the program (ours)", "it's"):
            self.assertIn(name, texts)
        texts = self.texts(plain, plain)
        self.assertNotIn("used by the program", " ".join(texts))

    def test_several_of_which_one_is_bad(self):
        good, bad = self.recording(), self.write("bad.csv", "")
        self.refuses(["plot", good, bad, "-o", self.path("out.svg")], 1, f"{bad}:1: the file is empty")
        self.assertFalse(os.path.exists(self.path("out.svg")))

    def test_title_and_names_are_taken_literally(self):
        title = "it's a_b ^2 {x}"
        self.assertIn(title, self.curves(self.recording(), "--title", title)[1])
        # To gnuplot some of these would be commands.
        for name in ("it's", "< touch made", "| touch made", "-", "+"):
            self.recording(name=name)
            outcome = self.unsplit("plot", name, "-o", "out.svg", cwd=self.directory)
            self.assertEqual((outcome.status, outcome.err), (0, ""), name)
        self.assertFalse(os.path.exists(self.path("made")))

    def refuses_file(self, content, line):
        path = self.write("bad.csv", content)
        self.refuses(["plot", path, "-o", self.path("out.svg")], 1, path + line)
        self.assertEqual(sorted(os.listdir(self.directory)), ["bad.csv"])

    def test_files_that_are_no_recording(self):
        head = ",".join(HEAD)
        self.refuses_file("", ":1: the file is empty")
        self.refuses_file("a,b\n1,2\n", ":1: this is no recording of this version of unsplit: its "
                          f'first line is not "{head}"')
        self.refuses_file(head + "\n0,1,2,3,4,5,6,7,8,x\n", ':2: "x" is no number')
        few = ": a line needs two looks, and there are only {}; record with a smaller -i"
        self.refuses_file(head + "\n", few.format(0))
        self.refuses_file(head + "\n" + "0" + "," * 9 + "\n", few.format(1))

    def test_cut_off_file(self):
        self.recording()
        whole = self.read("run.csv")
        os.remove(self.path("run.csv"))
        for length in (len(whole) - 1, len(whole) - 2, len(whole) - 8):
            count = whole[:length].splitlines()[-1].count(",") + 1
            self.refuses_file(whole[:length], f":3: {count} values where {len(HEAD)} and the end of "
                              "a line are expected: the file is cut off")

    def test_missing_file(self):
        path = self.path("missing")
        self.refuses(["plot", path, "-o", self.path("out.svg")], 1,
                     f"{path} cannot be read: No such file or directory")

    def test_missing_gnuplot(self):
        self.refuses(["plot", self.recording(), "-o", self.path("out.svg")], 1,
                     "plot needs gnuplot, which is not found in PATH; on Debian: apt-get install "
                     "gnuplot-nox", env={"PATH": self.directory})

    def test_gnuplot_that_fails(self):
        os.chmod(self.write("gnuplot", "#!/bin/sh\nexit 3\n"), 0o755)
        self.refuses(["plot", self.recording(), "-o", self.path("out.svg")], 1,
                     f"gnuplot did not draw {self.path('out.svg')}: it ended with status 3",
                     env={"PATH": self.directory})
        self.assertEqual(sorted(os.listdir(self.directory)), ["gnuplot", "run.csv"])

    def test_wrong_usage(self):
        more = '; "unsplit help plot" tells more'
        for args in (["plot"], ["plot", "a"], ["plot", "-o", "c.svg"]):
            self.refuses(args, 2, "plot needs a recording and -o FILE" + more)
        self.refuses(["plot", "a", "-o", "c.pdf"], 2,
                     'plot: option -o: "c.pdf" does not end in .svg or .png')


if __name__ == "__main__":
    unittest.main()
