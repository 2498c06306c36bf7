#!/bin/sh
# Runs the tests and says at the end how many were skipped, and why. Status: that of the tests, or 124 when they do not
# end in MARTLET_TEST_LIMIT seconds (3600): then it names those that had begun.
#
# usage: test.sh [options of `swift test`]...
set -eu
cd "$(dirname "$0")/.."
limit=${MARTLET_TEST_LIMIT:-3600}
log=$(mktemp "${TMPDIR:-/tmp}/martlet-test.XXXXXX")

# A pipe would hide the status.
mkfifo "$log.pipe"
trap 'rm -f "$log" "$log.pipe"' EXIT
tee "$log" <"$log.pipe" &
copy=$!
status=0
# Line by line: the last ones are what a run that hangs is judged by.
stdbuf -oL timeout --kill-after=30 "$limit" "${SWIFT:-swift}" test "$@" </dev/null >"$log.pipe" 2>&1 || status=$?
hung=false
if [ "$status" -eq 124 ] || [ "$status" -eq 137 ]; then
  hung=true
  # What the tests started may hold the pipe open.
  sleep 1
  kill "$copy" 2>/dev/null || true
fi
wait || true

echo
if $hung; then
  echo "The tests did not end in $limit seconds. Those that had begun and not ended:"
  awk '
    / Test case / || !/ (Test "|Suite )/ { next }
    { name = $0; sub(/^[^A-Z]*/, "", name) }
    / started\.$/ { sub(/ started\.$/, "", name); open[name]++; next }
    { sub(/ with [0-9]+ test cases?/, "", name) }
    sub(/ (passed|failed) after .*/, "", name) || sub(/ skipped.*/, "", name) { open[name]-- }
    END { for (name in open) if (open[name] > 0) print "  " name }' "$log" | sort
fi
skipped=$(grep -c ' skipped' "$log" || true)
if [ "$skipped" -gt 0 ]; then
  echo "$skipped tests or suites were skipped:"
  grep ' skipped' "$log" | sed 's/^[^A-Za-z]*/  /' | sort | uniq -c
else
  echo "No test was skipped."
fi
exit "$status"
