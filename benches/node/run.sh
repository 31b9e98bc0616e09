#!/bin/sh
# Times Node's Buffer.alloc and Buffer.allocUnsafe at the lengths of the benchmark
# alloc_vs_alloc_unsafe, and prints them beside the crate's. One byte of each buffer is written.
#
#   benches/node/run.sh            run the crate's benchmark, then Node
#   benches/node/run.sh --reuse    uses the crate's times from its last run
set -eu

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)

if ! command -v node >/dev/null; then
    echo "skipped: node is not installed"
    exit 0
fi

if [ "${1-}" != --reuse ]; then
    cargo bench --manifest-path "$root/Cargo.toml" --bench alloc_vs_alloc_unsafe -- '^one_byte/alloc'
fi
exec node "$here/run.mjs" "$root"
