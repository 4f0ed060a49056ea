//! Files that begin anew when they are long enough: `name`, and what went before as `name.1`, `name.2`, the newest first.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// A file that is written line by line.
pub(super) struct RotatingFile {
    path: PathBuf,
    limit: u64,
    keep: usize,
    file: File,
    size: u64,
}

impl RotatingFile {
    /// Goes on at the end of a file, which is made if absent; after `limit` octets it begins anew, and `keep` older ones
    /// stay, 0 all.
    pub(super) fn open(path: PathBuf, limit: u64, keep: usize) -> io::Result<Self> {
        let (file, size) = append_to(&path)?;
        Ok(Self { path, limit, keep, file, size })
    }

    /// Writes whole lines.
    pub(super) fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        if self.size >= self.limit {
            rotate(&self.path, self.keep)?;
            (self.file, self.size) = append_to(&self.path)?;
        }
        self.file.write_all(lines)?;
        self.size += lines.len() as u64;
        Ok(())
    }
}

/// The file itself for 0, older ones after it.
pub(super) fn rotated(path: &Path, index: usize) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    if index > 0 {
        name.push(format!(".{index}"));
    }
    name.into()
}

fn append_to(path: &Path) -> io::Result<(File, u64)> {
    let file = OpenOptions::new().create(true).append(true).open(path)?;
    let size = file.metadata()?.len();
    Ok((file, size))
}

fn rotate(path: &Path, keep: usize) -> io::Result<()> {
    let mut last = 0;
    while rotated(path, last).exists() {
        last += 1;
    }
    // More than one when fewer are to be kept than before.
    while keep > 0 && last > keep {
        fs::remove_file(rotated(path, last - 1))?;
        last -= 1;
    }
    (0..last).rev().try_for_each(|index| fs::rename(rotated(path, index), rotated(path, index + 1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_begins_anew_at_its_limit_and_goes_on_when_opened_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("process.log");
        for line in ["one\n", "two\n", "three\n", "four\n", "five\n", "six\n"] {
            RotatingFile::open(path.clone(), 4, 2).unwrap().append(line.as_bytes()).unwrap();
        }
        let text = |index| fs::read_to_string(rotated(&path, index)).unwrap();
        assert_eq!([text(0), text(1), text(2)], ["six\n", "five\n", "four\n"]);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 3);
    }
}
