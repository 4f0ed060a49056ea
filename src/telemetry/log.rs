//! The process log: `tracing` as text or JSON lines, on standard error and in a file.

use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry};

use super::rotation::RotatingFile;
use crate::config::LogFormat;

/// Octets after which the file begins anew, and how many older ones are kept, as in Junebug.
const FILE_SIZE: u64 = 1024 * 1024;
const FILES_KEPT: usize = 5;

/// How the process log is kept.
#[derive(Clone, Copy, Debug)]
pub struct ProcessLog<'a> {
    /// Its form.
    pub format: LogFormat,
    /// In tracing's syntax, for instance `info,maybug::channel=debug`.
    pub filter: &'a str,
    /// Whether it goes to standard error.
    pub standard_error: bool,
    /// A file that it goes to.
    pub file: Option<&'a Path>,
}

impl ProcessLog<'_> {
    /// Starts it; only the first of a process has an effect.
    ///
    /// # Errors
    /// The file cannot be written to.
    pub fn start(self) -> io::Result<()> {
        // A bare level is ours; the store's engine speaks only of trouble. The bus says what there is to say of lapin's, which
        // logs whole messages.
        let engine = "fjall=warn,lsm_tree=warn,lapin=off";
        let filter = EnvFilter::try_new(format!("{engine},{}", self.filter)).unwrap_or_else(|_| EnvFilter::new("info"));
        let screen = self.standard_error.then(|| layer(self.format, io::stderr, io::stderr().is_terminal()));
        let file = match self.file {
            Some(path) => {
                let file = RotatingFile::open(path.to_owned(), FILE_SIZE, FILES_KEPT)?;
                let file = LogFile(Arc::new(Mutex::new(file)));
                Some(layer(self.format, move || file.clone(), false))
            }
            None => None,
        };
        let layers: Vec<_> = screen.into_iter().chain(file).collect();
        // A test that starts several servers has the first one's log.
        let _ = tracing_subscriber::registry().with(layers.with_filter(filter)).try_init();
        Ok(())
    }
}

type BoxedLayer = Box<dyn Layer<Registry> + Send + Sync>;

fn layer<W>(format: LogFormat, writer: W, ansi: bool) -> BoxedLayer
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let layer = tracing_subscriber::fmt::layer().with_writer(writer).with_ansi(ansi);
    match format {
        LogFormat::Text => layer.with_target(false).boxed(),
        LogFormat::Json => layer.json().flatten_event(true).boxed(),
    }
}

/// The file, for whoever has a line for it.
#[derive(Clone)]
struct LogFile(Arc<Mutex<RotatingFile>>);

impl Write for LogFile {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).append(line)?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
