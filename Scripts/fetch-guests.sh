#!/bin/sh
# Fetches Debian's kernels, unmodified, into the guest cache: GUESTS/<name>/vmlinuz, and the modules that tests load.
# Always the package that Debian's metapackage names at the time; what is cached stays until --update.
#
# usage: fetch-guests.sh [--update] [cloud-amd64|amd64|686|686-pae]...     (default: all four)
set -eu
. "$(dirname "$0")/common.sh"

update=no
if [ "${1:-}" = --update ]; then
  update=yes
  shift
fi
[ $# -gt 0 ] || set -- cloud-amd64 amd64 686 686-pae

guests=$(guests_directory)
mkdir -p "$guests"
exec 9>"$guests/.lock"
flock 9 2>/dev/null || true

workspace=""
trap '[ -z "$workspace" ] || rm -rf "$workspace"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# Which modules are taken from a package: a cache with others is filled again.
modules="pvpanic virtio vsock ptp"

# The kernel package that a metapackage depends on, with its architecture.
resolve() {
  apt-cache depends "$1" 2>/dev/null |
    sed -n 's/^ *|\{0,1\}Depends: \(linux-image-[0-9][^ ]*\)$/\1/p' | head -n 1
}

offer_architecture() {
  [ "$(dpkg --print-architecture)" != "$1" ] || return 0
  dpkg --print-foreign-architectures | grep -qx "$1" && return 0
  as_root dpkg --add-architecture "$1" && package_lists_are_fresh="" && update_package_lists ||
    die "cannot add the architecture $1; run as root: dpkg --add-architecture $1 && apt-get update"
}

fetch() {
  name=$1
  architecture=$2
  if [ "$update" = no ] && [ -s "$guests/$name/vmlinuz" ] && [ "$(cat "$guests/$name/modules/list" 2>/dev/null)" = "$modules" ]; then return 0; fi

  offer_architecture "$architecture"
  metapackage="linux-image-$name:$architecture"
  package=$(resolve "$metapackage")
  if [ -z "$package" ] || [ "$update" = yes ]; then
    update_package_lists || say "cannot fetch package lists without root; using those at hand"
    package=$(resolve "$metapackage")
  fi
  [ -n "$package" ] || die "apt knows no kernel for $metapackage; is a Debian mirror configured?"
  case "$package" in *:*) ;; *) package="$package:$architecture" ;; esac
  if [ "$(cat "$guests/$name/package" 2>/dev/null)" = "$package" ] && [ "$(cat "$guests/$name/modules/list" 2>/dev/null)" = "$modules" ]; then return 0; fi

  say "fetching $package"
  workspace=$(mktemp -d "$guests/.fetch.XXXXXX")
  if ! (cd "$workspace" && apt-get -o APT::Sandbox::User=root download -qq "$package" >&2); then
    update_package_lists || true
    package=$(resolve "$metapackage")
    case "$package" in *:*) ;; *) package="$package:$architecture" ;; esac
    (cd "$workspace" && apt-get -o APT::Sandbox::User=root download -qq "$package" >&2) || die "cannot download $package"
  fi
  dpkg-deb --fsys-tarfile "$workspace"/*.deb |
    tar -x -C "$workspace" --wildcards './boot/vmlinuz-*' './boot/config-*' './lib/modules/*/pvpanic*.ko' \
      './lib/modules/*/virtio*.ko' './lib/modules/*/vsock.ko' './lib/modules/*/vmw_vsock_virtio*.ko' \
      './lib/modules/*/ptp_kvm.ko' ||
    die "cannot unpack $package"
  mkdir -p "$workspace/guest/modules"
  echo "$modules" >"$workspace/guest/modules/list"
  find "$workspace/lib" -name '*.ko' -exec mv {} "$workspace/guest/modules/" \;
  mv "$workspace"/boot/vmlinuz-* "$workspace/guest/vmlinuz"
  mv "$workspace"/boot/config-* "$workspace/guest/config"
  echo "$package" >"$workspace/guest/package"
  [ ! -e "$guests/$name" ] || mv "$guests/$name" "$workspace/old"
  mv "$workspace/guest" "$guests/$name"
  rm -rf "$workspace"
  workspace=""
}

for name in "$@"; do
  case "$name" in
  cloud-amd64 | amd64) fetch "$name" amd64 ;;
  686 | 686-pae) fetch "$name" i386 ;;
  *) die "no guest is called '$name'; there are cloud-amd64, amd64, 686 and 686-pae" ;;
  esac
done
