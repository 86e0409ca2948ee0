"""`unsplit trace`: what the kernel did to the huge pages of one command."""

import os
import signal
import subprocess
import unittest

from see import Case, environment, loads, setting

# In a mount namespace of our own, so that the machine stays as it is.
MOUNTS = ["unshare", "-m", "sh", "-c", "{mounts} && exec \"$@\"", "sh"]
TRACEFS = "mount -t tracefs nodev /sys/kernel/tracing"

# 17 huge pages, of which so many are split by mprotect, and so many of these collapsed again.
WORK = """
import mmap, ctypes, sys
libc = ctypes.CDLL(None)
libc.mprotect.argtypes = libc.madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
m = mmap.mmap(-1, 36 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
start = (ctypes.addressof(ctypes.c_char.from_buffer(m)) + (2 << 20) - 1) & -(2 << 20)
for unit in range(17):
    libc.madvise(start + unit * (2 << 20), 2 << 20, 14)
ctypes.memset(start, 1, 34 << 20)
for unit in range({split}):
    for protection in (1, 3):
        libc.mprotect(start + unit * (2 << 20) + 4096, 4096, protection)
for unit in range({collapse}):
    if libc.madvise(start + unit * (2 << 20), 2 << 20, 25) != 0:
        sys.exit("the collapse failed")
"""

# Splits without an end, and says when it began.
FOREVER = WORK.format(split=1, collapse=0).replace("for unit in range(1):", """
print("ready", flush=True)
while True:
    unit = 0
    libc.madvise(start, 2 << 20, 4)
    ctypes.memset(start, 1, 2 << 20)""")


def under(mounts):
    return [word.format(mounts=mounts) for word in MOUNTS]


def possible():
    """Whether this user may mount tracefs for himself and watch events."""
    done = subprocess.run([*under(TRACEFS), setting("UNSPLIT_CLI"), "trace", "true"],
                          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                          env=environment(), check=False)
    return os.getuid() == 0 and done.returncode == 0


@unittest.skipUnless(os.getuid() == 0, "only root can watch events")
class Counts(Case):
    def setUp(self):
        super().setUp()
        if not possible():
            self.skipTest("this machine does not let us watch events")

    def trace(self, *args, status=0, mounts=TRACEFS):
        """The JSON, and what the command printed."""
        path = self.path("trace.json")
        outcome = self.unsplit("trace", "--json", "-o", path, *args, under=under(mounts))
        self.assertEqual((outcome.status, outcome.err), (status, ""))
        return loads(self.read("trace.json")), outcome.out

    def work(self, split, collapse):
        return ["/usr/bin/python3", "-c", WORK.format(split=split, collapse=collapse)]

    def test_splits_and_collapses(self):
        for split, collapse in ((0, 0), (8, 0), (8, 3), (17, 17)):
            events = self.trace("--", *self.work(split, collapse))[0]["events"]
            self.assertEqual(events["split"], split)
            self.assertEqual(events["freed_whole"], 17 - split + collapse)
            self.assertEqual(events["collapsed"], collapse)
            self.assertGreaterEqual(events["allocated"], 17 + collapse)

    def test_children_count(self):
        script = self.write("work.py", WORK.format(split=5, collapse=0))
        events = self.trace("sh", "-c", f"/usr/bin/python3 {script}; /usr/bin/python3 {script}; true")
        self.assertEqual(events[0]["events"]["split"], 10)

    def test_other_processes_do_not(self):
        other = self.start(["/usr/bin/python3", "-c", FOREVER])
        self.assertEqual(other.stdout.readline(), "ready\n")
        events = self.trace("sleep", "0.3")[0]["events"]
        self.assertEqual((events["split"], events["freed_whole"], events["collapsed"]), (0, 0, 0))
        self.assertIsNone(other.poll())

    def test_a_program_on_the_library_splits_nothing(self):
        work = "import ctypes; b = [b'x' * (1 << 20) for _ in range(64)]; b = b[::2]; n = len(b); " \
               "b.clear(); ctypes.CDLL(None).malloc_trim(0); print(n)"
        trace, out = self.trace("--", setting("UNSPLIT_CLI"), "run", "--", "/usr/bin/env",
                                "PYTHONMALLOC=malloc", "/usr/bin/python3", "-c", work)
        self.assertEqual(out, "32\n")
        self.assertEqual(trace["events"]["split"], 0)
        self.assertGreaterEqual(trace["events"]["freed_whole"], 24)

    def stacks(self, *args):
        """How many splits were where, and the text of the same."""
        stacks = self.trace("--stacks", *args)[0]["stacks"]
        text = self.unsplit("trace", "--stacks", *args, under=under(TRACEFS)).err
        self.fits(text)
        return stacks, text

    def test_stacks(self):
        stacks, text = self.stacks("--", *self.work(8, 0))
        self.assertEqual([stack["splits"] for stack in stacks], [8])
        frames = stacks[0]["frames"].split(";")
        self.assertRegex(frames[0], r"/libc\.so\.6\+0x[0-9a-f]+$")
        self.assertTrue(any("/_ctypes" in frame for frame in frames), frames)
        # To the bottom of the stack.
        self.assertIn("/python3", frames[-1])
        self.assertRegex(text, r"\n8 of the splits came from\n    \w*mprotect \(")
        self.assertRegex(text, r"\n    _start \(python3")

    def test_stacks_behind_exec_and_in_children(self):
        script = self.write("work.py", WORK.format(split=4, collapse=0))
        command = ["sh", "-c", f"{setting('UNSPLIT_CLI')} run -- /usr/bin/python3 {script}; true"]
        stacks, text = self.stacks(*command)
        self.assertEqual([stack["splits"] for stack in stacks], [4])
        self.assertIn("/libunsplit.so", stacks[0]["frames"])
        self.assertIn("\n4 of the splits came from\n", text)

    def test_no_stacks_without_splits_or_unasked(self):
        stacks, text = self.stacks("--", *self.work(0, 0))
        self.assertEqual(stacks, [])
        self.assertNotIn("came from", text)
        self.assertNotIn("stacks", self.trace("--", *self.work(8, 0))[0])

    def test_text_goes_to_standard_error(self):
        outcome = self.unsplit("trace", "echo", "x", under=under(TRACEFS))
        self.assertEqual((outcome.status, outcome.out), (0, "x\n"))
        self.assertRegex(outcome.err, r"\n  split +\d+ huge mappings broken\n")
        self.fits(outcome.err)

    def test_keeps_the_exit_status(self):
        self.assertEqual(self.trace("sh", "-c", "exit 3", status=3)[0]["status"], 3)
        self.assertEqual(self.trace("sh", "-c", "kill -TERM $$", status=128 + signal.SIGTERM)[0]
                         ["status"], 128 + signal.SIGTERM)

    def test_what_cannot_be_started(self):
        path = self.path("trace.json")
        self.refuses(["trace", "-o", path, "no-such-program-anywhere"], 127,
                     '"no-such-program-anywhere" is not found', under=under(TRACEFS))
        plain = self.write("plain", "")
        self.refuses(["trace", "-o", path, plain], 126,
                     f'"{plain}" cannot be executed: Permission denied', under=under(TRACEFS))
        self.assertEqual(os.listdir(self.directory), ["plain"])

    def test_file_that_cannot_be_written(self):
        self.refuses(["trace", "-o", "/no/such/file", "echo", "x"], 1,
                     "/no/such/file cannot be written: No such file or directory",
                     under=under(TRACEFS))

    def test_kernel_without_the_tracepoint_of_splits(self):
        hidden = f"{TRACEFS} && mount -t tmpfs nodev /sys/kernel/tracing/events/memcg"
        events = self.trace("--", *self.work(8, 3), mounts=hidden)[0]["events"]
        self.assertIsNone(events["split"])
        self.assertIsNone(events["freed_whole"])
        self.assertEqual(events["collapsed"], 3)

    def test_kernel_that_forbids_it(self):
        with open("/proc/sys/kernel/perf_event_paranoid", encoding="ascii") as file:
            paranoid = file.read().strip()
        self.refuses(["trace", "echo", "x"], 1, "trace: the kernel does not let this user watch "
                     f"events (perf_event_paranoid is {paranoid}, or a seccomp filter forbids it): "
                     "be root",
                     under=[*under(TRACEFS), setting("UNSPLIT_DEGRADE"), "--refuse",
                            "perf_event_open", "--"])


class Refusals(Case):
    @unittest.skipUnless(subprocess.run(["unshare", "-m", "true"], stderr=subprocess.DEVNULL,
                                        check=False).returncode == 0,
                         "only root, and not in a chroot, has a mount namespace of its own")
    def test_without_tracefs(self):
        hidden = "mount -t tmpfs nodev /sys/kernel/tracing"
        if os.path.isdir("/sys/kernel/debug/tracing"):
            hidden += " && mount -t tmpfs nodev /sys/kernel/debug"
        self.refuses(["trace", "echo", "x"], 1, "trace needs tracefs, which is not mounted: mount "
                     "-t tracefs nodev /sys/kernel/tracing", under=under(hidden))

    def test_no_rights(self):
        command, user = (self.as_nobody() if os.getuid() == 0 else (setting("UNSPLIT_CLI"), {}))
        done = subprocess.run([command, "trace", "echo", "x"], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, check=False, **user)
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertEqual(done.stderr, "unsplit: trace needs /sys/kernel/tracing, which this user "
                         "may not read: be root\n")

    def test_wrong_usage(self):
        more = '; "unsplit help trace" tells more'
        self.refuses(["trace"], 2, "trace needs a command" + more)
        self.refuses(["trace", "-x", "true"], 2, 'trace has no option "-x"' + more)
        self.refuses(["trace", "-o"], 2, "trace: option -o needs a value" + more)


if __name__ == "__main__":
    unittest.main()
