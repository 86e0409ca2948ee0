#!/bin/sh
# check_secure.sh DEGRADE PROBE: a program with raised privileges ignores UNSPLIT_CONF wholly.
set -u
degrade=$1
probe=$2
export UNSPLIT_CONF=no_such_option:1,strict:on

# The control: without raised privileges the mistake is named, and fatal.
said=$("$probe" 2>&1)
status=$?
echo "plain:  status $status: $said"
[ $status -eq 2 ] || exit 1
case $said in *no_such_option*) ;; *) exit 1 ;; esac

said=$("$degrade" --secure -- "$probe" 2>&1)
status=$?
echo "secure: status $status: $said"
[ $status -ne 77 ] || exit 77
[ $status -eq 0 ] || exit 1
case $said in *no_such_option*) exit 1 ;; *"AT_SECURE 1") ;; *) exit 1 ;; esac
