"""A virtual machine: Debian's own kernel in qemu, with two NUMA nodes.

The kernel comes out of its package, which is downloaded once and never installed.  There is no disk:
all files are in an initramfs, each at the path that it has on this machine, so that a command line
that works here works there.  The processor is emulated (TCG), everywhere and for everybody alike, so
no rights are needed; programs run ten to thirty times slower.
"""

import glob
import os
import re
import subprocess
import tarfile
import threading

META_PACKAGE = "linux-image-cloud-amd64"
# Names that a distribution with a merged /usr keeps as links.
TOP_LINKS = ("/bin", "/sbin", "/lib", "/lib64")
NODES = 2
MIB_PER_NODE = 1024


class Failure(Exception):
    """What keeps the machine from being made or from running to its end."""


# ---- the kernel ----

def apt(*command, cwd=None):
    """What an apt command prints."""
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Failure(f"the kernel package cannot be had: {' '.join(command)} says:\n"
                      f"{done.stdout}{done.stderr}"
                      f"Is there a network, and was 'apt-get update' run?  A file\n"
                      f"linux-image-*-cloud-amd64_*.deb in {cwd or 'the cache'} serves as well.")
    return done.stdout


def cached_package(cache):
    return max(glob.glob(os.path.join(cache, "linux-image-*-cloud-amd64_*.deb")),
               key=os.path.getmtime, default=None)


def download_package(cache):
    fields = apt("apt-cache", "show", "--no-all-versions", META_PACKAGE, cwd=cache)
    image = re.search(r"linux-image-[0-9][^ ,]*-cloud-amd64\b", fields)
    if not image:
        raise Failure(f"{META_PACKAGE} depends on no kernel image:\n{fields}")
    apt("apt-get", "download", image[0], cwd=cache)
    return cached_package(cache)


def unpack_kernel(package, target):
    """Only the kernel: the modules are a hundred times bigger and not needed."""
    tar = subprocess.Popen(["dpkg-deb", "--fsys-tarfile", package], stdout=subprocess.PIPE)
    with tarfile.open(fileobj=tar.stdout, mode="r|") as members:
        for member in members:
            if os.path.basename(member.name).startswith("vmlinuz-"):
                with open(target + ".new", "wb") as file:
                    file.write(members.extractfile(member).read())
                os.rename(target + ".new", target)
                break
    tar.kill()
    tar.wait()


def kernel(cache):
    """The path of the kernel; it and its package are kept in the directory `cache`."""
    package = cached_package(cache) or download_package(cache)
    target = package.removesuffix(".deb") + ".vmlinuz"
    if not os.path.exists(target):
        unpack_kernel(package, target)
    if not os.path.exists(target):
        raise Failure(f"there is no kernel in {package}; remove it to have it downloaded again")
    return target


# ---- its files ----

def libraries_of(path):
    """The shared libraries that a program or library needs, and its loader, by path."""
    with open(path, "rb") as file:
        if file.read(4) != b"\x7fELF":
            return []
    said = subprocess.run(["ldd", path], capture_output=True, text=True, check=False).stdout
    if "not found" in said:
        raise Failure(f"{path} does not find all its libraries:\n{said}")
    return re.findall(r"(/\S+) \(0x", said)


class Image:
    """The files of an initramfs, by the path they will have."""

    def __init__(self):
        self.entries = {}  # path: (mode, contents or path to read them from)
        for link in TOP_LINKS:
            if os.path.islink(link):
                self.entries[link] = (0o120777, os.readlink(link).encode())

    def _add(self, path, mode, contents):
        for link in TOP_LINKS:
            if link in self.entries and path.startswith(link + "/"):
                path = os.path.realpath(link) + path[len(link):]
        self.directory(os.path.dirname(path))
        self.entries[path] = (mode, contents)

    def directory(self, path):
        if path != "/" and path not in self.entries:
            self.directory(os.path.dirname(path))
            self.entries[path] = (0o040755, b"")

    def write(self, path, text):
        """A file, which may be run."""
        self._add(path, 0o100755, text.encode())

    def copy(self, path):
        """A file of this machine, with all libraries it needs."""
        for needed in [path, *libraries_of(path)]:
            self._add(needed, 0o100755, os.path.realpath(needed))

    def rename(self, path, new):
        """A file of this machine that needs no library, at another path."""
        self._add(new, 0o100755, os.path.realpath(path))

    def save(self, target):
        """As an archive of the format "newc", which the kernel unpacks."""
        with open(target + ".new", "wb") as file:
            for number, path in enumerate(sorted(self.entries), 1):
                mode, contents = self.entries[path]
                if isinstance(contents, str):
                    with open(contents, "rb") as source:
                        contents = source.read()
                file.write(cpio_member(number, mode, path.lstrip("/"), contents))
            file.write(cpio_member(0, 0, "TRAILER!!!", b""))
        os.rename(target + ".new", target)


def cpio_member(number, mode, name, contents):
    """Header, name and contents, each filled up to four bytes; everything belongs to root."""
    name = name.encode() + b"\0"
    fields = (number, mode, 0, 0, 1, 0, len(contents), 0, 0, 0, 0, len(name), 0)
    head = b"070701" + b"".join(b"%08X" % field for field in fields) + name
    return b"".join(part + b"\0" * (-len(part) % 4) for part in (head, contents))


# ---- the machine ----

def nodes():
    """One processor and one part of the memory each."""
    words = ["-smp", str(NODES), "-m", f"{NODES * MIB_PER_NODE}M"]
    for node in range(NODES):
        words += ["-object", f"memory-backend-ram,id=m{node},size={MIB_PER_NODE}M",
                  "-numa", f"node,nodeid={node},cpus={node},memdev=m{node}"]
    return words


def command(kernel_path, initramfs):
    # The kernel may not move pages to where they are used: it would hide what was placed wrongly.
    line = "console=ttyS0 quiet loglevel=4 panic=-1 mitigations=off numa_balancing=disable"
    # It must not outlive us, however we end.
    return ["setpriv", "--pdeathsig", "KILL", "qemu-system-x86_64",
            "-accel", "tcg,thread=multi", "-cpu", "max", *nodes(),
            "-nodefaults", "-no-user-config", "-display", "none", "-serial", "stdio",
            "-no-reboot", "-kernel", kernel_path, "-initrd", initramfs, "-append", line]


def boot(kernel_path, initramfs, log, limit):
    """Run the machine until it powers itself off, and yield what it prints, line by line."""
    with open(log, "w", encoding="utf-8") as copy:
        process = subprocess.Popen(command(kernel_path, initramfs), stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                   errors="replace")
        timer = threading.Timer(limit, process.kill)
        timer.start()
        try:
            for line in process.stdout:
                copy.write(line)
                copy.flush()
                yield line.rstrip("\r\n")
            if process.wait() != 0:
                raise Failure(f"qemu ended with status {process.returncode}"
                              f" (it is killed after {limit} s); what it printed is in {log}")
        finally:
            timer.cancel()
            process.kill()
            process.wait()
