#!/usr/bin/env python3
"""Install the project, or unpack its Debian package, into a scratch directory, and use it from
there as others would: run a program under the command, and build the example with pkg-config and
with CMake."""

import argparse
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
SKIPPED = 77


def fail(message):
    sys.exit(f"package: {message}")


def run(*command, expect=0, **environment):
    """Run a command; what it prints to stdout.  Nothing of us is inherited."""
    kept = {k: v for k, v in os.environ.items() if k not in ("LD_PRELOAD", "UNSPLIT_CONF")}
    done = subprocess.run([str(word) for word in command], env={**kept, **environment}, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
    if (done.returncode == 0) != (expect == 0):
        fail(f"{command} ended with {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done.stdout


def skip(message):
    print(f"skipped: {message}")
    sys.exit(SKIPPED)


def pack(build, directory):
    """The path of the Debian package, which is made in that directory."""
    for tool in ("dpkg-deb", "dpkg-shlibdeps"):
        if not shutil.which(tool):
            skip(f"there is no {tool}")
    run("cpack", "-G", "DEB", "-B", directory, "--config", build / "CPackConfig.cmake")
    (package,) = directory.glob("unsplit_*.deb")
    return package


class Installed:
    """What lies below a scratch directory, of which `usr` is the prefix."""

    def __init__(self, scratch, build, libdir, version):
        self.scratch, self.build, self.version = scratch, build, version
        self.root = scratch / "root"
        self.prefix = self.root / "usr"
        self.libdir = self.prefix / libdir

    def install(self):
        run("cmake", "--install", self.build, "--prefix", self.prefix)
        # A prefix of its own: found by a path.
        self.pkg_config = {"PKG_CONFIG_PATH": str(self.libdir / "pkgconfig")}

    def unpack(self):
        package = pack(self.build, self.scratch / "packed")
        run("dpkg-deb", "-x", package, self.root)
        check_control(package, self.version)
        # A tree that stands for /: what unsplit.pc says is looked up below it.
        self.pkg_config = {"PKG_CONFIG_SYSROOT_DIR": str(self.root),
                           "PKG_CONFIG_LIBDIR": str(self.libdir / "pkgconfig")}

    def files(self):
        return sorted(str(path.relative_to(self.prefix)) for path in self.prefix.rglob("*")
                      if not path.is_dir())


def check_control(package, version):
    fields = {name: run("dpkg-deb", "-f", package, name).strip()
              for name in ("Package", "Version", "Depends", "Architecture")}
    if fields["Package"] != "unsplit" or fields["Version"] != version:
        fail(f"{fields}")
    for needed in ("libc6 (>= ", "libmimalloc2.0 (>= "):
        if needed not in fields["Depends"]:
            fail(f"does not depend on {needed}: {fields['Depends']}")


def check_files(installed):
    names = (HERE / "files.txt").read_text().split()
    libdir = str(installed.libdir.relative_to(installed.prefix))
    wanted = sorted(n.replace("LIBDIR", libdir).replace("VERSION", installed.version)
                    for n in names)
    if installed.files() != wanted:
        fail(f"installed: {installed.files()}\nwanted: {wanted}")


def check_command(installed):
    """The command finds the library that was installed with it, and no other."""
    look = ("print('\\n'.join(sorted({line.split()[-1] for line in open('/proc/self/maps')"
            " if 'libunsplit' in line})))")
    library = installed.libdir / f"libunsplit.so.{installed.version}"
    command = installed.prefix / "bin" / "unsplit"
    mapped = run(command, "run", "--", sys.executable, "-c", look).strip()
    if mapped != str(library):
        fail(f"mapped is {mapped!r} instead of {library}")
    if run(sys.executable, "-c", look).strip():
        fail("the library is mapped without the command")


def check_example(program, installed, **environment):
    said = run(program, **environment)
    if said != f"unsplit {installed.version}: a block in memory, given back\n":
        fail(f"{program} says {said!r}")
    needed = run("readelf", "-d", program)
    if "[libunsplit.so.0]" not in needed:
        fail(f"{program} does not need libunsplit.so.0:\n{needed}")


def copy_example(installed, name):
    directory = installed.scratch / name
    shutil.copytree(HERE / "example", directory)
    return directory


def check_pkg_config(installed):
    directory = copy_example(installed, "with-make")
    said = run("pkg-config", "--modversion", "unsplit", **installed.pkg_config).strip()
    if said != installed.version:
        fail(f"pkg-config says {said}")
    # The control: where there is no unsplit.pc, nothing is built.
    nowhere = {"PKG_CONFIG_LIBDIR": str(installed.scratch), "PKG_CONFIG_PATH": ""}
    run("make", "-C", directory, expect=2, **nowhere)
    run("make", "-C", directory, **installed.pkg_config)
    check_example(directory / "example", installed, LD_LIBRARY_PATH=str(installed.libdir))


def check_cmake(installed):
    directory = copy_example(installed, "with-cmake")
    build = directory / "build"
    configure = ("cmake", "-S", directory, "-B", build, f"-DCMAKE_PREFIX_PATH={installed.prefix}")
    # The control: a version that there is not.
    run(*configure, "-DUNSPLIT_WANTED=99", expect=1)
    run(*configure, "-DUNSPLIT_WANTED=0.1")
    run("cmake", "--build", build)
    check_example(build / "example", installed)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("way", choices=("install", "deb"))
    parser.add_argument("--build", type=pathlib.Path, required=True)
    parser.add_argument("--libdir", required=True)
    parser.add_argument("--version", required=True)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        installed = Installed(pathlib.Path(scratch), arguments.build, arguments.libdir,
                              arguments.version)
        if arguments.way == "install":
            installed.install()
        else:
            installed.unpack()
        check_files(installed)
        check_command(installed)
        check_pkg_config(installed)
        check_cmake(installed)


if __name__ == "__main__":
    main()
