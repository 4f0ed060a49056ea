//! Kannel's configuration grammar: groups of `key = value` lines with empty lines between, comments, quotes, includes.
//!
//! As bearerbox 1.4.5 reads it: `#` begins a comment only at the start of a line and does not end a group; the last of
//! two equal keys counts; the end of an included file ends a group; a directory is included file by file.

use std::path::{Path, PathBuf};

use super::super::draft::Setting;
use super::super::{MigrateError, name, read};

/// A group.
#[derive(Debug, Default)]
pub(in crate::migrate) struct Group {
    pub(in crate::migrate) place: String,
    pub(in crate::migrate) settings: Vec<Setting>,
}

impl Group {
    /// The value of a key.
    pub(in crate::migrate) fn text(&self, key: &str) -> Option<&str> {
        self.setting(key).map(|setting| setting.value.as_str())
    }

    pub(in crate::migrate) fn setting(&self, key: &str) -> Option<&Setting> {
        self.settings.iter().find(|setting| setting.key == key)
    }

    /// Whatever is not a word for no is yes.
    pub(in crate::migrate) fn boolean(&self, key: &str) -> Option<bool> {
        let no = ["no", "false", "off", "0"];
        self.text(key).map(|text| !no.iter().any(|word| text.eq_ignore_ascii_case(word)))
    }
}

/// Includes within includes.
const MAX_DEPTH: usize = 16;
/// Files that are read in all.
const MAX_FILES: usize = 1_000;

/// The groups of a file and all that it includes.
pub(super) fn groups(path: &Path) -> Result<Vec<Group>, MigrateError> {
    let mut reader = Reader::default();
    reader.file(path, 0)?;
    reader.end()?;
    Ok(reader.groups)
}

#[derive(Default)]
struct Reader {
    groups: Vec<Group>,
    group: Group,
    files: usize,
}

impl Reader {
    fn file(&mut self, path: &Path, depth: usize) -> Result<(), MigrateError> {
        self.files += 1;
        let text = read(path)?;
        for (index, line) in text.lines().enumerate() {
            let place = format!("{}:{}", name(path), index + 1);
            let line = line.trim();
            if line.is_empty() {
                self.end()?;
                continue;
            }
            if line.starts_with('#') {
                continue;
            }
            let Some((key, value)) = line.split_once('=') else {
                return Err(MigrateError::Syntax { place, message: "an equals sign is missing".to_owned() });
            };
            let (key, value) = (key.trim().to_owned(), unquoted(value.trim()));
            if key == "include" {
                if depth == MAX_DEPTH || self.files >= MAX_FILES {
                    let message = format!("'{value}' is not included: files include each other, or there are too many");
                    return Err(MigrateError::Syntax { place, message });
                }
                self.include(Path::new(&value), path, depth)?;
                continue;
            }
            if self.group.settings.is_empty() {
                self.group.place.clone_from(&place);
            }
            self.group.settings.retain(|setting| setting.key != key);
            self.group.settings.push(Setting { place, key, value });
        }
        Ok(())
    }

    fn include(&mut self, included: &Path, from: &Path, depth: usize) -> Result<(), MigrateError> {
        // Kannel takes names from where it was started; most often that is where the file is.
        let beside = from.parent().map(|directory| directory.join(included));
        let path = beside.filter(|path| path.exists()).unwrap_or_else(|| included.to_owned());
        for path in if path.is_dir() { listed(&path)? } else { vec![path] } {
            self.file(&path, depth + 1)?;
            self.end()?;
        }
        Ok(())
    }

    fn end(&mut self) -> Result<(), MigrateError> {
        let group = std::mem::take(&mut self.group);
        if group.settings.is_empty() {
            return Ok(());
        }
        if group.text("group").is_none() {
            let message = "this group has no 'group = …'; an empty line, or the end of an included file, ends a group";
            return Err(MigrateError::Syntax { place: group.place, message: message.to_owned() });
        }
        self.groups.push(group);
        Ok(())
    }
}

/// Files of a directory by name.
fn listed(directory: &Path) -> Result<Vec<PathBuf>, MigrateError> {
    let unreadable = |source| MigrateError::Unreadable { path: directory.to_owned(), source };
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.is_file() {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

/// A value without its quotes; a backslash in quotes keeps what follows.
fn unquoted(value: &str) -> String {
    let inner = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    let Some(inner) = inner else { return value.to_owned() };
    let mut text = String::with_capacity(inner.len());
    let mut characters = inner.chars();
    while let Some(character) = characters.next() {
        match (character, characters.clone().next()) {
            ('\\', Some(escaped @ ('\\' | '"'))) => {
                characters.next();
                text.push(escaped);
            }
            (other, _) => text.push(other),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_comments_quotes_and_includes_are_read_as_kannel_reads_them() {
        let directory = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(directory.path().join(name), text).unwrap();
        std::fs::create_dir(directory.path().join("smsc.d")).unwrap();
        write(
            "a.conf",
            "  # one\nsmsc = smpp\ngroup = smsc\n # two\nport=1\nport = 2\nsmsc-id = a # b\ninclude = more\n\n\ninclude = \"smsc.d\"\n",
        );
        write("more", "smsc-password = \"x\\\"y\\z\"");
        write("smsc.d/2", "group = core");
        write("smsc.d/1", "group = smsc\n\ngroup = smsbox\n");
        let groups = groups(&directory.path().join("a.conf")).unwrap();
        let names: Vec<_> = groups.iter().map(|group| group.text("group").unwrap()).collect();
        assert_eq!(names, ["smsc", "smsc", "smsbox", "core"]);
        assert_eq!((groups[0].text("port"), groups[0].text("smsc-id")), (Some("2"), Some("a # b")));
        assert_eq!(groups[0].text("smsc-password"), Some("x\"y\\z"));
        assert_eq!((groups[0].place.as_str(), groups[1].place.as_str()), ("a.conf:2", "1:1"));
    }

    #[test]
    fn what_kannel_refuses_is_refused_with_its_place() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("k.conf");
        for (text, error) in [
            ("group = smsc\nport 1\n", "k.conf:2: an equals sign is missing"),
            ("\nport = 1\n", "k.conf:2: this group has no 'group = …'"),
            ("group = smsc\ninclude = k.conf\n", "files include each other"),
            ("group = smsc\ninclude = absent\n", "absent cannot be read"),
        ] {
            std::fs::write(&path, text).unwrap();
            let said = groups(&path).unwrap_err().to_string();
            assert!(said.contains(error), "{said}");
        }
    }
}
