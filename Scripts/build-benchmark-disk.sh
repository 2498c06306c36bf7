#!/bin/sh
# Makes the Debian machine that `make bench` measures disks and networks in: GUESTS/benchmark-machine. Done only when
# something changed. Needs root.
#
# usage: build-benchmark-disk.sh MARTLET
set -eu
. "$(dirname "$0")/common.sh"
martlet=$1
benchmarks=$(cd "$(dirname "$0")/../Benchmarks" && pwd)
guests=$(guests_directory)
mkdir -p "$guests"
exec 9>"$guests/.lock"
flock 9 2>/dev/null || true
machine=$guests/benchmark-machine
inputs=$(cat "$0" "$benchmarks/devices-init" | sha256sum | cut -d ' ' -f 1)
if [ "$(cat "$machine/inputs" 2>/dev/null)" = "$inputs" ]; then exit 0; fi
rm -rf "$machine"
"$martlet" new debian "$machine" --size 2G --packages fio,iperf3,iputils-ping,gawk
/sbin/debugfs -w -R "write $benchmarks/devices-init devices-init" "$machine/disk.img" 2>/dev/null ||
  die "debugfs cannot write to $machine/disk.img"
echo "$inputs" >"$machine/inputs"
