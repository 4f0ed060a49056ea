//! The loop that joins a [`Session`] to a stream: read, write, wake on time.
//!
//! Everything that a batch of events makes the caller send leaves in one write. A peer that does not read what we
//! write is not read from either, so nothing piles up.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::time::Sleep;
use tokio_util::io::poll_read_buf;

use crate::error::FrameError;
use crate::raw::RawPdu;
use crate::session::{Event, Session, State};

/// Which way octets went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the peer.
    Received,
    /// To the peer.
    Sent,
}

/// A session on a stream. All methods are cancel-safe.
pub struct Driver<S, T, F> {
    stream: S,
    /// The session; give it commands, then call [`Driver::event`] to have them written.
    pub session: Session<T>,
    max_pdu_len: usize,
    received: BytesMut,
    /// When the rest of a PDU of which the beginning has come must be there.
    incomplete: Option<Instant>,
    sending: Bytes,
    /// The stream may hold back what it was given, as TLS does while the socket is full.
    unflushed: bool,
    sleep: Option<Pin<Box<Sleep>>>,
    tap: F,
}

/// Room made for each read, in octets.
const READ_SIZE: usize = 16 * 1024;
/// Unwritten octets above which nothing more is read.
const WRITE_BACKLOG: usize = 256 * 1024;
/// How long a closing session may take to write its last octets.
const LAST_WRITE: Duration = Duration::from_secs(2);

impl<S, T, F> Driver<S, T, F>
where
    S: AsyncRead + AsyncWrite + Unpin,
    F: FnMut(Direction, &[u8]),
{
    /// Joins a session to a stream. `tap` sees whole PDUs, one or more at a time, as octets on the wire.
    pub fn new(stream: S, session: Session<T>, max_pdu_len: usize, tap: F) -> Self {
        Self {
            stream,
            session,
            max_pdu_len,
            received: BytesMut::new(),
            incomplete: None,
            sending: Bytes::new(),
            unflushed: false,
            sleep: None,
            tap,
        }
    }

    /// The present instant, on the clock that the driver uses.
    #[must_use]
    pub fn now(&self) -> Instant {
        tokio::time::Instant::now().into_std()
    }

    /// The next event. After [`Event::Closed`] there is none: call [`Driver::finish`].
    pub async fn event(&mut self) -> Event<T> {
        poll_fn(|cx| self.poll_event(cx)).await
    }

    /// Writes what is left and closes the stream, within two seconds.
    pub async fn finish(&mut self) {
        let last = async {
            while self.refill() {
                if self.stream.write_all_buf(&mut self.sending).await.is_err() {
                    return;
                }
            }
            // The peer may be gone already; there is nobody left to tell.
            let _ = self.stream.shutdown().await;
        };
        let _ = tokio::time::timeout(LAST_WRITE, last).await;
    }

    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Event<T>> {
        loop {
            if let Some(event) = self.session.poll_event() {
                return Poll::Ready(event);
            }
            if self.session.state() == State::Closed {
                return Poll::Pending;
            }
            let wrote = self.poll_write(cx);
            let unwritten = self.sending.len() + self.session.untransmitted();
            let read = unwritten < WRITE_BACKLOG && self.poll_read(cx);
            // What has arrived counts before what is late: an answer that waits to be read is no time-out.
            let ticked = !read && self.poll_sleep(cx);
            if !(wrote || read || ticked) {
                return Poll::Pending;
            }
        }
    }

    /// Takes what the session wants written; whether there is anything to write.
    fn refill(&mut self) -> bool {
        if self.sending.is_empty()
            && let Some(octets) = self.session.poll_transmit()
        {
            (self.tap)(Direction::Sent, &octets);
            self.sending = octets;
        }
        !self.sending.is_empty()
    }

    fn poll_write(&mut self, cx: &mut Context<'_>) -> bool {
        let mut progress = false;
        while self.refill() {
            match Pin::new(&mut self.stream).poll_write(cx, &self.sending) {
                Poll::Pending => break,
                Poll::Ready(Ok(written)) if written > 0 => {
                    self.sending.advance(written);
                    self.unflushed = true;
                }
                Poll::Ready(_) => {
                    self.sending.clear();
                    self.session.handle_close();
                }
            }
            progress = true;
        }
        progress || self.poll_flush(cx)
    }

    /// Whether the session was told of an error.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> bool {
        if !self.unflushed {
            return false;
        }
        match Pin::new(&mut self.stream).poll_flush(cx) {
            Poll::Pending => false,
            Poll::Ready(flushed) => {
                self.unflushed = false;
                if flushed.is_err() {
                    self.session.handle_close();
                }
                flushed.is_err()
            }
        }
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> bool {
        self.received.reserve(READ_SIZE);
        match poll_read_buf(Pin::new(&mut self.stream), cx, &mut self.received) {
            Poll::Pending => return false,
            Poll::Ready(Ok(read)) if read > 0 => self.handle_received(),
            Poll::Ready(_) => self.session.handle_close(),
        }
        true
    }

    fn handle_received(&mut self) {
        let now = self.now();
        let whole = whole_pdus(&self.received);
        if whole > 0 {
            (self.tap)(Direction::Received, &self.received[..whole]);
        }
        loop {
            match RawPdu::split(&mut self.received, self.max_pdu_len) {
                Ok(Some(raw)) => self.session.handle_pdu(now, raw),
                Ok(None) => break,
                Err(error) => {
                    self.received.clear();
                    self.incomplete = None;
                    return self.session.handle_frame_error(error);
                }
            }
        }
        let begun = (!self.received.is_empty()).then(|| now + self.session.pdu_read_timeout());
        // More of the same PDU does not buy it more time.
        self.incomplete = if whole == 0 { self.incomplete.or(begun) } else { begun };
    }

    fn poll_sleep(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(at) = self.session.poll_timeout().into_iter().chain(self.incomplete).min() else { return false };
        let at = tokio::time::Instant::from_std(at);
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(at)));
        // A sleep that ends too early costs one idle wake; moving it for each PDU would cost more.
        if at < sleep.deadline() || sleep.is_elapsed() {
            sleep.as_mut().reset(at);
        }
        if sleep.as_mut().poll(cx).is_pending() {
            return false;
        }
        let now = self.now();
        if self.incomplete.is_some_and(|at| at <= now) {
            self.incomplete = None;
            self.session.handle_frame_error(FrameError::Stalled { have: self.received.len() });
        }
        self.session.handle_timeout(now);
        true
    }
}

/// How many octets at the front are complete PDUs.
fn whole_pdus(octets: &[u8]) -> usize {
    let mut whole = 0;
    while let Some(length) = octets.get(whole..).and_then(<[u8]>::first_chunk::<4>) {
        let end = whole.saturating_add(usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX));
        if end < whole + crate::raw::HEADER_LEN || end > octets.len() {
            break;
        }
        whole = end;
    }
    whole
}
