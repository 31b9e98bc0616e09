#!/usr/bin/env bash
# Measures pairs of an allocation and a free, with the static library and with the shared one.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
libraries=${CARGO_TARGET_DIR:-$(cd ../.. && pwd)/target}/release
cargo build --quiet --release -p slabuf-c
"${CC:-cc}" -std=c11 -O2 -Wall -Wextra -Iinclude -o "$libraries/pair-static" bench/pair.c "$libraries/libslabuf.a" \
  -lgcc_s -lutil -lrt -lpthread -lm -ldl -lc
"${CC:-cc}" -std=c11 -O2 -Wall -Wextra -Iinclude -o "$libraries/pair-shared" bench/pair.c -L"$libraries" -lslabuf \
  -Wl,-rpath,"$libraries"
# The program loads the library by its SONAME.
ln -sf libslabuf.so "$libraries/libslabuf.so.0"
for kind in static shared; do
  echo "-- $kind"
  "$libraries/pair-$kind"
done
