#!/usr/bin/env bash
# Run a command while khugepaged runs as fast as it can, and put its settings back:
#   release_khugepaged.sh COMMAND...
# Exit status: the command's; 77 if the settings may not be changed here.
set -euo pipefail

dir=/sys/kernel/mm/transparent_hugepage/khugepaged
declare -A fast=([scan_sleep_millisecs]=10 [alloc_sleep_millisecs]=10 [pages_to_scan]=100000)
declare -A old

restore() {
	for knob in "${!old[@]}"; do
		echo "${old[$knob]}" >"$dir/$knob"
	done
}

for knob in "${!fast[@]}"; do
	[ -w "$dir/$knob" ] || exit 77
done
trap restore EXIT
trap 'exit 1' INT TERM HUP
for knob in "${!fast[@]}"; do
	old[$knob]=$(<"$dir/$knob")
	echo "${fast[$knob]}" >"$dir/$knob"
done
# A test that hangs must not leave the machine changed.
timeout --kill-after=5 150 "$@"
