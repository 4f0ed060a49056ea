//! Where a store lies, whatever its engine is; and each test once an engine.

use std::path::Path;
use std::time::Duration;

use maybug::store::{Store, StoreConfig};

use crate::redis_place::{Keys, Servers};

/// What keeps a store's rows.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Engine {
    Embedded,
    /// One server.
    Redis,
    /// A cluster of three masters.
    Cluster,
}

/// A place for a store, which goes with it.
pub(crate) enum Place {
    Directory(Directory),
    Redis(Keys),
}

impl Place {
    /// One with nothing in it.
    pub(crate) async fn new(engine: Engine) -> Self {
        match engine {
            Engine::Embedded => Self::Directory(Directory::new()),
            Engine::Redis => Self::Redis(Keys::new(Servers::single().await)),
            Engine::Cluster => Self::Redis(Keys::new(Servers::cluster().await)),
        }
    }

    /// Another one of this kind, with nothing in it.
    pub(crate) fn another(&self) -> Self {
        match self {
            Self::Directory(_) => Self::Directory(Directory::new()),
            Self::Redis(keys) => Self::Redis(Keys::new(keys.servers)),
        }
    }

    pub(crate) async fn open(&self) -> Store {
        self.open_with(|_| ()).await
    }

    pub(crate) fn config(&self) -> StoreConfig {
        match self {
            // What a directory's copy has does not depend on what has reached the disk.
            Self::Directory(directory) => StoreConfig { sync: false, ..directory.config() },
            Self::Redis(keys) => keys.config(),
        }
    }

    pub(crate) async fn open_with(&self, change: impl FnOnce(&mut StoreConfig)) -> Store {
        let mut config = self.config();
        change(&mut config);
        Store::open(&config).await.unwrap()
    }

    /// As a crash of our process would leave it now.
    pub(crate) async fn crashed(&self) -> Self {
        match self {
            Self::Directory(directory) => Self::Directory(directory.crashed()),
            Self::Redis(keys) => Self::Redis(keys.crashed().await),
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
        let status = std::process::Command::new("cp")
            .args(["-r", "--sparse=always"])
            .arg(self.path().join("."))
            .arg(copy.path())
            .status();
        assert!(status.unwrap().success());
        copy
    }
}

/// Runs a test on an engine; one that waits for what never comes fails.
pub(crate) async fn run<T: Future<Output = ()>>(engine: Engine, test: impl FnOnce(Place) -> T) {
    let place = Place::new(engine).await;
    tokio::time::timeout(LONGEST, test(place)).await.expect("something never came");
}

/// Longer than any test takes where others work too.
const LONGEST: Duration = Duration::from_secs(120);

/// Makes a test once an engine out of functions that take a place, named after the engine. A function that is named nowhere
/// is unused, which the compiler tells.
macro_rules! on_every_engine {
    ($($test:ident),+ $(,)?) => {
        $(mod $test {
            use crate::place::{Engine, run};

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn embedded() {
                run(Engine::Embedded, super::$test).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn redis() {
                run(Engine::Redis, super::$test).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn cluster() {
                run(Engine::Cluster, super::$test).await;
            }
        })+
    };
}

pub(crate) use on_every_engine;
