#!/bin/sh
# Runs the tests and says at the end how many were skipped, and why. Status: that of the tests.
#
# usage: test.sh [options of `swift test`]...
set -eu
cd "$(dirname "$0")/.."
log=$(mktemp "${TMPDIR:-/tmp}/martlet-test.XXXXXX")
trap 'rm -f "$log"' EXIT

# A pipe would hide the status.
mkfifo "$log.pipe"
trap 'rm -f "$log" "$log.pipe"' EXIT
tee "$log" <"$log.pipe" &
status=0
"${SWIFT:-swift}" test "$@" </dev/null >"$log.pipe" 2>&1 || status=$?
wait

skipped=$(grep -c ' skipped' "$log" || true)
echo
if [ "$skipped" -gt 0 ]; then
  echo "$skipped tests or suites were skipped:"
  grep ' skipped' "$log" | sed 's/^[^A-Za-z]*/  /' | sort | uniq -c
else
  echo "No test was skipped."
fi
exit "$status"
