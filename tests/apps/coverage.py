"""Programs with much memory: nine tenths of it must be huge pages.

    coverage.py --library PATH
        python|python_arenas|java|node|sqlite|redis|redis_softened|redis_honoured

The program is stopped at its fullest (it waits for us) and the kernel is asked; its exit report,
if memory is still held when it is written, must say the same.
"""

import os
import re
import signal
import subprocess
import sys
import time

from harness import Failure, expect, main
from redis import Server

MIB = 1 << 20
SHARE = 0.90


def rollup(pid):
    """The fields of smaps_rollup, in bytes."""
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
        fields = re.findall(r"(\w+):\s+(\d+) kB", file.read())
    return {name: int(kib) * 1024 for name, kib in fields}


def check_huge(pid, at_least, share=SHARE):
    fields = rollup(pid)
    anonymous, huge = fields["Anonymous"], fields["AnonHugePages"]
    print(f"{anonymous / MIB:.0f} MiB anonymous, {huge / anonymous:.1%} of it huge")
    expect(anonymous >= at_least, "the program did not take the memory that the test is about")
    expect(huge >= share * anonymous, f"less than {share:.0%} is huge")


def check_report(scratch, at_least):
    """Of several processes the one that held the memory."""
    def total(report, field):
        return sum(entry[field] for entry in report["ranges"])

    totals = [(total(report, "resident"), total(report, "huge"))
              for report in scratch.reports_found()]
    expect(totals, "no process left a report: was the library loaded?")
    resident, huge = max(totals)
    print(f"exit report: {resident / MIB:.0f} MiB resident, {huge / MIB:.0f} MiB huge")
    expect(resident >= at_least and huge >= SHARE * resident, "the exit report says otherwise")


PYTHON = r"""
import sys
d = {f"key {i}": f"value {i * 7}" for i in range(3_000_000)}
print("full", flush=True)
sys.stdin.readline()
assert len(d) == 3_000_000 and d["key 2999999"] == "value 20999993"
del d
"""

# With Python's own allocator, which takes its memory with mmap.
ARENAS = r"""
import sys
d = {f"key {i}": [f"value {i * 7}", [i, i + 1, str(i)], i * 1.5] for i in range(1_000_000)}
print("full", flush=True)
sys.stdin.readline()
assert len(d) == 1_000_000 and d["key 999999"][0] == "value 6999993"
del d
"""

JAVA = r"""
import java.util.*;

public class Fill {
    public static void main(String[] args) throws Exception {
        List<byte[]> blocks = new ArrayList<>();
        for (int i = 0; i < 1100; i++) {
            byte[] block = new byte[480000];
            Arrays.fill(block, (byte)i);
            blocks.add(block);
        }
        System.out.println("full");
        System.in.read();
        for (int i = 0; i < blocks.size(); i++)
            if (blocks.get(i)[479999] != (byte)i)
                System.exit(1);
    }
}
"""

NODE = r"""
const map = new Map();
for (let i = 0; i < 1000000; i++)
  map.set('key' + i, { i, list: [i, i + 1, i + 2], text: 'x'.repeat(i % 100) + i });
require('fs').writeSync(1, 'full\n');
require('fs').readSync(0, Buffer.alloc(1));
if (map.size !== 1000000 || map.get('key999999').list[2] !== 1000001)
  process.exit(1);
"""

# A row is 500 bytes: 512 MiB of them.
SQLITE = """
CREATE TABLE row(id INTEGER PRIMARY KEY, text TEXT);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1070000)
INSERT INTO row SELECT i, printf('%0500d', i) FROM n;
SELECT 'full';
"""


def until_full(session, command, text, env=None):
    """Start a program, give it `text`, and wait until it says that it is full."""
    process = session.popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                            env=env)
    process.stdin.write(text.encode())
    process.stdin.flush()
    expect(process.stdout.readline() == b"full\n", f"{command[0]} did not come so far")
    return process


def finish(process):
    process.communicate(b"\n")
    expect(process.returncode == 0, f"ended with status {process.returncode}")


def python(scratch):
    session = scratch.session(preload=True)
    script = session.write("script.py", PYTHON)
    process = until_full(session, ["/usr/bin/python3", script], "",
                         env={"PYTHONMALLOC": "malloc"})
    check_huge(process.pid, at_least=300 * MIB)
    finish(process)


def python_arenas(scratch):
    session = scratch.session(preload=True)
    process = until_full(session, ["/usr/bin/python3", session.write("script.py", ARENAS)], "")
    check_huge(process.pid, at_least=450 * MIB, share=0.95)
    finish(process)


def java(scratch):
    """The heap is reserved at a place that the JVM names, and committed by MAP_FIXED."""
    session = scratch.session(preload=True)
    source = session.write("Fill.java", JAVA)
    process = until_full(session, ["/usr/bin/java", "-Xmx1g", source], "")
    check_huge(process.pid, at_least=512 * MIB)
    finish(process)


def node(scratch):
    """V8 reserves its chunks at random hints, with more than it needs, and trims them.  On a machine
    whose kernel takes long to make units huge, some have to wait."""
    session = scratch.session(preload=True)
    process = until_full(session, ["/usr/bin/node", session.write("fill.js", NODE)], "")
    check_huge(process.pid, at_least=256 * MIB, share=0.6)
    finish(process)


def sqlite(scratch):
    process = until_full(scratch.session(preload=True), ["/usr/bin/sqlite3", ":memory:"], SQLITE)
    check_huge(process.pid, at_least=512 * MIB)
    finish(process)


def fill(server, keys):
    for start in range(0, keys, 100_000):
        server.cli("EVAL", f"for i = {start}, {start + 99_999} do redis.call('SET', 'key' .. i,"
                   " string.rep('v', 1000) .. i) end", "0")


def redis(scratch):
    """Redis turns huge pages off for itself (PR_SET_THP_DISABLE) unless told not to."""
    with Server(scratch.session(preload=True), "--disable-thp", "no") as server:
        fill(server, 1_000_000)
        check_huge(server.process.pid, at_least=1000 * MIB)
        server.stop()
    # It leaves by exit() with everything still in place.
    check_report(scratch, at_least=1000 * MIB)


def disable_thp(session):
    """The server disables huge pages for itself, as is its default, where `enabled` is "always"."""
    return Server(session, "--disable-thp", "yes")


def flag_of_child(session, server):
    """The flag of a child that the server starts now, as the kernel has it."""
    output = session.path("flag")
    server.process.send_signal(signal.SIGUSR2)
    for _ in range(1000):
        if os.path.exists(output) and os.path.getsize(output) > 0:
            with open(output, encoding="ascii") as file:
                return int(file.read())
        time.sleep(0.01)
    raise Failure("the server's child said nothing")


def redis_with(scratch, app_thp):
    session = scratch.session(preload=True)
    session.env["UNSPLIT_CONF"] += f",app_thp:{app_thp}"
    session.env["LD_PRELOAD"] += ":" + os.environ["CHILD_ON_SIGNAL_LIBRARY"]
    session.env["CHILD_ON_SIGNAL"] = os.environ["CHILD_ON_SIGNAL"]
    session.env["CHILD_ON_SIGNAL_OUTPUT"] = session.path("flag")
    return session


def redis_softened(scratch):
    """What it asked for holds for memory that nobody advised, and for none of its children."""
    session = redis_with(scratch, "soften")
    with disable_thp(session) as server:
        fill(server, 400_000)
        check_huge(server.process.pid, at_least=350 * MIB)
        flag = flag_of_child(session, server)
        expect(flag == 0, f"a child of the server has the flag {flag}")
        server.stop()


def redis_honoured(scratch):
    """The control: it does ask, and its children do inherit."""
    session = redis_with(scratch, "honour")
    with disable_thp(session) as server:
        fill(server, 100_000)
        fields = rollup(server.process.pid)
        print(f"{fields['AnonHugePages'] / MIB:.0f} MiB huge, from before it asked")
        expect(fields["AnonHugePages"] < 0.2 * fields["Anonymous"], "too much is huge")
        flag = flag_of_child(session, server)
        expect(flag == 1, f"a child of the server has the flag {flag}")
        server.stop()


TESTS = {"python": python, "python_arenas": python_arenas, "java": java, "node": node,
         "sqlite": sqlite, "redis": redis, "redis_softened": redis_softened,
         "redis_honoured": redis_honoured}

if __name__ == "__main__":
    main(TESTS[sys.argv.pop()])
