"""What the tests of real programs share.

A test describes one piece of work as a function work(session) that runs programs with session.run()
and returns their output.  compare() does the work twice, in the same empty directory: without the
library and with it preloaded.  The outputs must be the same, nothing may complain on stderr, and at
least one process must have left the library's exit report, or it was never loaded.

Usage of each test:  test.py --library PATH
"""

import argparse
import glob
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time


class Failure(Exception):
    """A test's expectation was not met."""


def expect(condition, message):
    if not condition:
        raise Failure(message)


class Session:
    """One run of the work: a directory of its own, and the environment of its programs."""

    def __init__(self, directory, library, reports):
        self.directory = directory
        self.library = library
        self.reports = reports
        self.user = None
        self.env = {
            "PATH": "/usr/bin:/bin:/usr/sbin:/sbin",
            "HOME": directory,
            "LC_ALL": "C.UTF-8",
            "TZ": "UTC",
        }
        if library:
            self.env["LD_PRELOAD"] = library
            self.env["UNSPLIT_CONF"] = f"report:{reports}/%p.json"

    def path(self, name):
        return os.path.join(self.directory, name)

    def write(self, name, text):
        """Write a file into the directory; returns its path."""
        with open(self.path(name), "w", encoding="utf-8") as file:
            file.write(text)
        return self.path(name)

    def popen(self, command, env=None, **options):
        return subprocess.Popen(command, cwd=self.directory, env={**self.env, **(env or {})},
                                user=self.user, **options)

    def run(self, *command, stdin=None, env=None):
        """Run a program to its end and return what it printed, as bytes."""
        process = self.popen(command, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE)
        if isinstance(stdin, str):
            stdin = stdin.encode()
        out, err = process.communicate(stdin)
        expect(process.returncode == 0,
               f"{command[0]} ended with status {process.returncode}:\n"
               + out[-2000:].decode(errors="replace") + err[-2000:].decode(errors="replace"))
        expect(b"unsplit:" not in err, f"{command[0]}: " + err[-2000:].decode(errors="replace"))
        return out


class Scratch:
    """A temporary directory with a copy of the library that any user may read."""

    def __init__(self, library):
        self.top = tempfile.mkdtemp(prefix="unsplit-apps-")
        os.chmod(self.top, 0o755)
        self.library = os.path.join(self.top, os.path.basename(library))
        shutil.copy(library, self.library)
        self.reports = os.path.join(self.top, "reports")
        os.mkdir(self.reports)
        os.chmod(self.reports, 0o1777)

    def session(self, preload):
        """A session in an empty directory, each time at the same path."""
        directory = os.path.join(self.top, "work")
        shutil.rmtree(directory, ignore_errors=True)
        os.mkdir(directory)
        return Session(directory, self.library if preload else None, self.reports)

    def reports_found(self):
        found = []
        for path in glob.glob(os.path.join(self.reports, "*.json")):
            with open(path, encoding="utf-8") as file:
                found.append(json.load(file))
        return found

    def remove(self):
        shutil.rmtree(self.top, ignore_errors=True)


def first_difference(plain, preloaded):
    pairs = zip(plain.splitlines(), preloaded.splitlines())
    for number, (a, b) in enumerate(pairs, 1):
        if a != b:
            return f"line {number}:\n  plain     {a[:200]!r}\n  preloaded {b[:200]!r}"
    return f"{len(plain)} bytes plain, {len(preloaded)} bytes preloaded"


def check_loaded(scratch):
    if "UNSPLIT_TEST_PLAIN" not in os.environ:
        expect(scratch.reports_found(), "no process left a report: was the library loaded?")


def timed(work, session):
    start = time.monotonic()
    output = work(session)
    print(f"{'preloaded' if session.library else 'plain':10} {time.monotonic() - start:6.2f} s,"
          f" {len(output)} bytes of output")
    return output


def compare_in(scratch, work):
    plain = timed(work, scratch.session(preload=False))
    preloaded = timed(work, scratch.session(preload=True))
    expect(plain, "the work printed nothing: there is nothing to compare")
    expect(plain == preloaded, first_difference(plain, preloaded))
    check_loaded(scratch)


def main(test):
    """Run test(scratch) with the library of the command line; ends the process."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--library", required=True)
    scratch = Scratch(parser.parse_args().library)
    try:
        test(scratch)
    except Failure as failure:
        sys.exit(f"FAILED: {failure}")
    finally:
        scratch.remove()


def compare(work):
    """The main() of a test that compares the output of one piece of work."""
    main(lambda scratch: compare_in(scratch, work))


def random_words(count, seed=1):
    """The same text on every machine: `count` words, some of them frequent."""
    state = seed
    words = []
    for _ in range(count):
        state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
        rank = (state >> 33) % ((state >> 60) * 300 + 20)
        words.append(f"w{rank:x}")
    return " ".join(words)
