#!/usr/bin/env bash
# Run a command, say what it is and how long it took, and keep all of it in a log as well.
#
#   tools/step.sh LOG "installing what it needs" pip install ...
#
# The command's output goes to the terminal and to LOG; the exit code is the command's.
set -o pipefail
log=$1 what=$2
shift 2
mkdir -p "$(dirname "$log")"
say() { echo "== $what$1" | tee -a "$log"; }
say ""
begun=$SECONDS
"$@" 2>&1 | tee -a "$log"
code=$?
[ "$code" = 0 ] && say ": $((SECONDS - begun)) s" || say ": failed after $((SECONDS - begun)) s (exit code $code); all of it is in $log"
exit "$code"
