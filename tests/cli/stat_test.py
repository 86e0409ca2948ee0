"""`unsplit stat`: a running process from outside: the truth, and a clear word where there is none."""

import os
import subprocess
import unittest

from see import MIB, Case, environment, kernel_thread, loads, rollup, setting

# Breaks a huge page in the middle of the last block.
CUT = """
libc = ctypes.CDLL(None)
libc.mprotect.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
big = ctypes.create_string_buffer(b"x" * (16 << 20), 16 << 20)
middle = (ctypes.addressof(big) + (8 << 20)) & -4096
if libc.mprotect(middle, 4096, 1) != 0:
    sys.exit("mprotect failed")
"""

REPORT = """
ctypes.CDLL(None).unsplit_report(b"{path}")
"""


class Stat(Case):
    def stat(self, pid, *more):
        outcome = self.unsplit("stat", "--json", pid, *more)
        self.assertEqual(outcome.err, "")
        self.assertEqual(outcome.status, 0)
        return loads(outcome.out)

    def test_agrees_with_the_kernel(self):
        pid = self.hold_preloaded(mib=96).pid
        seen = self.stat(pid)
        kernel = rollup(pid)
        self.assertEqual(seen["process"]["anon_huge_pages"], kernel["AnonHugePages"])
        self.assertEqual(seen["process"]["anonymous"], kernel["Anonymous"])
        self.assertEqual(seen["process"]["resident"], kernel["Rss"])
        # All huge pages of this program are the heap's.
        self.assertEqual(seen["heap"]["huge_got"], kernel["AnonHugePages"])
        self.assertGreaterEqual(seen["heap"]["used"], 96 * MIB)
        self.assertGreaterEqual(seen["heap"]["coverage"], 90)

    def test_agrees_with_the_program_s_own_report(self):
        path = self.path("report.json")
        pid = self.hold_preloaded(work=REPORT.format(path=path)).pid
        seen = self.stat(pid)
        report = loads(self.read("report.json"))
        for key in ("small_used", "large_used", "huge_asked", "retained", "used_peak", "zones",
                    "extents_made", "threads", "slack"):
            self.assertEqual(seen["stats"][key], report["stats"][key], key)
        self.assertEqual(list(seen["stats"]), list(report["stats"]))
        for key in ("resident", "huge"):
            here = {"resident": "backed", "huge": "huge"}[key]
            self.assertEqual({z["name"]: z[here] for z in seen["zones"]},
                             {z["name"]: z[key] for z in report["ranges"]})

    def test_what_a_rule_names_is_a_zone_of_its_own(self):
        rules = self.write("rules.ini", "[site blocks]\nsize = 1M..2M\nname = the blocks\n")
        path = self.path("report.json")
        pid = self.hold_preloaded(work=REPORT.format(path=path), conf=f"rules:{rules}").pid
        zones = {zone["name"]: zone for zone in self.stat(pid)["zones"]}
        self.assertEqual(list(zones), ["small", "large", "the blocks"])
        self.assertGreaterEqual(zones["the blocks"]["used"], 64 * MIB)
        self.assertGreaterEqual(zones["the blocks"]["backed"], 64 * MIB)
        self.assertLess(zones["large"]["used"], 16 * MIB)
        resident = {range["name"]: range["resident"]
                    for range in loads(self.read("report.json"))["ranges"]}
        self.assertEqual(sorted(resident), ["large", "small", "the blocks"])
        self.assertGreaterEqual(resident["the blocks"], 64 * MIB)
        self.assertLess(resident["large"], 16 * MIB)

    def test_zones_add_up(self):
        seen = self.stat(self.hold_preloaded().pid)
        self.assertEqual([zone["name"] for zone in seen["zones"]], ["small", "large"])
        for key in ("used", "backed", "broken"):
            self.assertEqual(sum(zone[key] for zone in seen["zones"]), seen["heap"][key], key)
        self.assertEqual(seen["heap"]["used"],
                         seen["stats"]["small_used"] + seen["stats"]["large_used"])

    def test_counts_broken_units(self):
        whole = self.stat(self.hold_preloaded(mib=96).pid)["heap"]["broken"]
        broken = self.stat(self.hold_preloaded(mib=96, work=CUT).pid)["heap"]["broken"]
        self.assertGreater(broken, whole)

    def test_text_says_the_same(self):
        pid = self.hold_preloaded().pid
        outcome = self.unsplit("stat", pid)
        self.fits(outcome.out)
        self.assertEqual(outcome.status, 0)
        self.assertIn("\nZones of the heap\n", outcome.out)
        self.assertIn("python3", outcome.out)
        for key in self.stat(pid)["stats"]:
            self.assertIn(f"\n  {key} ", outcome.out)

    def test_works_without_pagemap_scan(self):
        pid = self.hold_preloaded().pid
        with_it = self.stat(pid)
        without = loads(self.unsplit(
            "stat", "--json", pid,
            under=[setting("UNSPLIT_DEGRADE"), "--refuse", "pagemap-scan", "--"]).out)
        self.assertIsNone(without["heap"]["broken"])
        for key in ("backed", "huge_got"):
            self.assertEqual(without["heap"][key], with_it["heap"][key])

    def test_charged_covers_what_is_held(self):
        seen = self.stat(self.hold_preloaded(mib=96).pid)
        if seen["process"]["charged"] is not None:
            self.assertGreater(seen["process"]["charged"], 96 * MIB)

    def test_a_program_without_the_library(self):
        pid = self.hold(mib=8).pid
        line = f"unsplit: libunsplit is not in process {pid} (python3); this is what the kernel " \
               "says of it\n"
        outcome = self.unsplit("stat", "--json", pid)
        self.assertEqual((outcome.status, outcome.err), (1, line))
        seen = loads(outcome.out)
        self.assertIsNone(seen["unsplit"])
        self.assertNotIn("stats", seen)
        self.assertEqual(seen["process"]["anonymous"], rollup(pid)["Anonymous"])
        outcome = self.unsplit("stat", pid)
        self.assertEqual((outcome.status, outcome.err), (1, line))
        self.fits(outcome.out)

    def hold_sites(self, conf):
        """A program of which holder::grow holds 48 MiB and holder::scratch 8 MiB."""
        process = self.start([f"{setting('UNSPLIT_TEST_PROGRAMS')}/hold_sites"],
                             env=environment(LD_PRELOAD=setting("UNSPLIT_LIB"), UNSPLIT_CONF=conf))
        self.assertEqual(process.stdout.readline(), "ready\n")
        return process.pid

    def test_call_sites(self):
        pid = self.hold_sites("sites:on,background:off")
        sites = self.stat(pid)["sites"]
        self.assertEqual([(s["kind"], s["count"], s["bytes"], s["rule"]) for s in sites[:2]],
                         [("malloc", 16, 48 * MIB, "-"), ("malloc", 1, 8 * MIB, "-")])
        self.assertTrue(sites[0]["name"].startswith("holder::grow(unsigned long) ("), sites[0])
        self.assertTrue(sites[1]["name"].startswith("holder::scratch(unsigned long) ("), sites[1])
        self.assertRegex(sites[0]["frames"], r"^/\S+/hold_sites\+0x[0-9a-f]+ ")
        self.assertRegex(sites[0]["site"], "^[0-9a-f]{16}$")

    def test_call_sites_in_the_text(self):
        pid = self.hold_sites("sites:on,background:off")
        out = self.unsplit("stat", "-n", "1", pid).out
        self.fits(out)
        head, line = out.splitlines()[-2:]
        self.assertRegex(out, r"\nCall sites, 1 of [0-9]+, by bytes asked for\n")
        self.assertEqual(head.split(), ["bytes", "requests", "kind", "name"])
        self.assertEqual(line.split()[:4], ["48.0M", "16", "malloc", "holder::grow(unsigned"])
        self.assertTrue(self.unsplit("stat", "-n", "0", pid).out.endswith("kind    name\n"))
        self.assertEqual(self.stat(pid, "-n", "1")["sites"], self.stat(pid)["sites"][:1])

    def test_call_sites_are_those_of_the_report(self):
        path = self.path("report.json")
        pid = self.hold_preloaded(work=REPORT.format(path=path),
                                  conf="sites:on,background:off").pid
        seen = self.stat(pid, "-n", "1000")["sites"]
        report = loads(self.read("report.json"))["sites"]
        keys = ("site", "kind", "count", "bytes", "rule", "frames")
        largest = [{key: site[key] for key in keys} for site in report[:1]]
        self.assertEqual([{key: site[key] for key in keys} for site in seen[:1]], largest)
        self.assertLessEqual({site["site"] for site in report}, {site["site"] for site in seen})

    def test_call_sites_by_rule(self):
        rules = self.write("rules.ini", "[site small]\nsize = <1M\n[site hot]\n"
                                        "function = holder::grow\n")
        sites = self.stat(self.hold_sites(f"rules:{rules},strict:on"))["sites"]
        self.assertEqual([site["rule"] for site in sites[:2]], ["hot", "-"])
        self.assertTrue(sites[0]["name"].startswith("hot: holder::grow("), sites[0])
        self.assertTrue(sites[1]["name"].startswith("holder::scratch("), sites[1])

    def test_no_call_sites_unless_they_are_on(self):
        pid = self.hold_sites("background:off")
        self.assertNotIn("sites", self.stat(pid))
        self.assertNotIn("Call sites", self.unsplit("stat", pid).out)
        self.assertIn("sites:on", self.unsplit("stat", "--help").out)

    def test_nodes_only_where_there_are_several(self):
        with open("/sys/devices/system/node/has_memory", encoding="ascii") as file:
            several = file.read().strip() not in ("0", "")
        seen = self.stat(self.hold_preloaded().pid)
        self.assertEqual("nodes" in seen, several)

    def test_lines(self):
        pid = self.hold_preloaded().pid
        outcome = self.unsplit("stat", pid, "0.01", "21")
        lines = outcome.out.splitlines()
        self.assertEqual(outcome.status, 0)
        self.assertEqual(len(lines), 23)
        self.assertEqual(lines[0].split()[:4], ["used", "backed", "charged", "huge"])
        self.assertEqual(lines[0], lines[21])
        self.fits(outcome.out)
        # The program does nothing more, so nothing is added.
        self.assertEqual(lines[2].split()[5:], ["0", "0", "0", "0"])

    def test_lines_of_json(self):
        pid = self.hold_preloaded().pid
        lines = self.unsplit("stat", "--json", pid, "0.01", "3").out.splitlines()
        self.assertEqual(len(lines), 3)
        self.assertEqual([loads(line)["huge"] for line in lines], [rollup(pid)["AnonHugePages"]] * 3)

    def test_lines_of_a_program_without_the_library(self):
        pid = self.hold(mib=8).pid
        outcome = self.unsplit("stat", "--json", pid, "0.01", "2")
        self.assertEqual(outcome.status, 1)
        line = loads(outcome.out.splitlines()[1])
        self.assertIsNone(line["used"])
        self.assertGreater(line["backed"], 8 * MIB)

    def test_process_that_ends_meanwhile(self):
        program = self.hold_preloaded()
        looker = self.start([setting("UNSPLIT_CLI"), "stat", str(program.pid), "0.05"],
                            stderr=subprocess.PIPE, env=environment())
        looker.stdout.readline()
        looker.stdout.readline()
        program.kill()
        program.wait()
        self.assertEqual(looker.wait(20), 1)
        self.assertEqual(looker.stderr.read(),
                         f"unsplit: process {program.pid} (python3) has ended\n")
        looker.stderr.close()

    def test_process_that_nobody_waited_for(self):
        zombie = self.start(["/bin/true"])
        os.waitid(os.P_PID, zombie.pid, os.WEXITED | os.WNOWAIT)
        self.refuses(["stat", zombie.pid], 1, f"process {zombie.pid} (true) has ended")

    def test_wrong_pid(self):
        for word in ("0", "-", "12x", "99999999999999999999", ""):
            self.refuses(["stat", word], 2,
                         f'stat: "{word}" is no process id, which is a number from 1 on')
        with open("/proc/sys/kernel/pid_max", encoding="ascii") as file:
            beyond = int(file.read())
        self.refuses(["stat", beyond], 1, f"there is no process {beyond}")

    def test_thread_of_the_kernel(self):
        thread = kernel_thread()
        if thread:
            outcome = self.unsplit("stat", thread)
            self.assertEqual((outcome.status, outcome.out), (1, ""))
            self.assertIn("is a thread of the kernel and has no memory of its own\n", outcome.err)

    def test_no_rights(self):
        if os.getuid() != 0:
            outcome = self.unsplit("stat", 1)
            self.assertEqual((outcome.status, outcome.out), (1, ""))
            self.assertIn("may not be read by this user; be its user, or root\n", outcome.err)
            return
        pid = self.hold_preloaded().pid
        command, user = self.as_nobody()
        done = subprocess.run([command, "stat", str(pid)], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, check=False, **user)
        self.assertEqual(done.stderr, f"unsplit: the mappings of process {pid} (python3) may not "
                         "be read by this user; be its user, or root\n")
        self.assertEqual((done.returncode, done.stdout), (1, ""))

    def test_wrong_usage(self):
        more = '; "unsplit help stat" tells more'
        self.refuses(["stat"], 2, "stat needs a process id" + more)
        self.refuses(["stat", "--jsn", "1"], 2, 'stat has no option "--jsn"' + more)
        self.refuses(["stat", "1", "1", "1", "x"], 2, 'stat takes no argument "x"' + more)
        for word in ("0", "-1", "1e3", "0x1", "nan", "1,5", "."):
            if not word.startswith("-"):
                self.refuses(["stat", "1", word], 2, f'stat: "{word}" is no interval, which is a '
                             "number of seconds such as 1 or 0.5")
        self.refuses(["stat", "-n", "x", "1"], 2, 'stat: option -n: "x" is no number of call sites')
        for word in ("0", "1.5"):
            self.refuses(["stat", "1", "1", word], 2,
                         f'stat: "{word}" is no number of lines, which is from 1 on')

    def test_other_versions(self):
        for kind, release in (("none", "before 0.1.0"), ("magic", "(unknown)"),
                              ("version", "0.0.7"), ("bytes", "0.0.7"), ("names", "0.0.7")):
            library = f"{setting('UNSPLIT_TEST_PROGRAMS')}/foreign/{kind}/libunsplit.so.0"
            pid = self.hold(mib=1, library=library).pid
            version = self.unsplit("--version").out.split()[1]
            self.refuses(["stat", pid], 1, f"process {pid} (python3) runs unsplit {release}, whose "
                         f"statistics this command ({version}) cannot read; use the command that "
                         "belongs to it")


if __name__ == "__main__":
    unittest.main()
