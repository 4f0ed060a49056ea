//! `docs/conformance.md` and `docs/junebug-conformance.md`: every corner case of the field guide, every line that
//! Junebug promises, and the tests that name it.
//!
//! A test names a case in its doc comment: `/// Field guide 8.5 #76 and #77: …`, `/// Junebug 24: …`. A case without a
//! test fails here, and so does a page that is not what the tests say; `UPDATE_DOCS=1 cargo test --test conformance`
//! writes them anew.
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::{Path, PathBuf};

use regex::Regex;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn rust_files(directory: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("node_modules") {
            rust_files(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// A test, by its file and name.
type Test = (String, String);

/// The tests whose comment has `word`, by the numbers that it names.
fn named(word: &str, numbers: &str) -> BTreeMap<u32, BTreeSet<Test>> {
    let mut files = Vec::new();
    for directory in ["tests", "src", "smpp/src", "smpp/tests"] {
        rust_files(&root().join(directory), &mut files);
    }
    let comment = Regex::new(&format!(r"^\s*///.*{word}")).unwrap();
    let numbers = Regex::new(numbers).unwrap();
    let function = Regex::new(r"fn (\w+)").unwrap();
    let mut tests: BTreeMap<u32, BTreeSet<Test>> = BTreeMap::new();
    for path in files {
        let file = path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
        let text = std::fs::read_to_string(&path).unwrap();
        let mut pending = Vec::new();
        for line in text.lines() {
            if comment.is_match(line) {
                for found in numbers.captures_iter(line) {
                    let first: u32 = found[1].parse().unwrap();
                    let last = found.get(2).map_or(first, |last| last.as_str().parse().unwrap());
                    pending.extend(first..=last);
                }
            } else if let Some(found) = function.captures(line) {
                for number in pending.drain(..) {
                    tests.entry(number).or_default().insert((file.clone(), found[1].to_owned()));
                }
            }
        }
    }
    tests
}

/// The page of these lines (`NUMBER TITLE`, anything else is a heading), and the lines that no test names.
fn page(head: &str, lines: &str, tests: &BTreeMap<u32, BTreeSet<Test>>) -> (String, Vec<String>) {
    let mut page = head.to_owned();
    let mut missing = Vec::new();
    for line in lines.lines() {
        let numbered = line.split_once(' ').and_then(|(number, title)| Some((number.parse::<u32>().ok()?, title)));
        let Some((number, title)) = numbered else {
            let heading = line.trim_start_matches(|character: char| !character.is_alphabetic());
            write!(page, "\n## {heading}\n\n| # | case | test |\n|---|---|---|\n").unwrap();
            continue;
        };
        let Some(found) = tests.get(&number) else {
            missing.push(line.to_owned());
            continue;
        };
        let names: Vec<String> = found.iter().map(|(file, name)| format!("`{name}` in `{file}`")).collect();
        writeln!(page, "| {number} | {title} | {} |", names.join("<br>")).unwrap();
    }
    (page, missing)
}

/// Holds a page of `docs/` to the tests; writes it anew with `UPDATE_DOCS`.
fn hold(name: &str, head: &str, lines: &str, tests: &BTreeMap<u32, BTreeSet<Test>>) {
    let lines = std::fs::read_to_string(root().join("tests/conformance").join(lines)).unwrap();
    let (page, missing) = page(head, &lines, tests);
    assert!(missing.is_empty(), "no test names:\n{}", missing.join("\n"));
    let path = root().join("docs").join(name);
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == page, "docs/{name} is not what the tests say; run this test with UPDATE_DOCS=1");
}

#[test]
fn every_corner_case_has_a_test_and_the_page_lists_them() {
    let head = "# Conformance\n\n\
                Corner cases of SMPP as operators speak it, and the tests that hold this server to them; those of \
                Junebug's API are on [a page of their own](junebug-conformance.md). Made from the tests; \
                `UPDATE_DOCS=1 cargo test --test conformance` makes it anew.\n";
    hold("conformance.md", head, "lines.txt", &named("[Ff]ield guide 8\\.", r"#(\d+)(?: to #(\d+))?"));
}

#[test]
fn every_line_of_junebug_has_a_test_of_its_own() {
    let head = "# Conformance with Junebug\n\n\
                What Junebug's HTTP API promises, line by line, and the test that holds this server to each. Where it \
                means to differ the test says so, and so does [Coming from Junebug](junebug.md). Made from the tests; \
                `UPDATE_DOCS=1 cargo test --test conformance` makes it anew.\n";
    let tests = named("Junebug ", r"Junebug (\d+):");
    for (number, found) in &tests {
        let names: Vec<&str> = found.iter().map(|(_, name)| name.as_str()).collect();
        let begins = format!("line_{number:03}_");
        assert!(matches!(names[..], [name] if name.starts_with(&begins)), "{number}: {names:?}");
    }
    hold("junebug-conformance.md", head, "junebug.txt", &tests);
}
