//! The header in the repository is the one that cbindgen writes from the sources.
//!
//! `SLABUF_WRITE_HEADER=1 cargo test -p slabuf-c --test header` writes it anew.

use std::path::Path;

/// In the order in which the header has them.
const SOURCES: [&str; 6] = ["status", "buffer", "pools", "settings", "pool", "usage"];

fn fresh(crate_dir: &Path) -> String {
    let config = cbindgen::Config::from_file(crate_dir.join("cbindgen.toml")).expect("settings");
    let mut builder = cbindgen::Builder::new().with_config(config);
    for source in SOURCES {
        builder = builder.with_src(crate_dir.join(format!("src/{source}.rs")));
    }
    let mut header = Vec::new();
    builder.generate().expect("bindings").write(&mut header);
    String::from_utf8(header).expect("text")
}

#[test]
fn the_header_is_that_of_the_sources() {
    let crate_dir = Path::new(env!("CARGO_MANIFEST_DIR"));
    let path = crate_dir.join("include/slabuf.h");
    let fresh = fresh(crate_dir);
    if std::env::var_os("SLABUF_WRITE_HEADER").is_some() {
        std::fs::write(&path, &fresh).expect("written");
    }
    let kept = std::fs::read_to_string(&path).expect("include/slabuf.h");
    assert!(
        kept == fresh,
        "include/slabuf.h is not that of the sources; write it anew with \
         SLABUF_WRITE_HEADER=1 cargo test -p slabuf-c --test header"
    );
}

#[test]
fn every_source_with_a_c_function_is_in_it() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for entry in std::fs::read_dir(src).expect("src") {
        let path = entry.expect("an entry").path();
        let text = std::fs::read_to_string(&path).expect("a source");
        let name = path
            .file_stem()
            .and_then(|stem| stem.to_str())
            .expect("a name");
        if text.contains("no_mangle") || text.contains("repr(C)") {
            assert!(SOURCES.contains(&name), "{name} is not in SOURCES");
        }
    }
}
