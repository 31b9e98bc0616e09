#!/usr/bin/env bash
# Builds the C programs and the C++ one against the header and both libraries, and runs each, plain and under valgrind.
#
#   bindings/c/tests/run.sh [--release]
#
# CC, CXX and CARGO_TARGET_DIR are heeded. What is left out for want of a C++ compiler or of valgrind is named.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

profile=debug cargo_flags=()
if [ "${1:-}" = --release ]; then
  profile=release cargo_flags=(--release)
fi
target_dir=${CARGO_TARGET_DIR:-$(cd ../.. && pwd)/target}
libraries=$target_dir/$profile
out=$libraries/c-tests
# What the static library needs: `cargo rustc -p slabuf-c --crate-type staticlib -- --print native-static-libs`.
system_libraries=(-lgcc_s -lutil -lrt -lpthread -lm -ldl -lc)
warnings=(-Wall -Wextra -Wpedantic -Werror)

cargo build --quiet -p slabuf-c ${cargo_flags[@]+"${cargo_flags[@]}"}
mkdir -p "$out"

programs=()

# build NAME COMPILER FLAG... SOURCE: NAME-static and NAME-shared
build() {
  local name=$1
  shift
  "$@" "${warnings[@]}" -g -O1 -Iinclude -o "$out/$name-static" "$libraries/libslabuf.a" "${system_libraries[@]}"
  "$@" "${warnings[@]}" -g -O1 -Iinclude -o "$out/$name-shared" -L"$libraries" -lslabuf -lpthread \
    -Wl,-rpath,"$libraries"
  programs+=("$name-static" "$name-shared")
}

build c "${CC:-cc}" -std=c11 tests/api.c
build misuse "${CC:-cc}" -std=c11 tests/misuse.c
if command -v "${CXX:-c++}" >/dev/null 2>&1; then
  build cc "${CXX:-c++}" -std=c++17 tests/api.cc
else
  echo "no C++ compiler: the C programs alone"
fi

"${CC:-cc}" -std=c11 "${warnings[@]}" -g -O1 -Iinclude -DLIBRARY="\"$libraries/libslabuf.so\"" \
  -o "$out/unload" tests/unload.c -ldl -lpthread
programs+=(unload)

# The first block of C in the README.
awk '/^```c$/ { code = 1; next } /^```$/ { if (code) exit } code' README.md >"$out/example.c"
build example "${CC:-cc}" -std=c11 "$out/example.c"

for program in "${programs[@]}"; do
  echo "-- $program"
  "$out/$program"
done

if ! command -v valgrind >/dev/null 2>&1; then
  echo "no valgrind: plain runs alone"
  exit 0
fi
# valgrind knows malloc's blocks: those are the library's own structures. Buffers come from mmap, whose memory it
# takes for defined and does not look for at the end; the programs see by the counters that all came home.
for program in "${programs[@]}"; do
  echo "-- $program under valgrind"
  valgrind --quiet --error-exitcode=9 --leak-check=full --errors-for-leak-kinds=definite,indirect,possible \
    "$out/$program"
done
