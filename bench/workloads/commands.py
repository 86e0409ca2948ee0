"""Workloads that are one whole command.  hyperfine times it; another run, in the first round only,
is looked at from outside."""

import json
import random
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
        if setting.quick and self.runs == 1:
            return figures
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
        """The median of the runs.  hyperfine itself is under the allocator as well: a program
        between it and the command would be timed, too."""
        exported = setting.scratch / "hyperfine.json"
        runs = min(self.runs, 3) if setting.quick else self.runs
        argv = ["/usr/bin/hyperfine", "-N", "--style", "none", "--warmup", str(int(runs > 1)),
                "--runs", str(runs), "--export-json", exported, shlex.join(self.argv)]
        with Watch(1) as watch:
            process = watch.start(argv, env, cwd=setting.scratch, stdout=subprocess.DEVNULL,
                                  stderr=subprocess.PIPE, text=True)
            said = process.stderr.read()  # warnings as well
            expect(watch.wait() == 0, f"hyperfine of {self.argv[0]}: {said.strip()[-200:]}")
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
INSERT INTO item
SELECT i, i * 7919 % 5003, printf('name %d', i * i % 100003), zeroblob(i % 700) FROM n;
CREATE INDEX by_owner ON item(owner, name);
SELECT count(*), sum(owner), sum(length(data)), max(name) FROM item;
UPDATE item SET name = name || ' again' WHERE id % 3 = 0;
DELETE FROM item WHERE id % 4 = 1;
SELECT count(*), sum(length(name)), sum(length(data)), min(name) FROM item;
"""

LUA = """
local n = {size}
local t = {}
local function make(i) return {id = i, name = "name " .. i, list = {i, i + 1, i + 2}} end
for i = 1, n do t[i] = make(i) end
for i = 1, n, 2 do t[i] = make(i + n) end
local sum = 0
for i = 1, n do sum = sum + #t[i].name + t[i].list[2] end
print(sum)
"""

NODE = """
const n = {size}, map = new Map();
for (let i = 0; i < n; i++)
  map.set('key' + i, { i, list: [i, i + 1, i + 2], text: 'x'.repeat(i % 100) + i });
for (let i = 0; i < n; i += 2) map.delete('key' + i);
const text = JSON.stringify([...map]), again = JSON.parse(text), buffers = [];
for (let i = 0; i < n / 100; i++) buffers.push(Buffer.alloc(32768 + i * 16, i));
console.log(text.length, again.length, buffers.reduce((s, b) => s + b[17], 0));
"""

CPLUSPLUS = """
#include <bits/stdc++.h>
template <int N> struct Table {
	std::map<std::string, std::vector<std::array<int, N>>> map;
	std::unordered_map<int, std::set<std::string>> other;
	size_t work(const std::string &s)
	{
		map[s].push_back({});
		other[N].insert(s);
		std::sort(map[s].begin(), map[s].end());
		return map.size() + other.size();
	}
};
template struct Table<{size}>;
template struct Table<100 + {size}>;
template struct Table<200 + {size}>;
"""

C = """
#include <stdio.h>
int main(void)
{
	return puts("hello") < 0;
}
"""


class Packed(Command):
    """A compressor, given so many words."""
    words = 0

    def prepare(self, setting):
        count = self.words // 20 if setting.quick else self.words
        choose = random.Random(1)
        known = [f"{choose.getrandbits(20 + i % 30):x}" for i in range(20000)]
        (setting.scratch / self.argv[-1]).write_text(" ".join(choose.choices(known, k=count)))


BIG = (
    Written("python3", "a dictionary of small objects, half of them replaced",
            ("/usr/bin/python3", "big.py"), "big.py", PYTHON, size=1200000, warm=800),
    Written("sqlite3", "a database in memory", ("/usr/bin/sqlite3", ":memory:", ".read big.sql"),
            "big.sql", SQL, size=400000, warm=600),
    Written("g++", "all headers of the C++ library and some templates, -O2",
            ("/usr/bin/g++", "-O2", "-c", "big.cc", "-o", "big.o"), "big.cc", CPLUSPLUS, size=20,
            warm=500),
    Written("lua", "a million small tables, half of them replaced", ("/usr/bin/lua5.4", "big.lua"),
            "big.lua", LUA, size=700000, warm=700),
    Packed("zstd", "level 12, long matches",
           ("/usr/bin/zstd", "-q", "-12", "--long=27", "-T1", "-c", "zstd.txt"), words=2000000,
           warm=200),
    Written("node", "a map of objects, to JSON and back, and buffers", ("/usr/bin/node", "big.js"),
            "big.js", NODE, size=400000, warm=1100),
)

# Of these a run is over before there is much to gain: nothing may be lost either.
SMALL = (
    Command("true", "a program that ends at once", ("/bin/true",), runs=50),
    Written("gcc-small", "a small file", ("/usr/bin/gcc", "-O2", "-c", "small.c", "-o", "small.o"),
            "small.c", C, runs=10),
    Written("lua-small", "2,000 small tables", ("/usr/bin/lua5.4", "small.lua"), "small.lua", LUA,
            size=2000, runs=30),
    Written("sqlite-small", "500 rows", ("/usr/bin/sqlite3", ":memory:", ".read small.sql"),
            "small.sql", SQL, size=500, runs=20),
    Written("python-small", "1,000 small objects", ("/usr/bin/python3", "small.py"), "small.py",
            PYTHON, size=1000, runs=10),
    Packed("xz", "level 6", ("/usr/bin/xz", "-6", "-T1", "-k", "-c", "xz.txt"), words=120000,
           runs=2, warm=200),
)
for small in SMALL:
    small.big, small.interval = False, 0.005

COMMANDS = (*BIG, *SMALL)
