//! Where a store lies, whatever its engine is; and each test once an engine.

use std::path::Path;

use maybug::store::{Store, StoreConfig};

/// What keeps a store's rows.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Engine {
    Embedded,
}

/// A place for a store, which goes with it.
pub(crate) enum Place {
    Directory(Directory),
}

impl Place {
    /// One with nothing in it.
    pub(crate) async fn new(engine: Engine) -> Self {
        match engine {
            Engine::Embedded => Self::Directory(Directory::new()),
        }
    }

    /// Another one of this kind, with nothing in it.
    pub(crate) async fn another(&self) -> Self {
        match self {
            Self::Directory(_) => Self::new(Engine::Embedded).await,
        }
    }

    pub(crate) async fn open(&self) -> Store {
        self.open_with(|_| ()).await
    }

    pub(crate) async fn open_with(&self, change: impl FnOnce(&mut StoreConfig)) -> Store {
        let mut config = match self {
            Self::Directory(directory) => directory.config(),
        };
        change(&mut config);
        Store::open(&config).await.unwrap()
    }

    /// As a crash of our process would leave it now.
    pub(crate) async fn crashed(&self) -> Self {
        match self {
            Self::Directory(directory) => Self::Directory(directory.crashed()),
        }
    }
}

/// The place of the embedded engine.
pub(crate) struct Directory(tempfile::TempDir);

impl Directory {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn config(&self) -> StoreConfig {
        StoreConfig { path: self.path().to_owned(), min_free: 0, ..StoreConfig::default() }
    }

    pub(crate) async fn open(&self) -> Store {
        Store::open(&self.config()).await.unwrap()
    }

    pub(crate) fn crashed(&self) -> Self {
        let copy = Self::new();
        let status = std::process::Command::new("cp").arg("-r").arg(self.path().join(".")).arg(copy.path()).status();
        assert!(status.unwrap().success());
        copy
    }
}

/// Makes a test once an engine out of functions that take a place, named after the engine. A function that is named nowhere
/// is unused, which the compiler tells.
macro_rules! on_every_engine {
    ($($test:ident),+ $(,)?) => {
        $(mod $test {
            use crate::place::{Engine, Place};

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn embedded() {
                super::$test(Place::new(Engine::Embedded).await).await;
            }
        })+
    };
}

pub(crate) use on_every_engine;
