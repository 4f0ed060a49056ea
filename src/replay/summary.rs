//! What a replay counts.

/// What was done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Requests sent.
    pub sent: usize,
    /// Answers to them.
    pub answered: usize,
    /// Answers, come or missing, that are not as recorded.
    pub differences: usize,
    /// Requests whose answer the recording does not have.
    pub incomparable: usize,
    /// Requests that cannot be read, and so cannot be sent.
    pub unreadable: usize,
    /// Requests of the other side that the recording has.
    pub expected: usize,
    /// Requests of the other side that came with the content of a recorded one, and were answered as it was.
    pub recognised: usize,
    /// Those that came with other content, and were answered as the next recorded one was.
    pub in_turn: usize,
    /// Those beyond what the recording has.
    pub unrecorded: usize,
}

impl std::ops::AddAssign for Summary {
    fn add_assign(&mut self, other: Self) {
        self.sent += other.sent;
        self.answered += other.answered;
        self.differences += other.differences;
        self.incomparable += other.incomparable;
        self.unreadable += other.unreadable;
        self.expected += other.expected;
        self.recognised += other.recognised;
        self.in_turn += other.in_turn;
        self.unrecorded += other.unrecorded;
    }
}
