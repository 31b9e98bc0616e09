//! Checks the order of layers in the sources: a module imports only from layers below its own.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// The table of ARCHITECTURE.md, lowest layer first. Modules of one layer do not import each other.
const LAYERS: &[&[&str]] = &[
    &["error", "sync"],
    &["util"],
    &["os", "system"],
    &["slab", "large"],
    &["config"],
    &["depot"],
    &["pressure"],
    &["inner"],
    &["thread"],
    &["pool"],
    &["buffer"],
    &["interop", "outbox", "guide"],
    &["models", "faults"],
];

fn layer_of(module: &str) -> usize {
    LAYERS
        .iter()
        .position(|layer| layer.contains(&module))
        .unwrap_or_else(|| panic!("module `{module}` is in no layer: add it to the table"))
}

/// Collects every source below `path` with its top-level module.
fn sources(path: &Path, top: Option<&str>, found: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(path).unwrap() {
        let path = entry.unwrap().path();
        let stem = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let module = top.unwrap_or(&stem);
        if path.is_dir() {
            sources(&path, Some(module), found);
        } else if stem == "tests" {
            // Tests may import any module.
        } else if module != "lib" {
            found.push((module.to_owned(), fs::read_to_string(&path).unwrap()));
        }
    }
}

/// Returns the modules after `crate::`, outside comments and the tests at the end of a file.
fn imports(source: &str) -> Vec<String> {
    let code = source.split("#[cfg(all(test").next().unwrap();
    let lines = code.lines().map(|line| line.split("//").next().unwrap());
    let mut names = Vec::new();
    for line in lines {
        for behind in line.split("crate::").skip(1) {
            let end = behind.find(|c: char| !c.is_alphanumeric() && c != '_');
            names.push(behind[..end.unwrap_or(behind.len())].to_owned());
        }
    }
    names
}

#[test]
fn no_module_imports_from_its_own_layer_or_above() {
    let mut found = Vec::new();
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    sources(&src, None, &mut found);
    assert!(found.len() > 20, "only {} sources read", found.len());
    let mut seen = BTreeMap::new();
    for (module, source) in &found {
        for import in imports(source) {
            let public = import.starts_with(char::is_uppercase) || import == *module;
            if public {
                continue;
            }
            assert!(
                layer_of(&import) < layer_of(module),
                "`{module}` imports from `{import}`, which is not in a layer below"
            );
            *seen.entry(module.clone()).or_insert(0) += 1;
        }
    }
    assert!(
        seen.len() > 10,
        "imports were found in {} modules alone",
        seen.len()
    );
}

#[test]
fn only_one_module_asks_for_loom() {
    let mut found = Vec::new();
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    sources(&src, None, &mut found);
    for (module, source) in &found {
        let code = source.split("mod tests {").next().unwrap();
        let named = code
            .lines()
            .any(|line| line.contains("all(test, loom)") || line.contains("any(loom, shuttle)"));
        let models = ["sync", "models", "slab"].contains(&module.as_str());
        assert!(!named || models, "`{module}` asks for loom");
    }
}

#[test]
fn unsafe_modules_have_a_section_on_safety() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let lib = fs::read_to_string(src.join("lib.rs")).unwrap();
    let mut checked = 0;
    for pair in lib.lines().collect::<Vec<_>>().windows(2) {
        if pair[0].trim() != "#[allow(unsafe_code)]" {
            continue;
        }
        let words = pair[1].trim_end_matches(';').split_whitespace();
        let name = words.last().unwrap();
        let file = src.join(format!("{name}.rs"));
        let file = if file.exists() {
            file
        } else {
            src.join(name).join("mod.rs")
        };
        let source = fs::read_to_string(&file).unwrap();
        assert!(
            source.contains("//! # Safety"),
            "{} has no `# Safety`",
            file.display()
        );
        checked += 1;
    }
    assert!(checked > 8, "only {checked} unsafe modules were found");
}
