//! Checks the prose of the sources: comments, documentation, messages and names.
//!
//! Forbidden are words that hide the actor ("nobody", "whoever") and idioms that a reader has to
//! decode ("had better", "so many"), see CONTRIBUTING.md. Comments and Markdown wrap at 100
//! columns.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// Folders and files that are checked. Add one as soon as its prose is finished.
const CHECKED: &[&str] = &[
    "src/thread",
    "src/inner",
    "src/pressure",
    "src/depot",
    "src/slab",
    "src/large",
    "src/os",
    "src/system",
    "src/util",
    "src/sync.rs",
    "src/sync",
    "src/models",
    "src/faults",
    "benches",
    "examples",
    "fuzz",
    "src/buffer",
    "src/config.rs",
    "src/error.rs",
    "src/guide.rs",
    "src/interop",
    "src/lib.rs",
    "src/outbox",
    "src/pool",
    "tests",
    "docs",
    "bindings",
    "README.md",
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    ".ci/run",
    "justfile",
];

/// Forbidden words and phrases, in lower case. `_` separates words, so names are checked, too.
const HABITS: &[&str] = &[
    "nobody",
    "somebody",
    "everybody",
    "anybody",
    "everyone",
    "anyone",
    "someone",
    "whoever",
    "whomever",
    "who",
    "told",
    "had better",
    "so many",
    "be had",
    "tell of",
    "tells of",
    "of one's own",
    "worth a word",
];

/// Exceptions: phrases in which a forbidden word is allowed, in lower case.
const ALLOWED: &[&str] = &["who holds"]; // The name of an example.

/// Files that are not checked: this one contains the forbidden words as data.
const SKIPPED: &[&str] = &["tests/prose.rs"];

/// Columns of a comment or a line of Markdown.
const WIDTH: usize = 100;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Collects the text files below `path`, without build directories and recorded data.
fn files(path: &Path, found: &mut Vec<PathBuf>) {
    if path.is_file() {
        let extension = path.extension().and_then(|extension| extension.to_str());
        let is_text = matches!(
            extension,
            None | Some("rs" | "md" | "toml" | "sh" | "mjs" | "js" | "c" | "h" | "cpp" | "yml")
        );
        if is_text {
            found.push(path.to_owned());
        }
        return;
    }
    for entry in fs::read_dir(path).unwrap_or_else(|error| panic!("{}: {error}", path.display())) {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        let is_data = ["target", "node_modules", "seeds", "corpus", "artifacts"].contains(&name);
        if !is_data && !name.starts_with('.') {
            files(&path, found);
        }
    }
}

/// Returns the words of a line in lower case, separated by single spaces, with a space at both
/// ends.
fn words(line: &str) -> String {
    let line = line.to_lowercase();
    let words = line.split(|c: char| !(c.is_alphanumeric() || c == '\''));
    let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
    format!(" {} ", words.join(" "))
}

/// Returns the forbidden words of a line.
fn habits_in(line: &str) -> Vec<&'static str> {
    let mut words = words(line);
    for allowed in ALLOWED {
        let phrase = format!(" {allowed} ");
        while words.contains(&phrase) {
            words = words.replacen(&phrase, " ", 1);
        }
    }
    let found = |habit: &&&str| words.contains(&format!(" {habit} "));
    HABITS.iter().filter(found).copied().collect()
}

/// Returns whether a line is prose that must wrap: a comment, or Markdown outside of tables and
/// code.
fn must_wrap(line: &str, markdown: bool, in_code: bool) -> bool {
    let line = line.trim_start();
    let comment = line.starts_with("//") || line.starts_with("# ");
    let text = line.trim_start_matches(['/', '!', '#', ' ']);
    // A link has no place to break.
    let one_word = !text.contains(' ');
    let table = text.starts_with('|');
    (comment || markdown && !in_code) && !table && !one_word
}

#[test]
fn prose_is_plain() {
    let mut paths = Vec::new();
    for checked in CHECKED {
        files(&root().join(checked), &mut paths);
    }
    paths.sort();
    let mut findings = String::new();
    for path in &paths {
        let name = path.strip_prefix(root()).unwrap().display().to_string();
        if SKIPPED.contains(&name.as_str()) {
            continue;
        }
        let text = fs::read_to_string(path).unwrap();
        let markdown = name.ends_with(".md");
        let mut in_code = false;
        for (index, line) in text.lines().enumerate() {
            let place = format!("{name}:{}", index + 1);
            for habit in habits_in(line) {
                let _ = writeln!(findings, "{place}: \"{habit}\": {}", line.trim());
            }
            in_code ^= line.trim_start().starts_with("```");
            let width = line.chars().count();
            if width > WIDTH && must_wrap(line, markdown, in_code) {
                let _ = writeln!(findings, "{place}: {width} columns");
            }
        }
    }
    assert!(!paths.is_empty());
    assert!(
        findings.is_empty(),
        "{} findings:\n{findings}",
        findings.lines().count()
    );
}

#[test]
fn the_check_finds_each_habit() {
    assert_eq!(habits_in("/// Whoever waits is woken."), ["whoever"]);
    assert_eq!(
        habits_in("fn nobody_in_the_queue_overtakes() {"),
        ["nobody"]
    );
    assert_eq!(habits_in("so many of them, who wait"), ["who", "so many"]);
    assert_eq!(habits_in("cargo run --example who_holds"), [""; 0]);
    assert_eq!(habits_in("the whole buffer, untold"), [""; 0]);
    assert!(must_wrap("    // a comment", false, false));
    assert!(must_wrap("a paragraph", true, false));
    assert!(!must_wrap("| a | table |", true, false));
    assert!(!must_wrap("let code = true;", false, false));
}
