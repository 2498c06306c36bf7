#!/bin/sh
# Makes a Debian system to boot: DIRECTORY/disk.img, a raw image with one ext4 file system, and its kernel and
# initial RAM disk beside it. Needs root (or sudo), a Debian mirror and about 3 GiB.
#
# usage: build-debian.sh DIRECTORY [SIZE]     SIZE as truncate takes it, 4G if it is not given
set -eu
. "$(dirname "$0")/common.sh"

[ $# -ge 1 ] || die "usage: build-debian.sh DIRECTORY [SIZE]"
directory=$1
size=${2:-4G}
[ ! -e "$directory/disk.img" ] || die "$directory/disk.img is there already: remove it, or choose another directory"
sh "$(dirname "$0")/install-packages.sh" debian
mkdir -p "$directory"
workspace=$(mktemp -d "$directory/.build.XXXXXX")
trap 'as_root rm -rf "$workspace"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

say "fetching packages (a few minutes)"
as_root mmdebstrap --variant=minbase \
  --include=linux-image-cloud-amd64,initramfs-tools,systemd-sysv,udev,dbus,iproute2 \
  --customize-hook='echo root:martlet | chroot "$1" chpasswd' \
  --customize-hook='echo "/dev/vda / ext4 errors=remount-ro 0 1" >"$1/etc/fstab"' \
  --customize-hook='echo debian >"$1/etc/hostname"' \
  bookworm "$workspace/root" >"$workspace/log" 2>&1 ||
  { tail -n 5 "$workspace/log" >&2; die "mmdebstrap failed"; }

say "writing the image"
as_root cp "$workspace"/root/boot/vmlinuz-* "$directory/vmlinuz"
as_root cp "$workspace"/root/boot/initrd.img-* "$directory/initrd.img"
truncate -s "$size" "$workspace/disk.img"
as_root mke2fs -q -t ext4 -d "$workspace/root" "$workspace/disk.img"
mv "$workspace/disk.img" "$directory/disk.img"

cat <<TEXT
Boot it (root's password is martlet):

  martlet run --memory 1G --disk $directory/disk.img --kernel $directory/vmlinuz \\
    --initrd $directory/initrd.img --append "console=ttyS0 root=/dev/vda rw"
TEXT
