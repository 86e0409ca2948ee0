"""Run tests in a virtual machine with another kernel and two NUMA nodes (machine.py).

    run.py --build DIRECTORY [--list] [--only NAME]... preload|numa

preload: the tests that ctest names preload.*, with the exceptions that preload.ini makes.
numa: where memory is placed (numa_probe.cc), with the settings that numa.ini lists.

Exit status 0 only if every test ran and passed.  What the machine printed is kept in
DIRECTORY/vm/SUITE.log.
"""

import argparse
import configparser
import fnmatch
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time

from machine import Failure, Image, boot, kernel

HERE = os.path.dirname(os.path.abspath(__file__))
# What the tests run or load beside what their command lines name.
PROGRAMS = ("sh", "bash", "env", "true", "ls", "wc", "cat", "sleep", "timeout")
LOADED = ("libgcc_s.so.1", "libnuma.so.1")
# Seconds: of one test unless its file says otherwise, and of the machine.
TEST_LIMIT = 60
MACHINE_LIMIT = 540


class Test:
    """A command with its environment, and what is known of its end."""

    def __init__(self, name, words, env, directory="/", must_fail=False):
        self.name = name
        self.command = words
        self.env = env
        self.directory = directory
        self.must_fail = must_fail
        self.limit = TEST_LIMIT
        self.without = None  # why it is left out

    def except_for(self, section):
        """What a file says of this test."""
        self.without = section.get("without")
        self.limit = section.getint("limit", TEST_LIMIT)
        for change in section.get("replace", "").splitlines():
            old, new = change.split(" by ")
            if old not in self.command:
                raise Failure(f"{self.name} has no argument {old!r}: {self.command}")
            self.command = [new if word == old else word for word in self.command]
        if "filter" in section:
            self.command = [word for word in self.command
                            if not word.startswith("--gtest_filter=")]
            self.command.append("--gtest_filter=" + section["filter"])

    def script(self):
        exports = "".join(f"export {shlex.quote(setting)}\n" for setting in self.env)
        return (f"#!/vm/busybox sh\ncd {shlex.quote(self.directory)}\n{exports}"
                f"exec {shlex.join(self.command)}\n")

    def files(self):
        """The files that it names, alone, in a list or after an option's name."""
        words = re.split(r"[:=,;]", "=".join([*self.command, *self.env]))
        return {word for word in words if word.startswith("/") and os.path.isfile(word)}

    def passed(self, status):
        """A test that is skipped is not passed: here everything can be had."""
        return (status != 0) == self.must_fail and status != 77


# ---- the suites ----

def read_ini(name):
    ini = configparser.ConfigParser(interpolation=None)
    with open(os.path.join(HERE, name), encoding="utf-8") as file:
        ini.read_file(file)
    return ini


def preload_tests(build):
    """What ctest would run here, but for the exceptions."""
    said = subprocess.run(["ctest", "--test-dir", build, "--show-only=json-v1", "-R", "^preload[.]"],
                          check=True, capture_output=True, text=True).stdout
    tests = {}
    for entry in json.loads(said)["tests"]:
        known = {item["name"]: item["value"] for item in entry["properties"]}
        tests[entry["name"]] = Test(entry["name"], entry["command"], known.get("ENVIRONMENT", []),
                                    known["WORKING_DIRECTORY"], known.get("WILL_FAIL", False))
    exceptions = read_ini("preload.ini")
    for pattern in exceptions.sections():
        names = fnmatch.filter(tests, pattern)
        if not names:
            raise Failure(f"preload.ini: there is no test {pattern}")
        for name in names:
            tests[name].except_for(exceptions[pattern])
    return list(tests.values())


def numa_tests(build):
    """A section a test: a filter for numa_probe, and perhaps rules for the library."""
    ini = read_ini("numa.ini")
    tests = []
    for name in ini.sections():
        env = [f"LD_PRELOAD={os.path.join(build, 'libunsplit.so.0')}",
               f"UNSPLIT_CLI={os.path.join(build, 'unsplit')}"]
        if "rules" in ini[name]:
            env.append(f"UNSPLIT_CONF=strict:on,rules:{os.path.join(HERE, ini[name]['rules'])}")
        test = Test(name, [os.path.join(build, "tests", "vm", "numa_probe")], env)
        test.except_for(ini[name])
        tests.append(test)
    return tests


SUITES = {"preload": preload_tests, "numa": numa_tests}


# ---- the machine and what it says ----

def path_of_library(name):
    said = subprocess.run(["/sbin/ldconfig", "-p"], check=True, capture_output=True, text=True)
    found = re.search(rf"{re.escape(name)} \(.*x86-64.*\) => (\S+)", said.stdout)
    if not found:
        raise Failure(f"there is no {name} here")
    return found[1]


def path_of_program(name):
    path = shutil.which(name)
    if not path:
        raise Failure(f"there is no {name} here: run 'scripts/setup test'")
    return path


def make_image(tests, target):
    image = Image()
    with open(os.path.join(HERE, "init"), encoding="utf-8") as file:
        image.write("/init", file.read())
    image.write("/vm/order", "".join(f"{test.name} {test.limit}\n" for test in tests))
    image.rename(path_of_program("busybox"), "/vm/busybox")
    for test in tests:
        image.write(f"/vm/tests/{test.name}", test.script())
        image.directory(test.directory)
    for path in {file for test in tests for file in test.files()}:
        image.copy(path)
    for path in [*map(path_of_program, PROGRAMS), *map(path_of_library, LOADED)]:
        image.copy(path)
    image.save(target)


def judge(tests, lines):
    """Print what failed tests printed, and how each test went; return the names of those that did
    not pass."""
    open_tests = {test.name: test for test in tests}
    failed, output = [], []
    for line in lines:
        result = re.fullmatch(r"@vm (\S+) (\d+) (\d+)", line)
        if not result:
            output.append(line)
            continue
        name, status, seconds = result[1], int(result[2]), int(result[3])
        good = open_tests.pop(name).passed(status)
        if not good:
            failed.append(name)
            print("\n".join(output))
        output = []
        print(f"{'passed' if good else 'FAILED'} {name}, status {status}, {seconds} s", flush=True)
    if open_tests:
        print("\n".join(output))
    return failed + [f"{name} (no result)" for name in open_tests]


def run(suite, tests, build):
    cache = os.path.join(build, "vm")
    os.makedirs(cache, exist_ok=True)
    path_of_program("qemu-system-x86_64")
    image = os.path.join(cache, f"{suite}.cpio")
    make_image(tests, image)
    log = os.path.join(cache, f"{suite}.log")
    return judge(tests, boot(kernel(cache), image, log, MACHINE_LIMIT))


def parse_arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", required=True)
    parser.add_argument("--list", action="store_true", help="name the tests, and run none")
    parser.add_argument("--only", action="append", help="run only this test, even one left out")
    parser.add_argument("suite", choices=SUITES)
    return parser.parse_args()


def main():
    arguments = parse_arguments()
    build = os.path.abspath(arguments.build)
    tests = SUITES[arguments.suite](build)
    if arguments.list:
        for test in tests:
            print(test.name, f"(left out: {test.without})" if test.without else "")
        return
    if arguments.only:
        tests = [test for test in tests if test.name in arguments.only]
    else:
        tests = [test for test in tests if not test.without]
    if not tests:
        raise Failure("no such test")
    start = time.monotonic()
    failed = run(arguments.suite, tests, build)
    print(f"{len(tests) - len(failed)} of {len(tests)} passed,"
          f" {time.monotonic() - start:.0f} s with the boot")
    if failed:
        raise Failure("these did not pass: " + ", ".join(failed))


if __name__ == "__main__":
    try:
        main()
    except Failure as failure:
        sys.exit(f"FAILED: {failure}")
