# Shared by the scripts of this folder; sourced, not run.

say() { printf 'martlet: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

# Where guest kernels and initramfs images are kept, outside git.
guests_directory() {
  printf '%s\n' "${MARTLET_GUESTS:-${XDG_CACHE_HOME:-$HOME/.cache}/martlet/guests}"
}

# Runs a command as root: directly, or with sudo that asks for no password.
as_root() {
  if [ "$(id -u)" -eq 0 ]; then
    "$@"
  elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
    sudo "$@"
  else
    return 126
  fi
}

# Fetches the package lists, once per process. One that cannot be had, as while a mirror changes, is no reason to stop:
# whoever needs a package finds out whether it is there.
update_package_lists() {
  [ -z "${package_lists_are_fresh:-}" ] || return 0
  status=0
  as_root apt-get update -qq >&2 || status=$?
  [ "$status" -ne 126 ] || return 126
  [ "$status" -eq 0 ] || say "some package lists cannot be fetched; going on with those at hand"
  package_lists_are_fresh=yes
}
