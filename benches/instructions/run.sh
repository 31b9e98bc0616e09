#!/bin/sh
# Counts the instructions of the hot paths with valgrind's callgrind and compares them with those in
# figures.txt. Fails if one is more than 5 % higher.
#
#   benches/instructions/run.sh            compare
#   benches/instructions/run.sh --update   rewrite figures.txt
set -eu

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
figures=$here/figures.txt
collect_in=slabuf_measured_path
paths="pair_small pair_zeroed magazine_miss pair_large"

update=no
case "${1-}" in
'') ;;
--update) update=yes ;;
*)
    echo "usage: $0 [--update]" >&2
    exit 2
    ;;
esac

if ! command -v valgrind >/dev/null; then
    echo "skipped: valgrind is not installed, so no instructions were counted"
    exit 0
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Prints the path of the benchmark program.
build() {
    cargo bench --quiet --manifest-path "$root/Cargo.toml" --bench instructions --no-run \
        --message-format=json >"$work/build.json"
    sed -n 's/.*"name":"instructions".*"executable":"\([^"]*\)".*/\1/p' "$work/build.json" | tail -n 1
}

# Prints the instructions per pair (allocation and free).
count() {
    valgrind --tool=callgrind --toggle-collect="$collect_in" \
        --callgrind-out-file="$work/$1.out" "$program" "$1" >"$work/$1.pairs" 2>"$work/$1.log" || {
        cat "$work/$1.log" >&2
        exit 1
    }
    awk -v pairs="$(cat "$work/$1.pairs")" '/^(summary|totals):/ { total = $2 }
        END { if (total == 0) exit 1; printf "%.1f\n", total / pairs }' "$work/$1.out" || {
        echo "callgrind collected nothing in $collect_in" >&2
        exit 1
    }
}

program=$(build)
test -x "$program"

counted=$work/figures.txt
for path in $paths; do
    echo "$path $(count "$path")"
done >"$counted"

if [ "$update" = yes ]; then
    cp "$counted" "$figures"
    cat "$figures"
    exit 0
fi

awk '
    NR == FNR { kept[$1] = $2; next }
    !($1 in kept) { printf "%-14s %8.1f  no count is stored\n", $1, $2; failed = 1; next }
    {
        change = ($2 / kept[$1] - 1) * 100
        verdict = change > 5 ? "FAIL" : "ok"
        if (change > 5) failed = 1
        printf "%-14s %8.1f  kept %8.1f  %+6.1f %%  %s\n", $1, $2, kept[$1], change, verdict
    }
    END { exit failed }
' "$figures" "$counted"
