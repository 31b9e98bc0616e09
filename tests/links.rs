//! Follows every relative link: in the Markdown files, as a source host shows them, and in the
//! pages that rustdoc generated.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Component, Path, PathBuf};

/// Beginnings of links that rustdoc resolves only if it documents other crates, too: to items of
/// these crates, and in text that it copies from them. docs.rs resolves them.
const OTHER_CRATES: &[&str] = &[
    "bytes::",
    "zeroize::",
    "crate::Span",
    "super::Span",
    "super::Subscriber",
    "dispatcher#",
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Collects the files below `path` with this extension.
fn files(path: &Path, extension: &str, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(path).unwrap_or_else(|error| panic!("{}: {error}", path.display())) {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_dir() {
            let skipped = ["target", "node_modules", "corpus", "artifacts"].contains(&name);
            if !skipped && !name.starts_with('.') {
                files(&path, extension, found);
            }
        } else if path.extension().is_some_and(|e| e == extension) {
            found.push(path);
        }
    }
}

/// Removes `.` and `..` from a path without asking the file system.
fn normal(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for component in path.components() {
        match component {
            Component::ParentDir => {
                out.pop();
            }
            Component::CurDir => (),
            other => out.push(other),
        }
    }
    out
}

fn is_external(target: &str) -> bool {
    let schemes = ["http://", "https://", "mailto:", "data:", "javascript:"];
    schemes.iter().any(|scheme| target.starts_with(scheme))
}

/// Returns the text of a Markdown file without code blocks, and with code spans emptied.
fn prose(text: &str) -> String {
    let mut out = String::new();
    let mut in_code = false;
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            in_code = !in_code;
        } else if !in_code {
            for (index, part) in line.split('`').enumerate() {
                out.push_str(if index % 2 == 0 { part } else { "code" });
            }
            out.push('\n');
        }
    }
    out
}

/// Returns the targets of all links and pictures of a Markdown text: inline ones and definitions.
fn markdown_targets(text: &str) -> Vec<String> {
    let text = prose(text);
    let mut targets = Vec::new();
    for (at, _) in text.match_indices("](") {
        let target = text[at + 2..].split([')', ' ', '\n']).next().unwrap();
        targets.push(target.to_owned());
    }
    for line in text.lines() {
        if let Some((label, target)) = line.split_once("]: ")
            && label.starts_with('[')
        {
            targets.push(target.trim().to_owned());
        }
    }
    targets
}

/// Returns the labels that links use and those that definitions define.
fn markdown_labels(text: &str) -> (BTreeSet<String>, BTreeSet<String>) {
    let text = prose(text);
    let used = text.match_indices("][").map(|(at, _)| &text[at + 2..]);
    let used = used.filter_map(|rest| Some(rest.split_once(']')?.0.to_lowercase()));
    let defined = text
        .lines()
        .filter_map(|line| line.strip_prefix('[')?.split_once("]: "))
        .map(|(label, _)| label.to_lowercase());
    (used.collect(), defined.collect())
}

/// Returns the anchor that source hosts give a heading.
fn slug(heading: &str) -> String {
    let lower = heading.trim().to_lowercase();
    let kept = lower.chars().filter_map(|c| match c {
        ' ' => Some('-'),
        _ if c.is_alphanumeric() || c == '-' || c == '_' => Some(c),
        _ => None,
    });
    kept.collect()
}

fn has_heading(text: &str, anchor: &str) -> bool {
    let headings = text.lines().filter(|line| line.starts_with('#'));
    headings
        .map(|line| slug(line.trim_start_matches('#')))
        .any(|heading| heading == anchor)
}

/// Returns what is wrong with a relative link of the file, if anything.
fn broken(file: &Path, target: &str) -> Option<String> {
    let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
    let linked = match path {
        "" => file.to_owned(),
        _ => normal(&file.parent().unwrap().join(path)),
    };
    if !linked.starts_with(root()) || !linked.exists() {
        return Some(format!("{target}: no such file"));
    }
    if !anchor.is_empty() && linked.extension().is_some_and(|e| e == "md") {
        let text = fs::read_to_string(&linked).unwrap();
        if !has_heading(&text, anchor) {
            return Some(format!("{target}: no such heading"));
        }
    }
    None
}

#[test]
fn links_resolve_on_a_source_host() {
    let mut paths = Vec::new();
    files(root(), "md", &mut paths);
    let (mut findings, mut checked) = (Vec::new(), 0);
    for path in &paths {
        let name = path.strip_prefix(root()).unwrap().display().to_string();
        let text = fs::read_to_string(path).unwrap();
        let (used, defined) = markdown_labels(&text);
        for label in used.difference(&defined) {
            findings.push(format!("{name}: [{label}] is not defined"));
        }
        for target in markdown_targets(&text) {
            if !is_external(&target) {
                checked += 1;
                findings.extend(broken(path, &target).map(|what| format!("{name}: {what}")));
            }
        }
    }
    println!("{checked} relative links in {} files", paths.len());
    assert!(checked > 50, "only {checked} links found");
    assert!(findings.is_empty(), "{}", findings.join("\n"));
}

/// Pages in docs/ begin with a title and contain no hidden doctest lines, which source hosts show.
#[test]
fn pages_read_well_on_a_source_host() {
    let mut paths = Vec::new();
    files(&root().join("docs"), "md", &mut paths);
    for path in &paths {
        let name = path.strip_prefix(root()).unwrap().display().to_string();
        let text = fs::read_to_string(path).unwrap();
        assert!(text.starts_with("# "), "{name} has no title");
        let mut in_rust = false;
        for (index, line) in text.lines().enumerate() {
            if line.starts_with("```") {
                assert!(line != "```" || in_rust || !line.is_empty(), "{name}");
                in_rust = !in_rust && line == "```rust";
            }
            let hidden = in_rust && (line == "#" || line.starts_with("# "));
            assert!(!hidden, "{name}:{}: a hidden line", index + 1);
        }
    }
}

/// Returns the values of the attributes `href` and `src` in a page.
fn html_targets(text: &str) -> Vec<&str> {
    let attributes = ["href=\"", "src=\""];
    let places = attributes.iter().flat_map(|attribute| {
        let places = text.match_indices(attribute);
        places.map(move |(at, _)| &text[at + attribute.len()..])
    });
    places.filter_map(|rest| rest.split('"').next()).collect()
}

/// Needs the output of `cargo doc --no-deps --all-features`; `.ci/run links` creates it first.
#[test]
#[ignore = "needs rustdoc's pages: run `.ci/run links`"]
fn links_resolve_in_rustdoc() {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or(root().join("target"), PathBuf::from);
    let doc = target.join("doc");
    let mut paths = Vec::new();
    files(&doc.join("slabuf"), "html", &mut paths);
    let (mut findings, mut checked) = (BTreeSet::new(), 0);
    for path in &paths {
        let text = fs::read_to_string(path).unwrap();
        let name = path.strip_prefix(&doc).unwrap().display().to_string();
        for target in html_targets(&text) {
            let target = target.replace("&amp;", "&").replace("&#x27;", "'");
            let other = OTHER_CRATES.iter().any(|start| target.starts_with(start));
            if other || is_external(&target) || target.contains("${") {
                continue;
            }
            checked += 1;
            let (file, anchor) = target.split_once('#').unwrap_or((&target, ""));
            let file = file.split('?').next().unwrap();
            let mut linked = match file {
                "" => path.clone(),
                _ => normal(&path.parent().unwrap().join(file)),
            };
            if linked.is_dir() {
                linked = linked.join("index.html");
            }
            let Ok(page) = fs::read_to_string(&linked).or_else(|error| match linked.exists() {
                // Fonts and the like are no text.
                true => Ok(String::new()),
                false => Err(error),
            }) else {
                findings.insert(format!("{name}: {target}: no such file"));
                continue;
            };
            // Lines of source pages and the search field have their anchors from scripts.
            let is_scripted = linked.starts_with(doc.join("src")) || anchor == "search";
            if !anchor.is_empty()
                && !is_scripted
                && !page
                    .replace("&#x27;", "'")
                    .contains(&format!("id=\"{anchor}\""))
            {
                findings.insert(format!("{name}: {target}: no such anchor"));
            }
        }
    }
    println!("{checked} relative links in {} pages", paths.len());
    assert!(checked > 1000, "only {checked} links found");
    let findings: Vec<_> = findings.into_iter().collect();
    assert!(findings.is_empty(), "{}", findings.join("\n"));
}

#[test]
fn the_check_finds_broken_links() {
    let readme = root().join("README.md");
    assert_eq!(broken(&readme, "docs/settings.md"), None);
    assert_eq!(broken(&readme, "#quick-start"), None);
    assert!(broken(&readme, "docs/no_such_page.md").is_some());
    assert!(broken(&readme, "docs/settings.md#no-such-heading").is_some());
    assert!(broken(&readme, "../outside.md").is_some());
    let text = "[a](x.md) and [b][label]\n```\n[c](code.md)\n```\n`[d](span.md)`\n[label]: y.md\n";
    assert_eq!(markdown_targets(text), ["x.md", "y.md"]);
    let (used, defined) = markdown_labels("[a][one] [b][two]\n[one]: x.md\n");
    assert_eq!((used.len(), defined.len()), (2, 1));
    assert_eq!(slug("`alloc_unsafe`: fast, safe"), "alloc_unsafe-fast-safe");
}
