//! Recorded requests of the other side, each to be answered once: by content, and where none fits, in turn.

use std::collections::{HashMap, VecDeque};

use smpp::CommandId;

use super::key::Key;
use super::plan::Theirs;

/// See the file's head.
pub(super) struct Recorded {
    by_key: HashMap<Key, VecDeque<usize>>,
    by_command: HashMap<CommandId, VecDeque<usize>>,
    taken: Vec<bool>,
}

impl Recorded {
    pub(super) fn new(requests: &[Theirs]) -> Self {
        let mut recorded =
            Self { by_key: HashMap::new(), by_command: HashMap::new(), taken: vec![false; requests.len()] };
        for (index, request) in requests.iter().enumerate() {
            recorded.by_key.entry(request.key.clone()).or_default().push_back(index);
            recorded.by_command.entry(request.command).or_default().push_back(index);
        }
        recorded
    }

    /// The recorded request that a live one stands for, and whether it has its content.
    pub(super) fn take(&mut self, key: &Key, command: CommandId) -> Option<(usize, bool)> {
        let same = next_free(self.by_key.get_mut(key), &self.taken);
        let found = same.or_else(|| next_free(self.by_command.get_mut(&command), &self.taken))?;
        self.taken[found] = true;
        Some((found, same.is_some()))
    }
}

/// The first that is not taken.
fn next_free(queue: Option<&mut VecDeque<usize>>, taken: &[bool]) -> Option<usize> {
    let queue = queue?;
    while let Some(index) = queue.pop_front() {
        if !taken[index] {
            return Some(index);
        }
    }
    None
}
