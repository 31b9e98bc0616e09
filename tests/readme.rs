//! The README: its length, the version that it names, and the commands that it shows.

use std::fs;
use std::path::Path;

const README: &str = include_str!("../README.md");
const MAX_LINES: usize = 160;

#[test]
fn it_is_short() {
    let lines = README.lines().count();
    assert!(lines <= MAX_LINES, "{lines} lines, at most {MAX_LINES}");
}

#[test]
fn it_names_this_version() {
    let version = env!("CARGO_PKG_VERSION");
    let (minor, _) = version.rsplit_once('.').unwrap();
    let line = format!("slabuf = \"{minor}\"");
    assert!(README.contains(&line), "the README has no line {line}");
}

/// Returns the words behind `option` in all commands of a text.
fn arguments<'a>(text: &'a str, option: &str) -> Vec<&'a str> {
    let behind = text.split(option).skip(1);
    let words = behind.filter_map(|rest| rest.split_whitespace().next());
    words
        .map(|word| word.trim_matches(|c: char| !(c.is_alphanumeric() || c == '_')))
        .collect()
}

/// Commands in the README and in the pages name examples, benchmarks and scripts that exist.
#[test]
fn its_commands_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut texts = vec![README.to_owned()];
    for page in fs::read_dir(root.join("docs")).unwrap() {
        let path = page.unwrap().path();
        if path.extension().is_some_and(|e| e == "md") {
            texts.push(fs::read_to_string(path).unwrap());
        }
    }
    texts.push(fs::read_to_string(root.join("examples/README.md")).unwrap());
    let mut examples = 0;
    for text in &texts {
        for name in arguments(text, "--example ") {
            let file = root.join(format!("examples/{name}.rs"));
            let folder = root.join(format!("examples/{name}/main.rs"));
            assert!(file.exists() || folder.exists(), "no example {name:?}");
            examples += 1;
        }
        for name in arguments(text, "--bench ") {
            let folder = root.join(format!("benches/{name}/main.rs"));
            // The benchmark of many pools is announced in docs/benchmarks.md.
            assert!(folder.exists() || name == "pools", "no benchmark {name:?}");
        }
        for name in arguments(text, "--manifest-path ") {
            assert!(root.join(name).exists(), "no manifest {name:?}");
        }
    }
    assert!(examples >= 10, "only {examples} commands found");
}
