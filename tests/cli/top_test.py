"""`unsplit top`: every process, by what it has on huge pages."""

import os
import subprocess
import unittest

from see import MIB, Case, loads, rollup, setting

# Advised memory, of which the second half of each unit is cut off by another protection: broken.
BREAK = """
import mmap
libc = ctypes.CDLL(None)
libc.mprotect.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
m = mmap.mmap(-1, 32 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
m.madvise(mmap.MADV_HUGEPAGE)
m.write(b"x" * (32 << 20))
start = (ctypes.addressof(ctypes.c_char.from_buffer(m)) + (4 << 20)) & -(2 << 20)
for unit in range(8):
    libc.mprotect(start + unit * (2 << 20) + 4096, 4096, 1)
    libc.mprotect(start + unit * (2 << 20) + 4096, 4096, 3)
"""


class Top(Case):
    def top(self, *args):
        outcome = self.unsplit("top", "--json", *args)
        self.assertEqual((outcome.status, outcome.err), (0, ""))
        return loads(outcome.out)

    def rows(self, *args):
        return {row["pid"]: row for row in self.top("-n", 1000000, *args)["processes"]}

    def test_agrees_with_the_kernel(self):
        plain, preloaded = self.hold(mib=24).pid, self.hold_preloaded(mib=32).pid
        rows = self.rows()
        for pid in (plain, preloaded):
            kernel = rollup(pid)
            self.assertEqual(rows[pid]["huge"], kernel["AnonHugePages"])
            self.assertEqual(rows[pid]["anonymous"], kernel["Anonymous"])
            self.assertEqual(rows[pid]["shmem_huge"], kernel["ShmemPmdMapped"])
            self.assertEqual(rows[pid]["command"], "python3")
        self.assertEqual((rows[plain]["preloaded"], rows[preloaded]["preloaded"]), (0, 1))
        self.assertGreaterEqual(rows[preloaded]["huge"], 30 * MIB)

    def test_counts_broken_units_of_any_process(self):
        whole = self.hold(mib=1, work=BREAK.replace("range(8)", "range(0)")).pid
        broken = self.hold(mib=1, work=BREAK).pid
        rows = self.rows()
        self.assertEqual(rows[whole]["broken"], 0)
        self.assertEqual(rows[broken]["broken"], 8)
        self.assertEqual(rows[whole]["huge"] - rows[broken]["huge"], 16 * MIB)

    def test_is_ordered(self):
        self.hold_preloaded(mib=32)
        self.hold(mib=1, work=BREAK)
        rows = self.top()["processes"]
        keys = [(row["huge"] + row["shmem_huge"], row["broken"]) for row in rows]
        self.assertEqual(keys, sorted(keys, reverse=True))
        rows = self.top("--by", "broken")["processes"]
        broken = [row["broken"] for row in rows]
        self.assertEqual(broken, sorted(broken, reverse=True))
        self.assertGreaterEqual(broken[0], 8)

    def test_shows_so_many(self):
        self.hold_preloaded(mib=32)
        top = self.top("-n", "2")
        self.assertEqual(len(top["processes"]), 2)
        self.assertGreater(top["readable"], 2)
        lines = self.unsplit("top", "-n", "2").out.splitlines()
        self.assertEqual(len(lines), 4)
        self.assertIn("2 of ", lines[3])

    def test_text_says_the_same(self):
        pid = self.hold_preloaded(mib=32).pid
        row = self.rows()[pid]
        outcome = self.unsplit("top", "-n", 1000000)
        self.fits(outcome.out)
        words = next(line.split() for line in outcome.out.splitlines()
                     if line.split()[0] == str(pid))
        self.assertEqual(words[1:3], [f"{row['huge'] / MIB:.1f}M", f"{row['anonymous'] / MIB:.1f}M"])
        self.assertEqual(words[5:], [str(row["broken"]), "yes", "python3"])

    def test_says_what_it_could_not_read(self):
        pid = self.hold_preloaded().pid
        command, user = (self.as_nobody() if os.getuid() == 0
                         else (setting("UNSPLIT_CLI"), {}))
        done = subprocess.run([command, "top", "--json", "-n", "1000000"], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, check=True, **user)
        top = loads(done.stdout)
        self.assertEqual(done.stderr, "")
        self.assertGreater(top["unreadable"], 0)
        if user:
            self.assertNotIn(pid, [row["pid"] for row in top["processes"]])
            done = subprocess.run([command, "top"], stdout=subprocess.PIPE, text=True, check=True,
                                  **user)
            self.assertRegex(done.stdout, r"; \d+ more may not be read by this user\n$")

    def test_works_without_pagemap_scan(self):
        pid = self.hold(mib=1, work=BREAK).pid
        outcome = self.unsplit(
            "top", "--json", "-n", "1000000",
            under=[setting("UNSPLIT_DEGRADE"), "--refuse", "pagemap-scan", "--"])
        row = next(row for row in loads(outcome.out)["processes"] if row["pid"] == pid)
        self.assertIsNone(row["broken"])
        self.assertEqual(row["huge"], rollup(pid)["AnonHugePages"])

    def test_wrong_usage(self):
        more = '; "unsplit help top" tells more'
        self.refuses(["top", "x"], 2, 'top takes no argument "x"' + more)
        self.refuses(["top", "-x"], 2, 'top has no option "-x"' + more)
        self.refuses(["top", "-n"], 2, "top: option -n needs a value" + more)
        self.refuses(["top", "-n", "0"], 2,
                     'top: option -n: "0" is no number of lines, which is from 1 on')
        self.refuses(["top", "--by=size"], 2,
                     'top: option --by: "size" is not known; it is huge or broken')


if __name__ == "__main__":
    unittest.main()
