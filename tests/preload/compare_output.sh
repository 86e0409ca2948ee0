#!/bin/sh
# compare_output.sh LIBRARY COMMAND...: the command prints the same with and without the library.
set -eu
library=$1
shift

plain=$(env -u LD_PRELOAD "$@")
preloaded=$(env LD_PRELOAD="$library" "$@")
echo "plain:     $plain"
echo "preloaded: $preloaded"
[ -n "$plain" ] && [ "$plain" = "$preloaded" ]
