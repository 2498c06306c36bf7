#!/bin/sh
# Makes the Debian system that `make bench` measures real programs in, as a directory to run them natively in
# and as an initramfs: GUESTS/benchmark-root and GUESTS/benchmark-root.cpio. Done only when something changed.
#
# usage: build-benchmark-root.sh
set -eu
. "$(dirname "$0")/common.sh"
benchmarks=$(cd "$(dirname "$0")/../Benchmarks" && pwd)
packages="gcc,libc6-dev,mount,openssl,perl-base,python3-minimal,libpython3-stdlib,sqlite3,xz-utils"

[ "$(id -u)" -eq 0 ] || die "the benchmarks of real programs need root, to enter the system they run in"
guests=$(guests_directory)
mkdir -p "$guests"
exec 9>"$guests/.lock"
flock 9 2>/dev/null || true
root=$guests/benchmark-root
image=$guests/benchmark-root.cpio
suite=$(. /etc/os-release && echo "$VERSION_CODENAME")

inputs=$(cat "$0" "$benchmarks"/programs/* "$benchmarks/compute-kernels.c" | sha256sum | cut -d ' ' -f 1)
if [ -s "$image" ] && [ "$(cat "$image.inputs" 2>/dev/null)" = "$inputs" ]; then exit 0; fi

workspace=$(mktemp -d "$guests/.benchmark-root.XXXXXX")
trap 'rm -rf "$workspace"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# The packages are installed once and kept apart from what the benchmarks add.
if [ "$(cat "$guests/benchmark-base.packages" 2>/dev/null)" != "$suite $packages" ]; then
  say "installing $packages"
  mmdebstrap --quiet --mode=root --variant=essential --include="$packages" \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
    --dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt='path-exclude=/usr/share/info/*' \
    --dpkgopt='path-exclude=/usr/lib/gcc/*/lto1' --dpkgopt='path-exclude=/usr/lib/gcc/*/*san.a' \
    --customize-hook='rm -rf "$1"/var/lib/apt/lists/* "$1"/var/cache/* "$1"/usr/share/i18n' \
    "$suite" "$workspace/base.tar" >&2 || die "mmdebstrap failed"
  mv "$workspace/base.tar" "$guests/benchmark-base.tar"
  echo "$suite $packages" >"$guests/benchmark-base.packages"
fi

mkdir "$workspace/root"
tar -x -C "$workspace/root" -f "$guests/benchmark-base.tar" --exclude='./dev/*'
mkdir "$workspace/root/bench"
install -m 755 "$benchmarks/programs/run" "$workspace/root/bench/run"
install -m 755 "$benchmarks/programs/init" "$workspace/root/init"
install -m 644 "$benchmarks"/programs/*.py "$benchmarks"/programs/*.pl "$benchmarks"/programs/*.sql \
  "$benchmarks/compute-kernels.c" "$workspace/root/bench/"
gcc -O2 -static -o "$workspace/root/bench/timed" "$benchmarks/programs/timed.c"
# What xz packs: machine code.
head -c 1000000 "$workspace"/root/usr/bin/openssl >"$workspace/root/bench/data"

# Not compressed: unpacking is not what is measured.
(cd "$workspace/root" && find . | LC_ALL=C sort | busybox cpio -o -H newc 2>/dev/null) >"$workspace/image"
rm -rf "$root"
mv "$workspace/root" "$root"
mv "$workspace/image" "$image"
echo "$inputs" >"$image.inputs"
