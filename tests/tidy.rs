//! Rules of the house that a machine can check.
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

use std::path::{Path, PathBuf};

/// Floors of `src/`, lowest first; a file imports from its own floor or a lower one.
const FLOORS: [(&str, u8); 23] = [
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
    ("nodes", 4),
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

/// Every page that people read, and where it is.
fn pages() -> Vec<(PathBuf, String)> {
    let mut pages = vec![root().join("README.md"), root().join("CHANGELOG.md")];
    for directory in ["docs", "benches"] {
        let entries = std::fs::read_dir(root().join(directory)).unwrap().map(|entry| entry.unwrap().path());
        pages.extend(entries.filter(|path| path.extension().is_some_and(|extension| extension == "md")));
    }
    pages.into_iter().map(|path| (path.clone(), std::fs::read_to_string(path).unwrap())).collect()
}

/// How a heading is linked to.
fn anchor(heading: &str) -> String {
    let kept = |letter: &char| letter.is_alphanumeric() || matches!(letter, ' ' | '-' | '_');
    heading.trim().to_lowercase().chars().filter(kept).collect::<String>().replace(' ', "-")
}

#[test]
fn links_of_pages_lead_somewhere() {
    let pages = pages();
    let headings = |path: &Path| -> Vec<String> {
        let (_, text) = pages.iter().find(|(page, _)| page.canonicalize().unwrap() == path).unwrap();
        text.lines().filter(|line| line.starts_with('#')).map(|line| anchor(line.trim_start_matches('#'))).collect()
    };
    let mut links = 0;
    for (page, text) in &pages {
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if link.contains("://") || link.contains(' ') {
                continue;
            }
            let (file, section) = link.split_once('#').unwrap_or((link, ""));
            let target = if file.is_empty() { page.clone() } else { page.parent().unwrap().join(file) };
            let target = target.canonicalize().unwrap_or_else(|_| panic!("{}: no file {link}", page.display()));
            let there = section.is_empty() || headings(&target).iter().any(|heading| heading == section);
            assert!(there, "{}: no heading {link}", page.display());
            links += 1;
        }
    }
    assert!(links > 50, "only {links} links were found");
}

#[test]
fn lines_to_be_woken_by_are_said() {
    let page = std::fs::read_to_string(root().join("docs/deployment.md")).unwrap();
    let (_, table) = page.split_once("| line | level | what to do |").unwrap();
    let said: String = files(&["src"]).into_iter().map(|(_, text)| text).collect();
    let mut lines = 0;
    for row in table.lines().skip(2).take_while(|line| line.starts_with('|')) {
        for line in row.split('|').nth(1).unwrap().split('`').skip(1).step_by(2) {
            assert!(said.contains(line), "nothing says: {line}");
            lines += 1;
        }
    }
    assert!(lines > 9, "only {lines} lines were found");
}
