#!/bin/sh
# check_exports.sh LIBRARY LIST: the library has the SONAME and defines exactly the dynamic symbols
# of the list.
#
# Whoever adds one adds it to the list on purpose: every exported name replaces, or may clash with,
# a name of the program we are loaded into.
set -eu
library=$1
list=$2

# Version nodes are absolute symbols (type A), not names of ours.
exported() {
	nm -D --defined-only "$library" | awk '$2 != "A" { sub(/@.*/, "", $3); print $3 }'
}

soname() {
	readelf -d "$library" | sed -n 's/.*(SONAME).*\[\(.*\)\]/SONAME \1/p'
}

{ exported && soname; } | LC_ALL=C sort -u | diff -u --label "$list" --label "$library" "$list" -
