#!/usr/bin/env bash
# Compares the example `copy` with `cp`: alternating rounds, the same file and file system, the
# source in the page cache, the old destination deleted and everything synced before each. Then a
# slow destination, with backpressure and without.
#
# Without backpressure the whole file may be in memory, beside the page cache.
#
#   benches/copy/run.sh [SIZE] [ROUNDS] [DIRECTORY]      (default: 2G 3 /tmp)
#
# Settings (environment): OPTIONS of the example (default: none); SLOW, bytes per second of the slow
# destination (256M).
set -euo pipefail
size=${1:-2G} rounds=${2:-3}
work=$(mktemp -d "${3:-/tmp}/copy.XXXXXX")
trap 'rm -rf "$work"' EXIT
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
cargo build --release --example copy
copy=${CARGO_TARGET_DIR:-$PWD/target}/release/examples/copy
read -ra options <<<"${OPTIONS:-}"

cd "$work"
head -c "$size" /dev/urandom >source
bytes=$(stat -c %s source)

# Prints the seconds that the command takes; its output goes to the file `log`.
timed() {
  local start
  rm -f destination
  sync
  cat source >/dev/null
  start=$EPOCHREALTIME
  "$@" >log
  awk -v a="$start" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.3f\n", b - a }'
}

median() { sort -n | awk '{ all[NR] = $1 } END { print all[int((NR + 1) / 2)] }'; }

with_cp() { timed cp source destination; }
with_copy() { timed "$copy" --no-verify ${options[@]+"${options[@]}"} source destination; }

# Not counted: the host of a virtual machine may have to provide the memory first.
with_cp >/dev/null
with_copy >/dev/null
printf '%-8s%12s%12s%12s%12s\n' round 'cp, s' 'copy, s' 'MiB/s' 'of cp'
for round in $(seq "$rounds"); do
  # The first program alternates between rounds.
  if ((round % 2)); then
    cp=$(with_cp)
    copied=$(with_copy)
  else
    copied=$(with_copy)
    cp=$(with_cp)
  fi
  echo "$cp" >>cp.times
  echo "$copied" >>copy.times
  awk -v round="$round" -v cp="$cp" -v copy="$copied" -v bytes="$bytes" 'BEGIN {
    printf "%-8s%12s%12s%12.1f%12.2f\n", round, cp, copy, bytes / 1048576 / copy, cp / copy
  }'
done
awk -v cp="$(median <cp.times)" -v copy="$(median <copy.times)" -v bytes="$bytes" 'BEGIN {
  mib = bytes / 1048576
  printf "medians: cp %.1f MiB/s, copy %.1f MiB/s: %.2f of it\n", mib / cp, mib / copy, cp / copy
}'

slow=${SLOW:-256M}
for mode in '' --no-backpressure; do
  printf '\nat most %s a second %s\n' "$slow" "$mode"
  timed "$copy" $mode --write-rate "$slow" source destination >/dev/null
  cat log
done
