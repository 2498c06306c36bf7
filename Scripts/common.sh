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

# Fetches the package lists, once per process. A mirror may be in the middle of an update of its own.
update_package_lists() {
  [ -z "${package_lists_are_fresh:-}" ] || return 0
  for pause in 5 20 60 0; do
    as_root apt-get update -qq -o APT::Update::Error-Mode=any >&2 && break
    [ $? -ne 126 ] && [ "$pause" -gt 0 ] || return 1
    say "the package lists cannot be fetched; trying again in $pause s"
    sleep "$pause"
  done
  package_lists_are_fresh=yes
}
