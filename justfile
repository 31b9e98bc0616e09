# One command for each habit. `just` alone lists them; CI runs the same steps through `.ci/run`.

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

# the crate's documentation, warnings are errors
doc:
    .ci/run doc

# each optional feature alone and all together, and the tests that need them
features:
    .ci/run features

# all loom models
loom:
    .ci/run loom

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

# resident over live bytes for each allocator, each in a process of its own
footprint *ARGS:
    cargo run --release --manifest-path benches/peers/Cargo.toml --bin footprint -- {{ ARGS }}

# draws where a pool's memory is, slab by slab: `just map docs/memory_map.svg`
map FILE="memory_map.svg":
    cargo run --release --example memory_map -- {{ FILE }}

# the same pool at work, in the terminal, for a number of seconds
watch SECONDS="20":
    cargo run --release --example memory_map -- --watch {{ SECONDS }}

# a program with a leak, and the sampler's tables that show it
who:
    cargo run --release --example who_holds

# instruction counts of the hot paths, compared with the figures kept in the repository
instructions:
    .ci/run instructions

# the C interface: its header, a C and a C++ program against both libraries, plain and under valgrind
c:
    .ci/run bindings_c

# write bindings/c/include/slabuf.h anew from its sources
c-header:
    SLABUF_WRITE_HEADER=1 cargo test -p slabuf-c --test header

# one fuzz target for a number of seconds: `just fuzz TARGET 600`
fuzz TARGET SECONDS="60":
    cargo +nightly fuzz run {{ TARGET }} -- -max_total_time={{ SECONDS }}

# everything at once for a number of seconds, every byte checked, a recount at the end: `just soak 300`
soak SECONDS="300":
    cargo run --release --example soak -- {{ SECONDS }}

# an echo server under a limit, its load, and the same on `BytesMut`: `just echo --scarce`, `just echo --compare 7`
echo *ARGS:
    cargo run --release --example echo_server -- {{ ARGS }}

# copies a file through a pool's buffers: `just copy --limit 4M big.iso copy.iso`
copy *ARGS:
    cargo run --release --example copy -- {{ ARGS }}

# the same against `cp`, in interleaved rounds: `just copy-against-cp 2G 3`
copy-against-cp *ARGS:
    benches/copy/run.sh {{ ARGS }}

# a cache off the heap, filled, evicted, expired and recounted: `just cache --bytes 1G`
cache *ARGS:
    cargo run --release --example cache -- {{ ARGS }}

# every test that can run there under Address- and LeakSanitizer (nightly); `.ci/run` says which cannot
asan:
    ASAN=all .ci/run asan
