//! A stream that is read slowly, as by an SMSC that has other things to do.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

/// Reads at most so many octets a second from what it wraps; writes as fast as it takes them.
pub(super) struct Paced<S> {
    stream: S,
    pace: Option<Pace>,
    last_words: LastWords,
}

/// Octets that are still written when the stream is closed: half a PDU, which nothing else would write.
#[derive(Clone, Debug, Default)]
pub(super) struct LastWords(Arc<Mutex<Bytes>>);

impl LastWords {
    pub(super) fn set(&self, octets: Bytes) {
        *self.lock() = octets;
    }

    fn lock(&self) -> MutexGuard<'_, Bytes> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Pace {
    octets_per_second: u32,
    /// Nothing is read before this.
    until: Pin<Box<Sleep>>,
}

impl<S> Paced<S> {
    pub(super) fn new(stream: S, octets_per_second: Option<u32>) -> Self {
        let pace = |octets_per_second| Pace { octets_per_second, until: Box::pin(sleep_until(Instant::now())) };
        Self { stream, pace: octets_per_second.map(pace), last_words: LastWords::default() }
    }

    pub(super) fn last_words(&self) -> LastWords {
        self.last_words.clone()
    }
}

/// Where the last of some whole PDUs begins.
pub(super) fn last_pdu(octets: &[u8]) -> usize {
    let mut at = 0;
    while let Some(length) = octets.get(at..).and_then(<[u8]>::first_chunk::<4>) {
        let next = at.saturating_add(usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX));
        if next >= octets.len() {
            break;
        }
        at = next;
    }
    at
}

impl<S: AsyncRead + Unpin> AsyncRead for Paced<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        let this = self.get_mut();
        let Some(pace) = &mut this.pace else { return Pin::new(&mut this.stream).poll_read(cx, buf) };
        ready!(pace.until.as_mut().poll(cx));
        // A tenth of a second's worth at a time.
        let limit = usize::try_from(pace.octets_per_second / 10).unwrap_or(usize::MAX).max(1);
        let mut scratch = [0; 4096];
        let limit = limit.min(buf.remaining()).min(scratch.len());
        let mut part = ReadBuf::new(&mut scratch[..limit]);
        ready!(Pin::new(&mut this.stream).poll_read(cx, &mut part))?;
        let read = part.filled().len();
        buf.put_slice(part.filled());
        let pause = Duration::from_secs_f64(read as f64 / f64::from(pace.octets_per_second));
        pace.until.as_mut().reset(Instant::now() + pause);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Paced<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, octets: &[u8]) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, octets)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        let this = self.get_mut();
        let mut last = this.last_words.lock();
        while !last.is_empty() {
            match ready!(Pin::new(&mut this.stream).poll_write(cx, &last))? {
                0 => return Poll::Ready(Err(std::io::ErrorKind::WriteZero.into())),
                written => last.advance(written),
            }
        }
        Pin::new(&mut this.stream).poll_shutdown(cx)
    }
}
