#!/usr/bin/env python3
"""Install the Debian package on a system that has nothing but what every Debian has, use it there
as others would, and remove it again.

The system is made by debootstrap from the mirror that this machine's apt uses, below the build
directory, and is gone afterwards.  Each command runs in mount and process namespaces of its own:
what it mounts and starts ends with it, whatever happens."""

import argparse
import os
import pathlib
import shutil
import subprocess
import urllib.error
import urllib.request

from package import fail, pack, run, skip

# What is done in the namespaces.  $0 is the root directory, the rest the command.  Seen from
# outside there is no mount below the directory, so that it can be removed at any time.
ENTER = """
mount -t proc proc "$0/proc" &&
mount --rbind /sys "$0/sys" &&
exec chroot "$0" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin \\
    DEBIAN_FRONTEND=noninteractive "$@"
"""
# The same rights; and devices and programs, which debootstrap puts there, have to work.
TRY = """
mkdir "$0/proc" "$0/sys" &&
mount -t proc proc "$0/proc" &&
mount --rbind /sys "$0/sys" &&
mknod "$0/null" c 1 3 && : >"$0/null" &&
cp /bin/true "$0" && "$0/true" &&
chroot / true
"""
APART = ("unshare", "--mount", "--pid", "--fork", "--kill-child")

# Where dpkg, apt and the loader keep their own accounts.
ACCOUNTS = ("var/lib/dpkg", "var/lib/apt", "var/cache", "var/log")

SHOW_MAPPED = ("print('\\n'.join(sorted({line.split()[-1] for line in open('/proc/self/maps')"
               " if 'unsplit' in line})))")
# Blocks of all sizes, so that more than the loading is tried.
COUNT_MAPPED = ("my @blocks = map { 'x' x ($_ * 64) } 1 .. 2000; open my $maps, '<', "
                "'/proc/self/maps'; print scalar(grep { /unsplit/ } <$maps>) ? 'mapped' : 'not'")


# ---- what the machine allows ----

def remove(directory):
    """Remove a directory; never what is mounted below it."""
    mounts = pathlib.Path("/proc/self/mountinfo").read_text().splitlines()
    below = [line.split()[4] for line in mounts if line.split()[4].startswith(str(directory))]
    if below:
        fail(f"{below} is mounted: not removed")
    shutil.rmtree(directory)


def check_machine():
    if os.geteuid() != 0:
        skip("only root can make a system to install into")
    for tool in ("debootstrap", "unshare", "apt-get"):
        if not shutil.which(tool):
            skip(f"there is no {tool} (scripts/setup test)")


def check_rights(directory):
    tried = directory / "tried"
    tried.mkdir()
    done = subprocess.run([*APART, "sh", "-c", TRY, tried], text=True, check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if done.returncode:
        reason = (done.stderr.strip() or "no reason given").splitlines()[-1]
        skip(f"no right to mount, to make devices or to change the root: {reason}")


def find_release():
    """The name of the Debian release that this is, for which the package was built."""
    lines = pathlib.Path("/etc/os-release").read_text().splitlines()
    fields = dict(line.split("=", 1) for line in lines if "=" in line)
    if fields.get("ID") != "debian" or "VERSION_CODENAME" not in fields:
        skip(f"this is not a release of Debian, but {fields.get('PRETTY_NAME')}")
    return fields["VERSION_CODENAME"]


def find_mirror(release):
    """The address from which this machine's apt takes that release."""
    for line in run("apt-get", "indextargets", "--format", "$(RELEASE) $(COMPONENT) $(REPO_URI)",
                    "Created-By: Packages").splitlines():
        name, component, address = line.split()
        if (name, component) == (release, "main") and address.startswith(("http", "file:")):
            return address
    return skip(f"this machine's apt takes {release} from no server")


def use_proxy():
    """wget and Python take the proxy from the environment; apt may have it from a file."""
    for scheme in ("http", "https"):
        proxy = run("apt-config", "--format", "%v%n", "dump", f"Acquire::{scheme}::Proxy").strip()
        if proxy and proxy != "DIRECT":
            os.environ.setdefault(f"{scheme}_proxy", proxy)


def check_mirror(mirror, release):
    """Skips if there is no way to the mirror.  An answer of any other kind is not for here."""
    try:
        urllib.request.urlopen(f"{mirror}dists/{release}/InRelease", timeout=30).close()
    except urllib.error.HTTPError as error:
        if error.code >= 500:
            skip(f"{mirror} cannot be reached: {error}")
    except OSError as error:
        skip(f"{mirror} cannot be reached: {error}")


# ---- the system ----

class System:
    """A Debian of which only the essential packages and apt are installed."""

    def __init__(self, root):
        self.root = root

    def make(self, release, mirror):
        # Nothing that is written need survive a crash, so dpkg need not wait for the disk.
        self.write("etc/dpkg/dpkg.cfg.d/unsafe-io", "force-unsafe-io\n")
        run(*APART, "debootstrap", "--variant=minbase", release, self.root, mirror)
        # How this machine's apt reaches its servers, without what it does besides.
        self.write("etc/apt/apt.conf.d/99machine", run("apt-config", "dump", "Acquire"))
        for name in ("resolv.conf", "hosts"):
            shutil.copy(pathlib.Path("/etc") / name, self.root / "etc" / name)
        self.run("apt-get", "update")

    def write(self, name, text):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def run(self, *command, expect=0):
        return run(*APART, "sh", "-c", ENTER, self.root, *command, expect=expect)

    def run_as_user(self, *command, **environment):
        """Run a command as nobody."""
        return self.run(*(f"{k}={v}" for k, v in environment.items()),
                        "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *command)

    def install(self, *packages):
        self.run("apt-get", "install", "-y", *packages)

    def refuses(self, *command):
        """Run a command that has to fail; all it says."""
        return self.run("sh", "-c", '! "$@" 2>&1', "sh", *command)

    def names(self):
        """All files and directories but the accounts."""
        found = set()
        for directory, below, files in os.walk(self.root):
            place = os.path.relpath(directory, self.root)
            below[:] = [b for b in below if os.path.normpath(f"{place}/{b}") not in ACCOUNTS]
            found.update(os.path.normpath(f"{place}/{name}") for name in below + files)
        return found


def check_left(system, before, what):
    """That all files are again as they were, and the loader has forgotten the library."""
    after = system.names()
    if after != before:
        fail(f"{what}: left {sorted(after - before)}, took {sorted(before - after)}")
    if "unsplit" in system.run("ldconfig", "-p"):
        fail(f"{what}: the loader still knows the library")


# ---- what is checked ----

def check_use(system, version, build):
    """All that its user does."""
    said = system.run_as_user("unsplit", "--version").strip()
    if said != f"unsplit {version}":
        fail(f"unsplit --version says {said!r}")
    check_doctor(system, build)
    library = system.run_as_user("unsplit", "run", "--", "python3", "-c", SHOW_MAPPED).split()
    if [pathlib.Path(path).name for path in library] != [f"libunsplit.so.{version}"]:
        fail(f"mapped is {library}")
    if system.run_as_user("python3", "-c", SHOW_MAPPED).strip():
        fail("the library is mapped without the command")
    # A soname alone, as it would be written into a unit of systemd.
    for preload, wanted in (("libunsplit.so.0", "mapped"), ("", "not")):
        said = system.run_as_user("perl", "-e", COUNT_MAPPED, LD_PRELOAD=preload)
        if said != wanted:
            fail(f"perl with LD_PRELOAD={preload!r}: the library is {said}")


def check_doctor(system, build):
    """The machine is the same, so the verdict has to be that of the command that was built."""
    script = '"$@" && echo status 0 || echo status $?'
    here = run("sh", "-c", script, "sh", build / "unsplit", "doctor").splitlines()
    there = system.run("sh", "-c", script, "sh", "unsplit", "doctor").splitlines()
    if len(here) < 5 or here[-2:] != there[-2:]:
        fail(f"doctor says {there[-2:]} instead of {here[-2:]}")


def check_documents(system):
    for name in ("man1/unsplit.1", "man3/libunsplit.3", "man5/unsplit.conf.5"):
        if not (system.root / "usr/share/man" / name).read_text().count("\n.SH "):
            fail(f"{name} has no sections")
    said = system.run("bash", "-c", "complete -p unsplit 2>/dev/null || echo none; "
                      ". /usr/share/bash-completion/completions/unsplit; complete -p unsplit")
    if not said.startswith("none\n") or not said.strip().endswith(" unsplit"):
        fail(f"bash completes by {said!r}")


def check_installed(system, version, build):
    said = system.run("dpkg", "-V", "unsplit")
    if said:
        fail(f"dpkg -V says {said!r}")
    check_use(system, version, build)
    check_documents(system)


def check_verify_notices(system):
    """The control of dpkg -V: a file of the package that was changed."""
    page = system.root / "usr/share/man/man1/unsplit.1"
    kept = page.read_bytes()
    page.write_bytes(kept + b"\n")
    if "unsplit.1" not in system.run("dpkg", "-V", "unsplit"):
        fail("dpkg -V does not notice that a file was changed")
    page.write_bytes(kept)


def check_few(system, before, limit):
    """Who installs an allocator does not want half a desktop with it."""
    size = sum((system.root / name).lstat().st_size for name in system.names() - before)
    if size > limit:
        fail(f"{size >> 20} MiB were installed, more than {limit >> 20}")


def by_apt(system, package, version, build):
    """apt finds what is missing, and takes it away again."""
    before = system.names()
    system.install(package)
    check_few(system, before, 16 << 20)
    check_installed(system, version, build)
    check_verify_notices(system)
    system.run("apt-get", "autoremove", "-y", "--purge", "unsplit")
    check_left(system, before, "apt-get autoremove")


def by_dpkg(system, package, depends, version, build):
    """dpkg refuses until what is needed is there."""
    said = system.refuses("dpkg", "-i", package)
    if "unsplit depends on libmimalloc2.0" not in said:
        fail(f"dpkg -i without what is needed says {said!r}")
    system.run("dpkg", "-P", "unsplit")
    system.install(*depends)
    before = system.names()
    for option in ("-r", "-P"):
        system.run("dpkg", "-i", package)
        check_installed(system, version, build)
        system.run("dpkg", option, "unsplit")
        check_left(system, before, f"dpkg {option}")
    if list((system.root / "var/lib/dpkg/info").glob("unsplit.*")):
        fail("dpkg still has its scripts after dpkg -P")


def check(directory, build, version):
    check_rights(directory)
    release = find_release()
    mirror = find_mirror(release)
    use_proxy()
    check_mirror(mirror, release)
    package = pack(build, directory / "packed")
    depends = run("dpkg-deb", "-f", package, "Depends")
    system = System(directory / "root")
    system.make(release, mirror)
    system.install("python3-minimal")
    shutil.copy(package, system.root / "root")
    inside = f"/root/{package.name}"
    by_apt(system, inside, version, build)
    by_dpkg(system, inside, [word.split()[0] for word in depends.split(",")], version, build)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", type=pathlib.Path, required=True)
    parser.add_argument("--version", required=True)
    arguments = parser.parse_args()
    check_machine()
    directory = arguments.build.absolute() / "clean_system"
    if directory.exists():
        remove(directory)  # of a run that was ended
    directory.mkdir()
    try:
        check(directory, arguments.build.absolute(), arguments.version)
    finally:
        remove(directory)


if __name__ == "__main__":
    main()
