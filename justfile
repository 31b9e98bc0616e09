# One command per task. `just` alone lists them. CI runs the checks through `.ci/run`.

_default:
    @just --list --unsorted

# everything CI runs, in the same order
ci:
    .ci/run

# unit, integration and documentation tests
test *ARGS:
    cargo test {{ ARGS }}

# formatting and clippy, warnings are errors
lint:
    .ci/run fmt lint

# rewrite the sources in the project's format
fmt:
    cargo fmt

# the crate's documentation (warnings are errors), its links and its prose
doc:
    .ci/run doc links prose

# each optional feature alone and all together, and the tests that need them
features:
    .ci/run features

# the loom models whose name contains NAME, or all
loom NAME="":
    LOOM_MODEL={{ NAME }} .ci/run loom

loom_env := 'RUSTFLAGS="--cfg loom" CARGO_TARGET_DIR=target/loom LOOM_CHECKPOINT_FILE="$PWD/target/loom.json"'

# one loom model by its exact name; writes each explored order to target/loom.json
loom-record NAME:
    rm -f target/loom.json
    {{ loom_env }} LOOM_CHECKPOINT_INTERVAL=1 cargo test --release --lib {{ NAME }} -- --test-threads=1

# the order in target/loom.json alone, with each step and its place in the source
loom-replay NAME:
    {{ loom_env }} LOOM_LOG=trace LOOM_LOCATION=1 cargo test --release --lib {{ NAME }} -- --test-threads=1 --nocapture

# the shuttle models: ORDERS random orders of each; `just shuttle 100000 waiting`
shuttle ORDERS="20000" MODEL="":
    SHUTTLE_ORDERS={{ ORDERS }} SHUTTLE_MODEL={{ MODEL }} .ci/run shuttle

# one order of a shuttle model, in a file with the text that the failure printed
shuttle-replay MODEL FILE:
    SHUTTLE_REPLAY={{ absolute_path(FILE) }} SHUTTLE_MODEL={{ MODEL }} .ci/run shuttle

# the oldest versions of the dependencies that the manifest allows
minimal:
    .ci/run minimal

# the lower layers' own tests under Miri, where it is installed
miri:
    .ci/run miri

# the criterion benchmarks, with plots in target/criterion
bench *ARGS:
    cargo bench {{ ARGS }}

# each kind of pool beside a simpler one: `just pools --rounds 9 limited`
pools *ARGS:
    cargo bench --bench pools -- {{ ARGS }}

# the tests where the system refuses `membarrier`
membarrier:
    .ci/run membarrier

# the other allocators, in interleaved rounds
peers *ARGS:
    cargo run --release --manifest-path benches/peers/Cargo.toml -- {{ ARGS }}

# the Node addon: builds it and runs its tests
node:
    .ci/run bindings_node

# resident over live bytes for each allocator, each in a separate process
footprint *ARGS:
    cargo run --release --manifest-path benches/peers/Cargo.toml --bin footprint -- {{ ARGS }}

# draws where a pool's memory is, slab by slab: `just map docs/memory_map.svg`
map FILE="memory_map.svg":
    cargo run --release --example memory_map -- {{ FILE }}

# draws rss, heapUsed and external while 15 x 200 MiB are filled and dropped
plot-memory FILE="docs/memory_usage.svg":
    cargo run --release --example memory_usage -- --svg {{ FILE }}

# draws the table "Zeroing" of docs/benchmarks.md: `alloc` against `alloc_unsafe`
plot-zeroing FILE="docs/alloc_vs_alloc_unsafe.svg":
    cargo bench --bench alloc_vs_alloc_unsafe -- --plot docs/benchmarks.md {{ FILE }}

# the same pool at work, in the terminal, for a number of seconds
watch SECONDS="20":
    cargo run --release --example memory_map -- --watch {{ SECONDS }}

# a program with a leak, and the tables of sampled allocations that show it
who-holds:
    cargo run --release --example who_holds

# instruction counts of the hot paths, compared with those in the repository
instructions:
    .ci/run instructions

# the C interface: its header, and C and C++ programs against both libraries, also under valgrind
c:
    .ci/run bindings_c

# regenerates bindings/c/include/slabuf.h from its sources
c-header:
    SLABUF_WRITE_HEADER=1 cargo test -p slabuf-c --test header

# one fuzz target for a number of seconds: `just fuzz TARGET 600`
fuzz TARGET SECONDS="60":
    mkdir -p fuzz/corpus/{{ TARGET }}
    cargo +nightly fuzz run {{ TARGET }} fuzz/corpus/{{ TARGET }} fuzz/seeds/{{ TARGET }} -- -max_len=1000 -len_control=0 -max_total_time={{ SECONDS }}

# prints the program that a fuzz input stands for
fuzz-show TARGET FILE:
    cargo +nightly fuzz fmt {{ TARGET }} {{ FILE }}

# searches for a smaller fuzz input that fails as well
fuzz-min TARGET FILE:
    cargo +nightly fuzz tmin {{ TARGET }} {{ FILE }}

# runs one fuzz input; 1,000 times if its result depends on timing
fuzz-replay TARGET FILE:
    cargo +nightly fuzz run {{ TARGET }} {{ FILE }} -- -runs={{ if TARGET == "threads" { "1000" } else { "1" } }}

# the stress test for a number of seconds, with every byte checked: `just soak 300`
soak SECONDS="300":
    cargo run --release --example soak -- {{ SECONDS }}

# an echo server under a limit, its load, and the same with `BytesMut`: `just echo --compare 7`
echo *ARGS:
    cargo run --release --example echo_server -- {{ ARGS }}

# copies a file through the buffers of a pool: `just copy --limit 4M big.iso copy.iso`
copy *ARGS:
    cargo run --release --example copy -- {{ ARGS }}

# the same against `cp`, in alternating rounds: `just copy-against-cp 2G 3`
copy-against-cp *ARGS:
    benches/copy/run.sh {{ ARGS }}

# a cache outside the heap: filled, evicted, expired, recounted: `just cache --bytes 1G`
cache *ARGS:
    cargo run --release --example cache -- {{ ARGS }}

# all tests that can run under Address- and LeakSanitizer (nightly); `.ci/run` says which cannot
asan:
    ASAN=all .ci/run asan

# the tests of threads that end under valgrind, with the numbers of threads divided by FEWER
valgrind FEWER="10":
    FEWER_THREADS={{ FEWER }} .ci/run valgrind
