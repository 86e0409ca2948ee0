"""xz under the rules that `unsplit learn` writes for it.

With a large dictionary its hash table is large and, on a small input, touched sparsely: on huge pages
all of it is charged.  Also learns java, whose threads ask for their stack's bounds as unwinding does.

Usage:  learn.py --library PATH --unsplit PATH
"""

import argparse
import os
import subprocess
import sys
import tempfile

XZ = ["/usr/bin/xz", "--lzma2=preset=9,dict=128MiB", "-c", "-T1"]
TABLE = 128  # MiB: xz makes the hash table as large as the dictionary
MOST = 64    # MiB that may be resident under the rules


def fail(text):
    sys.exit(f"FAILED: {text}")


def text():
    state, words = 1, []
    for _ in range(3000):
        state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
        words.append(f"w{state >> 50:x}")
    return " ".join(words).encode()


def run(command, stdin=b""):
    """What it printed, and the most that it, or a child of it, had resident, in MiB."""
    with tempfile.TemporaryFile() as content, tempfile.TemporaryFile() as output:
        content.write(stdin)
        content.seek(0)
        process = subprocess.Popen(command, stdin=content, stdout=output, stderr=subprocess.PIPE)
        errors = process.stderr.read().decode()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode or "unsplit:" in errors:
            fail(f"{command}: status {process.returncode}: {errors}")
        output.seek(0)
        return output.read(), usage.ru_maxrss >> 10


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--library", required=True)
    parser.add_argument("--unsplit", required=True)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="unsplit-learn-") as directory:
        rules, java = os.path.join(directory, "xz.ini"), os.path.join(directory, "java.ini")
        learned, _ = run([args.unsplit, "learn", "-o", rules, "--", *XZ], text())
        start = [args.unsplit, "run", "--lib", args.library]
        without, before = run([*start, *XZ], text())
        under, after = run([*start, f"--rules={rules}", *XZ], text())
        print(f"xz: {before} MiB resident, {after} MiB under the rules")
        if not learned == without == under:
            fail("xz did not write the same")
        if before < TABLE:
            fail("the table is not on huge pages without rules, so this shows nothing")
        if after > MOST:
            fail(f"more than {MOST} MiB")
        run([args.unsplit, "learn", "-o", java, "--", "/usr/bin/java", "-version"])
        if not os.path.getsize(java):
            fail("java left no rules")


main()
