#!/bin/sh
# Makes a guest's first file system from busybox-static: GUESTS/initramfs-<architecture>.cpio.gz, or the
# file given with --output. Done only when something changed.
#
# usage: build-initramfs.sh [--output FILE] [--add PROGRAM]... amd64|i386
set -eu
. "$(dirname "$0")/common.sh"
source_directory=$(cd "$(dirname "$0")" && pwd)/initramfs

output=""
additions=""
while [ $# -gt 1 ]; do
  case "$1" in
  --output) output=$2 ;;
  --add) additions="$additions $2" ;;
  *) die "usage: build-initramfs.sh [--output FILE] [--add PROGRAM]... amd64|i386" ;;
  esac
  shift 2
done
architecture=${1:-amd64}
case "$architecture" in amd64 | i386) ;; *) die "no guest architecture '$architecture'" ;; esac

guests=$(guests_directory)
mkdir -p "$guests"
output=${output:-$guests/initramfs-$architecture.cpio.gz}
exec 9>"$guests/.lock"
flock 9 2>/dev/null || true
workspace=$(mktemp -d "$guests/.initramfs.XXXXXX")
trap 'rm -rf "$workspace"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

busybox=$guests/busybox-$architecture
if [ ! -s "$busybox" ]; then
  if [ "$(dpkg --print-architecture)" != "$architecture" ] &&
    ! dpkg --print-foreign-architectures | grep -qx "$architecture"; then
    as_root dpkg --add-architecture "$architecture" && update_package_lists ||
      die "run as root: dpkg --add-architecture $architecture && apt-get update"
  fi
  say "fetching busybox-static:$architecture"
  (
    cd "$workspace"
    apt-get -o APT::Sandbox::User=root download -qq "busybox-static:$architecture" >&2 ||
      { update_package_lists && apt-get -o APT::Sandbox::User=root download -qq "busybox-static:$architecture" >&2; } ||
      die "cannot download busybox-static:$architecture"
    dpkg-deb --fsys-tarfile ./*.deb | tar -x
    found=$(find bin usr/bin -name busybox -type f 2>/dev/null | head -n 1)
    mv "$found" "$busybox.new"
    rm -rf ./*
  )
  mv "$busybox.new" "$busybox"
fi

# shellcheck disable=SC2086
inputs=$(cat "$busybox" "$source_directory/init" "$0" $additions | sha256sum | cut -d ' ' -f 1)
if [ -s "$output" ] && [ "$(cat "$output.inputs" 2>/dev/null)" = "$inputs" ]; then exit 0; fi

root=$workspace/root
mkdir -p "$root/bin" "$root/dev" "$root/proc" "$root/sys" "$root/tmp" "$root/root" "$root/etc"
install -m 755 "$busybox" "$root/bin/busybox"
install -m 755 "$source_directory/init" "$root/init"
ln -s busybox "$root/bin/sh"
for program in $additions; do install -m 755 "$program" "$root/bin/"; done
# One time stamp for all: the same inputs make the same image.
find "$root" -exec touch -h -d @0 {} +
(cd "$root" && find . | LC_ALL=C sort | busybox cpio -o -H newc -R 0:0 2>/dev/null) |
  gzip -9n >"$workspace/image"
mv "$workspace/image" "$output"
echo "$inputs" >"$output.inputs"
