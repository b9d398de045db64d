# shellcheck shell=bash
# Shared by the scripts beside it, which source it: places, messages, logged commands.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
# shellcheck disable=SC2034 # for the scripts that source this one
venv=$root/.venv
build=$root/build

say() { printf 'easel: %s\n' "$*" >&2; }

die() {
  printf 'easel: error: %s\n' "$1" >&2
  exit "${2:-1}"
}

# logged WHAT COMMAND...: runs the command with its output in build/setup.log; where it fails, says so,
# shows the end of the log and stops.
logged() {
  local what=$1 log=$build/setup.log
  shift
  mkdir -p "$build"
  printf '\n$ %s\n' "$*" >>"$log"
  if ! "$@" >>"$log" 2>&1 </dev/null; then
    tail -n 25 "$log" >&2
    die "$what failed; the whole log is $log"
  fi
}

# locked COMMAND...: one set-up or build at a time.
locked() {
  mkdir -p "$build"
  (
    flock 9
    "$@"
  ) 9>"$build/.lock"
}

# Compilations at once: one for each processor, as long as each has 2 GiB of memory.
jobs() {
  local memory_kib processors
  memory_kib=$(awk '/^MemAvailable:/ { print $2 }' /proc/meminfo)
  processors=$(nproc)
  local fit=$((memory_kib / 2097152))
  if ((fit < 1)); then fit=1; fi
  echo $((fit < processors ? fit : processors))
}

# compile TARGET...: configures build/ where it is not, and builds the targets.
compile() {
  if [[ ! -f $build/build.ninja ]]; then
    say "configuring"
    logged "configuring" cmake -S "$root" --preset release
  fi
  logged "building $*" cmake --build "$build" --parallel "$(jobs)" --target "$@"
}

# shapes MODULE ARGUMENT...: becomes the module of scripts/shapes, in the project's own environment.
shapes() {
  local module=$1
  shift
  "$venv/bin/python" -c 'import numpy, PIL, sentencepiece' 2>/dev/null ||
    die "scripts/$(basename "$0") needs Python packages that are not there; run scripts/setup"
  PYTHONPATH=$root/scripts exec "$venv/bin/python" -m "shapes.$module" "$@"
}
