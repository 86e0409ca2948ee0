"""`unsplit report`: exit reports read again, and turned into what other programs read."""

import json
import os
import subprocess
import unittest

from prometheus_client.openmetrics import parser

from see import MIB, Case, environment, loads, setting


def site(name, count=2, size=MIB, frames=("/bin/a+0x10", "/bin/b+0x20"), kind="malloc"):
    return {"site": name, "kind": kind, "count": count, "bytes": size, "frames": " ".join(frames)}


class Report(Case):
    def made(self, name="made.json", work="b = [b'x' * (1 << 20) for _ in range(32)]"):
        """The report of a real program."""
        path = self.path(name)
        env = environment(PYTHONMALLOC="malloc", LD_PRELOAD=setting("UNSPLIT_LIB"),
                          UNSPLIT_CONF=f"report:{path}")
        subprocess.run(["/usr/bin/python3", "-c", work], check=True, env=env)
        return path

    def invented(self, name="invented.json", **members):
        content = {"version": 1, "unsplit": "0.1.0", "pid": 7, "command": "prog",
                   "heap": {"huge_asked": 4 * MIB, "huge_got": None},
                   "stats": {"used_peak": 8 * MIB, "demoted_units": 3, "release_ns": 1500000001},
                   **members}
        return self.write(name, json.dumps(content))

    def report(self, *args):
        outcome = self.unsplit("report", *args)
        self.assertEqual((outcome.err, outcome.status), ("", 0))
        return outcome.out

    def samples(self, text):
        """What Prometheus' own parser reads: {(sample, report, zone, number or node): value}."""
        found = {}
        for family in parser.text_string_to_metric_families(text):
            for sample in family.samples:
                key = (sample.name, sample.labels["report"], sample.labels.get("zone"),
                       sample.labels.get("number") or sample.labels.get("node"))
                self.assertNotIn(key, found)
                found[key] = sample.value
        return found

    def test_table(self):
        out = self.report(self.invented())
        self.assertEqual(out.splitlines()[1].split(),
                         ["7", "8.0M", "4.0M", "-", "-", "3", "-", "prog"])
        self.fits(out)
        self.fits(self.report(self.invented(pid=4194304, command="x" * 15)))

    def test_table_of_real_reports(self):
        paths = [self.made("1.json"), self.made("2.json")]
        lines = self.report(*paths).splitlines()
        self.assertEqual(len(lines), 3)
        for path, line in zip(paths, lines[1:]):
            content = loads(self.read(path))
            self.assertEqual(line.split()[0], str(content["pid"]))
            self.assertEqual(line.split()[1], f"{content['stats']['used_peak'] / MIB:.1f}M")
            self.assertEqual(line.split()[3], f"{content['heap']['huge_got'] / MIB:.1f}M")

    def test_json(self):
        path = self.made()
        out = loads(self.report("--json", path))
        content = loads(self.read(path))
        self.assertEqual(out["reports"][0]["file"], path)
        self.assertEqual(out["reports"][0]["huge_asked"], content["heap"]["huge_asked"])
        self.assertEqual(out["reports"][0]["used_peak"], content["stats"]["used_peak"])
        self.assertIsNone(loads(self.report("--json", self.invented()))["reports"][0]["huge_got"])

    def test_openmetrics_holds_every_figure(self):
        paths = [self.made("1.json"), self.made("2.json")]
        text = self.report("--openmetrics", *paths)
        self.assertTrue(text.endswith("\n# EOF\n"))
        samples = self.samples(text)
        values = {(name, report): value for (name, report, _, _), value in samples.items()}
        for path in paths:
            stats = loads(self.read(path))["stats"]
            for key, value in stats.items():
                stem = "unsplit_" + key.removesuffix("_ns").removesuffix("_bytes")
                names = [stem + unit + total for unit in ("", "_bytes", "_seconds")
                         for total in ("", "_total")]
                if key.endswith("_ns"):
                    value = value / 1e9
                got = [values[(name, path)] for name in names if (name, path) in values]
                self.assertEqual(len(got), 1, key)
                self.assertAlmostEqual(got[0], value, msg=key)

    def test_openmetrics_of_zones(self):
        path = self.made()
        samples = self.samples(self.report("--openmetrics", path))
        zones = {zone["name"]: zone["resident"] for zone in loads(self.read(path))["ranges"]}
        got = {key[2]: value for key, value in samples.items()
               if key[0] == "unsplit_zone_resident_bytes"}
        self.assertEqual(got, zones)

    def test_openmetrics_of_nodes(self):
        nodes = [{"node": 0, "heap": 5 * MIB}, {"node": 2, "heap": 7}, {"node": 3, "heap": None}]
        path = self.invented(nodes=nodes)
        samples = self.samples(self.report("--openmetrics", path))
        got = {key[3]: value for key, value in samples.items()
               if key[0] == "unsplit_node_heap_bytes"}
        self.assertEqual(got, {"0": 5 * MIB, "2": 7})
        for nodes in (7, {}, [1], [{"node": "0", "heap": 1}]):
            self.assertNotIn("node_heap_bytes{",
                             self.report("--openmetrics", self.invented(nodes=nodes)))

    def test_openmetrics_leaves_out_what_is_not_known(self):
        samples = self.samples(self.report("--openmetrics", self.invented()))
        names = {key[0] for key in samples}
        self.assertNotIn("unsplit_heap_huge_got_bytes", names)
        self.assertIn("unsplit_demoted_units_total", names)
        path = self.path("invented.json")
        self.assertEqual(samples[("unsplit_release_seconds_total", path, None, None)], 1.500000001)

    def test_openmetrics_escapes_labels(self):
        name = 'a"b\\c\nd'
        text = self.report("--openmetrics", self.invented(command=name))
        family = next(parser.text_string_to_metric_families(text))
        self.assertEqual(family.samples[0].labels["command"], name)

    def test_table_passes_no_control_characters_on(self):
        self.assertIn("a?[31mb\n", self.report(self.invented(command="a\x1b[31mb")))

    def test_file_is_written_whole(self):
        target = self.path("metrics.prom")
        os.mkdir(self.path("old"))
        self.write("metrics.prom", "old")
        kept = os.open(target, os.O_RDONLY)
        self.assertEqual(self.report("--openmetrics", "-o", target, self.invented()), "")
        self.assertEqual(self.read("metrics.prom"),
                         self.report("--openmetrics", self.path("invented.json")))
        # Who had it open still reads the old one: it was replaced, and not written over.
        self.assertEqual(os.read(kept, 100), b"old")
        os.close(kept)
        self.assertEqual(sorted(os.listdir(self.directory)),
                         ["invented.json", "metrics.prom", "old"])

    def test_file_that_cannot_be_written(self):
        path = self.invented()
        target = self.path("no/such/file")
        self.refuses(["report", "-o", target, path], 1,
                     f"{target} cannot be written: No such file or directory")
        os.mkdir(self.path("directory"))
        self.refuses(["report", "-o", self.path("directory"), path], 1,
                     f"{self.path('directory')} cannot be written: Is a directory")
        self.assertEqual(sorted(os.listdir(self.directory)), ["directory", "invented.json"])

    def test_sites_are_added_up(self):
        one = self.invented("1.json", sites=[site("s1", 1, 5), site("s2", 3, 7)])
        two = self.invented("2.json", sites=[site("s2", 10, 100), site("s2", 1, 1, kind="mmap")])
        rows = loads(self.report("--json", one, two))["sites"]
        self.assertEqual([(r["site"], r["kind"], r["count"], r["bytes"]) for r in rows],
                         [("s2", "malloc", 13, 107), ("s1", "malloc", 1, 5), ("s2", "mmap", 1, 1)])

    def test_sites_in_the_table(self):
        path = self.invented(sites=[site(f"s{i}", size=i * MIB) for i in range(1, 6)])
        out = self.report("-n", "2", path)
        self.assertIn("\nCall sites, 2 of 5, those with the most bytes first\n", out)
        self.assertIn("\n5.0 MiB in 2 requests (malloc), site s5\n    a+0x10\n    b+0x20\n",
                      out)
        self.assertIn("site s4\n", out)
        self.assertNotIn("site s3\n", out)
        self.fits(out)

    def test_folded(self):
        path = self.invented(sites=[site("s1", size=5, frames=["in;ner+0x1", "outer+0x2"]),
                                    site("s2", size=7, frames=[])])
        self.assertEqual(self.report("--folded", path), "s2 7\nouter+0x2;in:ner+0x1 5\n")

    def test_folded_needs_sites(self):
        path = self.invented()
        self.refuses(["report", "--folded", path], 1, f"report: no call sites are in {path}")

    def test_symbols(self):
        library = setting("UNSPLIT_LIB")
        names = subprocess.run(["nm", "-D", "--defined-only", library], check=True, text=True,
                               stdout=subprocess.PIPE).stdout
        address = next(int(line.split()[0], 16) for line in names.splitlines()
                       if line.endswith(" T unsplit_version"))
        # The second is a return address at the end of the function before.
        frames = [f"{library}+{address + 1:#x}", f"{library}+{address:#x}", "bare.so+0x10",
                  "/no/such/file+0x10", "nonsense"]
        path = self.invented(sites=[site("s1", frames=frames)])
        named = loads(self.report("--json", "--symbols", path))["sites"][0]["frames"]
        self.assertTrue(named[0].startswith("unsplit_version ("), named)
        self.assertFalse(named[1].startswith("unsplit_version"), named)
        self.assertEqual(named[2:], frames[2:])
        self.assertEqual(loads(self.report("--json", path))["sites"][0]["frames"], frames)

    def test_call_sites_of_a_real_program(self):
        path = self.path("sites.json")
        program = f"{setting('UNSPLIT_TEST_PROGRAMS')}/hold_sites"
        env = environment(LD_PRELOAD=setting("UNSPLIT_LIB"),
                          UNSPLIT_CONF=f"sites:on,report:{path}")
        subprocess.run([program], check=True, env=env, stdin=subprocess.DEVNULL,
                       stdout=subprocess.DEVNULL)
        table = self.report("--symbols", "-n", "1", path)
        self.fits(table)
        self.assertRegex(table, r"\n48\.0 MiB in 16 requests \(malloc\), site [0-9a-f]{16}\n"
                         r"    holder::grow\(unsigned long\) \(.*\)\n    main \(.*\)\n")
        folded = self.report("--folded", "--symbols", path).splitlines()
        self.assertRegex(folded[0], rf";main \(.*\);holder::grow\(unsigned long\) \(.*\) {48 * MIB}$")
        self.assertRegex(folded[1], rf";holder::scratch\(unsigned long\) \(.*\) {8 * MIB}$")
        plain = self.report("--folded", path).splitlines()
        self.assertRegex(plain[0], rf";/\S+/hold_sites\+0x[0-9a-f]+ {48 * MIB}$")

    def test_file_that_may_not_be_read(self):
        path = self.invented()
        os.chmod(path, 0)
        command, user = self.as_nobody() if os.getuid() == 0 else (setting("UNSPLIT_CLI"), {})
        done = subprocess.run([command, "report", path], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, check=False, **user)
        self.assertEqual((done.returncode, done.stdout, done.stderr),
                         (1, "", f"unsplit: {path} cannot be read: Permission denied\n"))

    def test_cut_off_file(self):
        whole = self.read(self.made())
        for length in (0, 1, 40, len(whole) // 2, len(whole) - 3):
            path = self.write("cut.json", whole[:length])
            outcome = self.unsplit("report", path)
            self.assertEqual((outcome.status, outcome.out), (1, ""), length)
            self.assertRegex(outcome.err, f"^unsplit: {path}:[0-9]+:[0-9]+: the file ends in the "
                             "middle: it is cut off\n$")

    def test_files_that_are_no_report(self):
        path = self.write("text", "unsplit: what was asked\n")
        self.refuses(["report", path], 1, f"{path}:1:7: this is no JSON ('[' or '{{' expected near "
                     "'unsplit'); a report in JSON has a name that ends in \".json\"")
        for content in ("[]", "{}", '{"version": 1}', '{"version": "1", "stats": {}}'):
            path = self.write("other.json", content)
            self.refuses(["report", path], 1, f'{path} is no report of unsplit: it has no '
                         '"version" and "stats"')
        path = self.invented(version=2)
        self.refuses(["report", path], 1,
                     f"{path} is a report of version 2; this command reads version 1")
        path = self.path("missing")
        self.refuses(["report", path], 1, f"{path} cannot be read: No such file or directory")
        self.refuses(["report", self.directory], 1, f"{self.directory} cannot be read: Is a directory")

    def test_sites_that_are_none(self):
        path = self.invented(sites=7)
        self.refuses(["report", path], 1, f'{path}: "sites" is no array')
        for change in ({"bytes": -1}, {"count": "x"}, {"frames": [1]}, {"site": None}):
            path = self.invented(sites=[site("s1"), {**site("s2"), **change}])
            self.refuses(["report", path], 1, f'{path}: number 2 of "sites" has no "site", "count", '
                         '"bytes" and "frames"')

    def test_a_bad_file_does_not_cost_the_others(self):
        good, bad = self.invented(), self.write("bad.json", "{")
        outcome = self.unsplit("report", bad, good)
        self.assertEqual(outcome.status, 1)
        self.assertIn("bad.json:1:1: the file ends", outcome.err)
        self.assertEqual(outcome.out, self.report(good))

    def test_a_file_named_twice_counts_once(self):
        path = self.invented(sites=[site("s1", 1, 5)])
        self.assertEqual(self.report("--json", path, path), self.report("--json", path))

    def test_wrong_usage(self):
        more = '; "unsplit help report" tells more'
        self.refuses(["report"], 2, "report needs a file" + more)
        self.refuses(["report", "--xml", "f"], 2, 'report has no option "--xml"' + more)
        self.refuses(["report", "--json", "--folded", "f"], 2,
                     "report: --json, --openmetrics and --folded cannot be had together")
        self.refuses(["report", "-n", "x", "f"], 2, 'report: option -n: "x" is no number of call '
                     "sites")


if __name__ == "__main__":
    unittest.main()
