//! The pace of a replay: as recorded, a multiple of that, or as fast as it goes.

use std::time::Duration;

/// How fast.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pace {
    /// As recorded, times this; 1.0 is as recorded. Answers take as long as they took, too.
    Scaled(f64),
    /// As fast as the window allows; answers at once.
    Max,
}

impl Pace {
    /// How long something takes that took `duration` in the recording.
    #[must_use]
    pub fn scaled(self, duration: Duration) -> Duration {
        match self {
            Self::Max => Duration::ZERO,
            // A speed of next to nothing makes a time that no clock reaches.
            Self::Scaled(speed) => {
                Duration::try_from_secs_f64(duration.as_secs_f64() / speed).unwrap_or(CENTURY).min(CENTURY)
            }
        }
    }
}

/// Longest time that is waited for anything.
const CENTURY: Duration = Duration::from_secs(3_155_760_000);
