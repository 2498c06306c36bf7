#!/bin/sh
# Installs the Debian packages that a task needs, as root or with sudo; where neither is to be had, says
# which are missing.
#
# usage: install-packages.sh run|test|system|bench
set -eu
. "$(dirname "$0")/common.sh"

case "${1:-}" in
run) wanted="busybox-static gzip libslirp-dev liburing-dev libnbd-dev zlib1g-dev libzstd-dev" ;;
test) wanted="busybox-static gzip gcc libc6-dev libzydis-dev libslirp-dev liburing-dev libnbd-dev zlib1g-dev libzstd-dev acpica-tools dmidecode qemu-utils nbdkit" ;;
system) wanted="libslirp-dev liburing-dev libnbd-dev zlib1g-dev libzstd-dev mmdebstrap e2fsprogs fdisk openssh-client python3 qemu-system-x86 qemu-utils" ;;
bench) wanted="busybox-static gzip libslirp-dev liburing-dev libnbd-dev zlib1g-dev libzstd-dev qemu-system-x86 qemu-utils gcc libc6-dev python3 mmdebstrap e2fsprogs iperf3" ;;
*) die "usage: install-packages.sh run|test|system|bench" ;;
esac

command -v dpkg-query >/dev/null || die "this is no Debian system; install by hand: $wanted"

missing=""
for package in $wanted; do
  status=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
  [ "$status" = installed ] || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

say "installing$missing"
export DEBIAN_FRONTEND=noninteractive
# The lists may be absent or old: fetch them when the first attempt fails.
# shellcheck disable=SC2086
if ! as_root apt-get install -y -qq --no-install-recommends $missing </dev/null >&2; then
  update_package_lists &&
    as_root apt-get install -y -qq --no-install-recommends $missing </dev/null >&2 ||
    die "cannot install packages here; run as root: apt-get install$missing"
fi
