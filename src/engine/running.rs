//! What goes on by itself: on a thread of its own where it blocks, and else as a task.

use std::path::Path;
use std::thread::{self, JoinHandle};

use crate::store::OpenError;

/// A part of the engine that goes on by itself.
pub(super) enum Running {
    /// On a thread of its own, because it blocks; `None` once it has been waited for.
    Thread(Option<JoinHandle<()>>),
    Task(tokio::task::JoinHandle<()>),
}

impl Running {
    pub(super) fn begin(
        name: &str,
        blocks: bool,
        work: impl Future<Output = ()> + Send + 'static,
    ) -> Result<Self, OpenError> {
        if !blocks {
            return Ok(Self::Task(tokio::spawn(work)));
        }
        let failed = |source| OpenError::Io { path: Path::new("thread").to_owned(), source };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().map_err(failed)?;
        let thread = thread::Builder::new().name(name.to_owned()).spawn(move || runtime.block_on(work));
        Ok(Self::Thread(Some(thread.map_err(failed)?)))
    }

    /// Waits for its end; one that panicked has said so in `condition`.
    pub(super) async fn ended(&mut self) {
        match self {
            Self::Thread(thread) => {
                if let Some(thread) = thread.take() {
                    let _ = tokio::task::spawn_blocking(move || thread.join()).await;
                }
            }
            Self::Task(task) => {
                if !task.is_finished() {
                    let _ = task.await;
                }
            }
        }
    }

    /// The same where nobody can wait but a thread; a task ends by itself.
    pub(super) fn join(self) {
        if let Self::Thread(Some(thread)) = self {
            let _ = thread.join();
        }
    }
}
