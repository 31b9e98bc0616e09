//! The header in the repository is what cbindgen writes from the sources, and the documentation
//! covers all of it.
//!
//! `SLABUF_WRITE_HEADER=1 cargo test -p slabuf-c --test header` updates it.

use std::path::Path;

/// In the order in which the header has them.
const SOURCES: [&str; 12] = [
    "version",
    "status",
    "buffer",
    "handle_table",
    "budget",
    "settings",
    "pool",
    "waiting",
    "watermarks",
    "usage",
    "samples",
    "snapshot",
];

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
        "include/slabuf.h differs from the sources; update it with \
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

/// The names in the header that begin with `prefix` and are followed by one of `ends`.
fn names(prefix: &str, ends: &[char]) -> Vec<String> {
    let header = Path::new(env!("CARGO_MANIFEST_DIR")).join("include/slabuf.h");
    let header = std::fs::read_to_string(header).expect("include/slabuf.h");
    let code = header.split("#ifndef SLABUF_H").nth(1).expect("a guard");
    let mut names = Vec::new();
    for line in code.lines().filter(|line| !line.trim().starts_with("//")) {
        for (at, _) in line.match_indices(prefix) {
            let name = &line[at..];
            let end = name.find(|c: char| !c.is_alphanumeric() && c != '_');
            let (name, rest) = name.split_at(end.unwrap_or(name.len()));
            if rest.trim_start().starts_with(ends) {
                names.push(name.to_owned());
            }
        }
    }
    names
}

#[test]
fn the_documentation_has_every_function_and_status() {
    let crate_dir = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |path: &Path| std::fs::read_to_string(path).expect("a page");
    let readme = read(&crate_dir.join("README.md"));
    let mut pages = String::new();
    for entry in std::fs::read_dir(crate_dir.join("docs")).expect("docs") {
        let page = entry.expect("an entry").path();
        let name = page.file_name().and_then(|name| name.to_str());
        let link = format!("(docs/{})", name.expect("a name"));
        assert!(readme.contains(&link), "the README has no link {link}");
        pages += &read(&page);
    }
    let functions = names("slabuf_", &['(']);
    let statuses = names("SLABUF_STATUS_", &['=']);
    assert!(functions.len() >= 32 && statuses.len() >= 23);
    let rows: Vec<&str> = readme
        .lines()
        .filter(|line| line.starts_with('|'))
        .collect();
    for name in functions.iter().map(|name| format!("`{name}(")) {
        let in_row = rows.iter().any(|row| row.contains(&name));
        assert!(in_row, "the README has no row of {name}");
        assert!(
            pages.contains(&format!("\n## {name}")),
            "no page describes {name}"
        );
    }
    for name in statuses.iter().map(|name| format!("`{name}` |")) {
        // The table of mistakes has no success.
        let is_ok = name == "`SLABUF_STATUS_OK` |";
        assert!(
            is_ok || rows.iter().any(|row| row.contains(&name)),
            "the README has no row of {name}"
        );
    }
}
