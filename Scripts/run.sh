#!/bin/sh
# Boots a Debian kernel to a shell: `make run`. Without a terminal it runs a scripted session instead,
# which powers the guest off; the exit status is then 0.
#
# usage: run.sh [cloud-amd64|amd64|686|686-pae] [options of `martlet run`]...
set -eu
cd "$(dirname "$0")/.."
. Scripts/common.sh

guest=cloud-amd64
case "${1:-}" in cloud-amd64 | amd64 | 686 | 686-pae) guest=$1; shift ;; esac
case "$guest" in 686*) architecture=i386 ;; *) architecture=amd64 ;; esac
guests=$(guests_directory)

append="console=ttyS0"
if [ ! -t 0 ] || [ ! -t 1 ]; then append="$append martlet.script=demo panic=-1"; fi

exec .build/release/martlet run --engine software --memory 512M \
  --kernel "$guests/$guest/vmlinuz" --initrd "$guests/initramfs-$architecture.cpio.gz" \
  --append "$append" "$@"
