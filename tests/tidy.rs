//! Rules of the house that a machine can check.
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

use std::path::{Path, PathBuf};

/// Floors of `src/`, lowest first; a file imports from its own floor or a lower one.
const FLOORS: [(&str, u8); 22] = [
    ("model", 1),
    ("config", 1),
    ("pattern", 1),
    ("store", 2),
    ("bus", 2),
    ("engine", 2),
    ("redis", 2),
    ("web", 2),
    ("capture", 2),
    ("endpoint", 2),
    ("telemetry", 2),
    ("access", 3),
    ("moving", 3),
    ("channel", 3),
    ("gateway", 4),
    ("api", 5),
    ("smsc", 5),
    ("doctor", 5),
    ("migrate", 5),
    ("replay", 5),
    ("server", 6),
    ("cli", 7),
];

fn rust_files(directory: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn files(directories: &[&str]) -> Vec<(PathBuf, String)> {
    let mut files = Vec::new();
    directories.iter().for_each(|directory| rust_files(&root().join(directory), &mut files));
    files.into_iter().map(|path| (path.clone(), std::fs::read_to_string(path).unwrap())).collect()
}

fn floor(module: &str) -> Option<u8> {
    FLOORS.iter().find(|(name, _)| *name == module).map(|(_, floor)| *floor)
}

#[test]
fn nothing_looks_upwards() {
    for (path, text) in files(&["src"]) {
        let relative = path.strip_prefix(root().join("src")).unwrap();
        let module = relative.iter().next().unwrap().to_str().unwrap().trim_end_matches(".rs");
        let Some(own) = floor(module) else { continue };
        for line in text.lines().filter_map(|line| line.trim().strip_prefix("use crate::")) {
            let other = line.split([':', ';', '{']).next().unwrap();
            let other = floor(other).unwrap_or_else(|| panic!("{other} has no floor"));
            assert!(other <= own, "{} imports from a higher floor: {line}", path.display());
        }
    }
}

#[test]
fn every_file_says_what_it_decides() {
    for (path, text) in files(&["src", "smpp/src", "smpp/tests", "smpp/benches", "smpp/examples", "examples", "tests"])
    {
        assert!(text.starts_with("//!"), "{} has no head", path.display());
    }
}

#[test]
fn the_engine_has_no_clock_and_no_runtime_outside_net() {
    for (path, text) in files(&["smpp/src"]) {
        let relative = path.strip_prefix(root().join("smpp/src")).unwrap();
        if relative.starts_with("net") {
            continue;
        }
        let code = text.split("#[cfg(test)]").next().unwrap();
        for line in code.lines().filter(|line| !line.trim_start().starts_with("//")) {
            // The test bench begins somewhere; every step after that is virtual.
            let begins = relative.ends_with("testing.rs") && line.contains("let now = Instant::now();");
            assert!(begins || !line.contains("Instant::now"), "{} reads a clock: {line}", path.display());
            assert!(!line.contains("tokio::"), "{} knows a runtime: {line}", path.display());
        }
    }
}

#[test]
fn the_changelog_lists_changes_by_verb() {
    let text = std::fs::read_to_string(root().join("CHANGELOG.md")).unwrap();
    let verbs = ["Add", "Change", "Fix", "Remove", "Deprecate", "Speed", "Document"];
    for line in text.lines().filter_map(|line| line.strip_prefix("- ")) {
        assert!(verbs.iter().any(|verb| line.starts_with(verb)), "no verb first: {line}");
    }
}
