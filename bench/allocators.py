"""Which allocators are compared, each at its best huge-page settings, and how to run one."""

import os
import re
import subprocess
from pathlib import Path

import measure

# Library or None, and environment.  Those of DO_NOT_ASK never advise their memory, so they have
# huge pages only where transparent_hugepage/enabled is "always".
PEERS = {
    "plain glibc": (None, {}),
    "glibc hugetlb": (None, {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}),
    "jemalloc": ("libjemalloc.so.2", {"MALLOC_CONF": "thp:always,metadata_thp:auto"}),
    "jemalloc hpa": ("libjemalloc.so.2", {"MALLOC_CONF": "hpa:true,metadata_thp:auto"}),
    "mimalloc": ("libmimalloc.so.2", {}),
    "tcmalloc": ("libtcmalloc_minimal.so.4", {}),
    "tbbmalloc": ("libtbbmalloc_proxy.so.2", {"TBB_MALLOC_USE_HUGE_PAGES": "1"}),
}
OURS = "unsplit"
DO_NOT_ASK = ("mimalloc", "tcmalloc")


VARIABLE = re.compile(r"[A-Za-z_]\w*=", re.ASCII)


def parse_peer(text):
    """NAME=LIBRARY[,VARIABLE=VALUE...]; what follows a comma in a value belongs to it unless it
    begins as a variable does.  Raises ValueError."""
    name, _, rest = text.partition("=")
    library, *words = rest.split(",")
    if not name or not library:
        raise ValueError(f"--peer {text!r} is not NAME=LIBRARY[,VARIABLE=VALUE...]")
    if "," in name or name == OURS:
        raise ValueError(f"--peer {name!r}: a name has no comma, and {OURS!r} is taken")
    settings = []
    for word in words:
        if VARIABLE.match(word):
            settings.append(word)
        elif settings:
            settings[-1] += "," + word
        else:
            raise ValueError(f"--peer {name}: {word!r} is not VARIABLE=VALUE")
    if not Path(library).is_file():
        raise ValueError(f"--peer {name}: there is no file {library!r}")
    return name, library, dict(setting.split("=", 1) for setting in settings)


def choose(only, peers, build):
    """Name → (library or None, environment), in the order of the table; `only` may be None, `peers`
    are what parse_peer() returned.  Raises ValueError for a name that is unknown, or twice there."""
    known = dict(PEERS)
    for name, library, env in peers:
        if name in known:
            raise ValueError(f"--peer {name}: there is one of that name")
        known[name] = (library, env)
    known[OURS] = (str(build / "libunsplit.so.0"), {})
    check_names("allocator", only or (), known)
    return {name: known[name] for name in only or known}


def check_names(kind, names, known):
    """Raise ValueError if one of the names is not known."""
    unknown = [repr(name) for name in names if name not in known]
    if unknown:
        raise ValueError(f"unknown {kind} {', '.join(unknown)}; known: {', '.join(known)}")


def find(chosen, note):
    """Name → environment that selects the allocator.  Says with note() what is not there; raises
    ValueError for what is no library."""
    found = {}
    for name, (library, env) in chosen.items():
        path = library if not library or Path(library).is_file() else measure.find_library(library)
        if library and not path:
            note(f"{name} left out: no {library} (scripts/setup bench, scripts/build)")
            continue
        found[name] = {"LD_PRELOAD": str(Path(path).absolute()), **env} if path else dict(env)
        said = check_loads(name, found[name])
        if said:
            note(f"{name} says: {said}")
    return found


def check_loads(name, env):
    """The loader only warns of what it cannot preload, and plain glibc would be measured.  What
    else is said, mostly of a setting that is not known, is returned: it would be measured without
    that setting."""
    said = subprocess.run(["/bin/true"], env={**os.environ, **env}, stderr=subprocess.PIPE,
                          text=True, check=False).stderr
    if "cannot be preloaded" in said:
        raise ValueError(f"{name}: {env['LD_PRELOAD']} cannot be preloaded")
    return "; ".join(said.split("\n")[:3]).strip("; ")
