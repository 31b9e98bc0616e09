#!/usr/bin/env bash
# Builds the C and C++ programs against the header and both libraries, and runs each: plain, under
# valgrind, and with AddressSanitizer.
#
#   bindings/c/tests/run.sh [--release]
#
# Reads CC, CXX and CARGO_TARGET_DIR. Names each check that it leaves out because a tool is missing.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

profile=debug cargo_flags=()
if [ "${1:-}" = --release ]; then
  profile=release cargo_flags=(--release)
fi
target_dir=${CARGO_TARGET_DIR:-$(cd ../.. && pwd)/target}
libraries=$target_dir/$profile
out=$libraries/c-tests
# What the static library needs: `cargo rustc -p slabuf-c --crate-type staticlib -- --print
# native-static-libs`.
system_libraries=(-lgcc_s -lutil -lrt -lpthread -lm -ldl -lc)
warnings=(-Wall -Wextra -Wpedantic -Werror)

cargo build --quiet -p slabuf-c ${cargo_flags[@]+"${cargo_flags[@]}"}
mkdir -p "$out"
# Programs load the library by its SONAME.
ln -sf "$libraries/libslabuf.so" "$out/libslabuf.so.0"

have() { command -v "$1" >/dev/null 2>&1; }

programs=()

# build NAME COMPILER FLAG... SOURCE: NAME-static and NAME-shared
build() {
  local name=$1
  shift
  "$@" "${warnings[@]}" -g -O1 -Iinclude -o "$out/$name-static" "$libraries/libslabuf.a" "${system_libraries[@]}"
  "$@" "${warnings[@]}" -g -O1 -Iinclude -o "$out/$name-shared" -L"$libraries" -lslabuf -lpthread -Wl,-rpath,"$out"
  programs+=("$name-static" "$name-shared")
}

# The first block of C in each page, as programs named after the pages.
build_examples() {
  local page name
  for page in README.md docs/*.md; do
    name=example-$(basename "$page" .md)
    awk '/^```c$/ { code = 1; next } /^```$/ { if (code) exit } code' "$page" >"$out/$name.c"
    [ ! -s "$out/$name.c" ] || build "$name" "${CC:-cc}" -std=c11 "$out/$name.c"
  done
}

build api "${CC:-cc}" -std=c11 tests/api.c
build misuse "${CC:-cc}" -std=c11 tests/misuse.c
build inspect "${CC:-cc}" -std=c11 tests/inspect.c
build waiting "${CC:-cc}" -std=c11 tests/waiting.c
build budget "${CC:-cc}" -std=c11 tests/budget.c
if have "${CXX:-c++}"; then
  build cc "${CXX:-c++}" -std=c++17 tests/api.cc
else
  echo "skipped: no C++ compiler for tests/api.cc"
fi
# Programs that load the library themselves. A plugin is a shared object with the static library in
# it, and without the flag that keeps libslabuf.so loaded.
#
# build_loading COMPILER_FLAG LIBRARIES SUFFIX
build_loading() {
  local name
  "${CC:-cc}" -shared ${1:+"$1"} -o "$out/libplugin$3.so" -Wl,--whole-archive "$2/libslabuf.a" -Wl,--no-whole-archive "${system_libraries[@]}"
  for name in outlive unload; do
    "${CC:-cc}" -std=c11 ${1:+"$1"} "${warnings[@]}" -g -O1 -Iinclude -DLIBRARY="\"$2/libslabuf.so\"" \
      -DPLUGIN="\"$out/libplugin$3.so\"" -o "$out/$name$3" "tests/$name.c" -ldl -lpthread
  done
}
if [ "$(uname -s)" = Linux ]; then
  build_loading "" "$libraries" ""
  programs+=(outlive unload)
else
  echo "skipped: tests/outlive.c and tests/unload.c need Linux"
fi
build_examples

for program in "${programs[@]}"; do
  echo "-- $program"
  "$out/$program"
done

# valgrind checks malloc's blocks, which are the library's own structures. Buffers come from mmap:
# valgrind takes their bytes for defined, and does not look for them at the end. The programs check
# the counters for that.
if have valgrind; then
  for program in "${programs[@]}"; do
    echo "-- $program under valgrind"
    valgrind --quiet --suppressions=tests/valgrind.supp --error-exitcode=9 --leak-check=full --errors-for-leak-kinds=definite,indirect,possible \
      "$out/$program"
  done
else
  echo "skipped: no valgrind"
fi

# AddressSanitizer in the C code and, with a nightly toolchain of the same LLVM runtime, in the
# library: the C compiler's runtime is linked, and the library is instrumented to call it.
with_asan() {
  local host source name
  host=$(rustc -vV | sed -n 's/^host: //p')
  if ! cargo +nightly --version >/dev/null 2>&1; then
    echo "skipped: AddressSanitizer needs a nightly toolchain (rustup toolchain install nightly)"
    return
  fi
  RUSTFLAGS="-Zsanitizer=address -Zexternal-clangrt" CARGO_TARGET_DIR="$target_dir/asan" \
    cargo +nightly build --quiet -p slabuf-c --target "$host"
  for source in api misuse inspect waiting budget; do
    name=$source-asan
    if ! "${CC:-cc}" -std=c11 -fsanitize=address "${warnings[@]}" -g -O1 -Iinclude -o "$out/$name" "tests/$source.c" \
      "$target_dir/asan/$host/debug/libslabuf.a" "${system_libraries[@]}"; then
      echo "skipped: the C compiler has no AddressSanitizer that fits Rust's"
      return
    fi
    echo "-- $name"
    # The mistakes in misuse.c include requests for more memory than there is.
    ASAN_OPTIONS=allocator_may_return_null=1 "$out/$name"
  done
  build_loading -fsanitize=address "$target_dir/asan/$host/debug" -asan
  # glibc does not run the thread-local destructors of a main thread that calls pthread_exit, and
  # keeps its own list of them. LeakSanitizer does not see that the ended thread has the list.
  for name in outlive unload; do
    echo "-- $name-asan"
    ASAN_OPTIONS=detect_leaks=0 "$out/$name-asan"
  done
}
with_asan

tests/install.sh ${cargo_flags[@]+"${cargo_flags[@]}"}
