# shellcheck shell=bash disable=SC2034
# Shared by the scripts: where the project is, and how to say things. Sourced, not run.
set -euo pipefail
ROOST_ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
ROOST_TREE=$ROOST_ROOT/.build/roost
ROOST_VENV=$ROOST_ROOT/.build/venv
ROOST_CALLER=$PWD
cd "$ROOST_ROOT"

# A path that the caller gave, seen from where the script was called: the scripts themselves work in the project.
from_caller() { case $1 in /*) printf '%s' "$1" ;; *) printf '%s' "$ROOST_CALLER/$1" ;; esac; }

say() { printf '%s\n' "$*" >&2; }
step() { printf '\n==> %s\n' "$*" >&2; }
die() { printf '%s: %s\n' "$(basename "$0")" "$*" >&2; exit 1; }

# The Swift toolchain, also where a clean environment has no PATH to it.
find_swift() {
  command -v swift >/dev/null && return
  local place
  for place in /opt/swift/usr/bin /usr/local/swift/usr/bin /usr/share/swift/usr/bin; do
    [ -x "$place/swift" ] && { PATH=$place:$PATH; export PATH; return; }
  done
  die "no Swift toolchain: put one of 6.3 or later on PATH (https://swift.org/install)"
}
