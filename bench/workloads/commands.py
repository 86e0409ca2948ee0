"""Workloads that are one whole command.  hyperfine times it; another run, in the first round only,
is looked at from outside."""

import json
import shlex
import subprocess
import time

from watch import Watch
from .base import Workload, expect, outcome


class Command(Workload):
    """A command, run in the scratch directory."""
    runs = 1  # by hyperfine, of each round
    interval = 0.02

    def __init__(self, name, what, argv, **more):
        self.name, self.what, self.argv = name, what, argv
        self.programs = ("/usr/bin/hyperfine", argv[0])
        vars(self).update(more)

    def run(self, setting, env, first):
        figures = self.look(setting, env) if first else outcome()
        return {**figures, "seconds": self.time(setting, env)}

    def look(self, setting, env):
        with Watch(self.interval) as watch:
            start = time.monotonic()
            watch.start(self.argv, env, cwd=setting.scratch, stdout=subprocess.DEVNULL)
            status = watch.wait()
            expect(status == 0, f"{self.argv[0]} ended with status {status}")
        return outcome(watch, time.monotonic() - start,
                       **({} if self.big else {"charged_peak": watch.charged_limit}))

    def time(self, setting, env):
        """The median of the runs.  hyperfine itself is under the allocator as well: a program between
        it and the command would be timed, too."""
        exported = setting.scratch / "hyperfine.json"
        runs = min(self.runs, 3) if setting.quick else self.runs
        argv = ["/usr/bin/hyperfine", "-N", "--style", "none", "--warmup", "0" if runs == 1 else "1",
                "--runs", str(runs), "--export-json", exported, shlex.join(self.argv)]
        with Watch(1) as watch:
            watch.start(argv, env, cwd=setting.scratch, stdout=subprocess.DEVNULL)
            expect(watch.wait() == 0, f"hyperfine of {self.argv[0]} failed")
        return json.loads(exported.read_text())["results"][0]["median"]


class Written(Command):
    """A command that reads a file which is written first.  `{size}` in it is the size of the work,
    divided by 20 if quick."""
    size = 1

    def __init__(self, name, what, argv, file, text, **more):
        super().__init__(name, what, argv, **more)
        self.file, self.text = file, text

    def prepare(self, setting):
        size = max(self.size // 20, 1) if setting.quick else self.size
        (setting.scratch / self.file).write_text(self.text.replace("{size}", str(size)))


# Python's own arenas are mappings of 256 KiB, not malloc; the long strings are malloc's.
PYTHON = """
def make(first, count):
    return {i: (i, f"key {i}", i / 7, "x" * (i % 301 * (i % 9 == 0)))
            for i in range(first, first + count)}
data = make(0, {size})
for key in range(0, {size}, 2):
    del data[key]
data.update(make({size}, {size} // 2))
print(sum(len(text) for _, _, _, text in data.values()))
"""

SQL = """
CREATE TABLE item(id INTEGER PRIMARY KEY, owner INTEGER, name TEXT, data BLOB);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {size})
INSERT INTO item SELECT i, i * 7919 % 5003, printf('name %d', i * i % 100003), zeroblob(i % 700) FROM n;
CREATE INDEX by_owner ON item(owner, name);
SELECT count(*), sum(owner), sum(length(data)), max(name) FROM item;
UPDATE item SET name = name || ' again' WHERE id % 3 = 0;
DELETE FROM item WHERE id % 4 = 1;
SELECT count(*), sum(length(name)), sum(length(data)), min(name) FROM item;
"""

COMMANDS = (
    Written("python3", "a dictionary of small objects, half of them replaced", ("/usr/bin/python3", "big.py"), "big.py",
            PYTHON, size=1200000, warm=800),
    Written("sqlite3", "a database in memory", ("/usr/bin/sqlite3", ":memory:", ".read big.sql"),
            "big.sql", SQL, size=400000, warm=600),
)
