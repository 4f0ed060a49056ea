//! A connection that is watched: a peer that sends its request's head too slowly, or takes nothing of its answer, loses
//! it. Hyper times the wait for a head as a whole, idle time included, and writes not at all.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, Bytes};
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep};

use super::refusal;
use super::server::Limits;

/// A stream with its two timers.
pub(super) struct Watched {
    stream: TokioIo<TcpStream>,
    answering: Answering,
    /// Its count at the last look.
    seen: usize,
    head: Timer,
    stall: Timer,
    /// [`Limits::envelopes`].
    envelopes: bool,
    /// What is written instead of what was given, and how much was given.
    instead: Option<(Bytes, usize)>,
}

/// Counts beginnings and ends of answers: while it is odd a request is being answered, and what arrives is no head.
#[derive(Clone, Default)]
pub(super) struct Answering(Arc<AtomicUsize>);

/// Runs from when it is first polled until it is cleared.
struct Timer {
    limit: Duration,
    running: bool,
    // Made once per connection, and only for one that waits at all.
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Watched {
    /// Allows [`Limits::head`] for a request's head from its first octet on, and [`Limits::stall`] without any octet taken.
    pub(super) fn new(stream: TcpStream, answering: Answering, limits: Limits) -> Self {
        let (head, stall) = (Timer::new(limits.head), Timer::new(limits.stall));
        let stream = TokioIo::new(stream);
        Self { stream, answering, seen: 0, head, stall, envelopes: limits.envelopes, instead: None }
    }

    /// Writes what stands instead of the octets that were given.
    fn write_instead(&mut self, cx: &mut Context<'_>) -> Option<Poll<io::Result<usize>>> {
        loop {
            let (rest, given) = self.instead.as_mut()?;
            match ready(Pin::new(&mut self.stream).poll_write(cx, rest)) {
                Some(Ok(written)) if written > 0 && written < rest.len() => rest.advance(written),
                Some(Ok(written)) => {
                    let done = if written > 0 { Ok(*given) } else { Err(io::ErrorKind::WriteZero.into()) };
                    self.instead = None;
                    return Some(Poll::Ready(done));
                }
                Some(Err(error)) => return Some(Poll::Ready(Err(error))),
                None => return Some(Poll::Pending),
            }
        }
    }

    fn written<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        match written {
            Poll::Ready(result) => {
                self.stall.running = false;
                Poll::Ready(result)
            }
            Poll::Pending => self.stall.poll(cx, "the peer takes nothing of its answer").map(Err),
        }
    }
}

fn ready<T>(poll: Poll<T>) -> Option<T> {
    match poll {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}

impl Answering {
    /// Runs a request's answer.
    pub(super) async fn run<T>(self, answer: impl Future<Output = T>) -> T {
        self.0.fetch_add(1, Ordering::Relaxed);
        let answer = answer.await;
        self.0.fetch_add(1, Ordering::Relaxed);
        answer
    }
}

impl Timer {
    fn new(limit: Duration) -> Self {
        Self { limit, running: false, sleep: None }
    }

    fn poll(&mut self, cx: &mut Context<'_>, why: &'static str) -> Poll<io::Error> {
        let limit = self.limit;
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep(limit)));
        if !self.running {
            self.running = true;
            sleep.as_mut().reset(Instant::now() + limit);
        }
        sleep.as_mut().poll(cx).map(|()| io::Error::new(io::ErrorKind::TimedOut, why))
    }
}

impl Read for Watched {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let read = Pin::new(&mut this.stream).poll_read(cx, buffer);
        let count = this.answering.0.load(Ordering::Relaxed);
        if count != this.seen {
            this.seen = count;
            this.head.running = false;
        }
        if count % 2 == 1 {
            return read;
        }
        match read {
            Poll::Ready(Ok(())) if !this.head.running => {
                // The head's first octets: the time runs from here, should they not be all of it.
                this.head.running = true;
                if let Some(sleep) = &mut this.head.sleep {
                    sleep.as_mut().reset(Instant::now() + this.head.limit);
                }
                read
            }
            Poll::Pending if this.head.running => this.head.poll(cx, "the request's head does not arrive").map(Err),
            _ => read,
        }
    }
}

impl Write for Watched {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.instead.is_none()
            && this.envelopes
            && let Some(answer) = refusal::dressed(octets)
        {
            this.instead = Some((answer.into(), octets.len()));
        }
        let written = this.write_instead(cx).unwrap_or_else(|| Pin::new(&mut this.stream).poll_write(cx, octets));
        this.written(cx, written)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        // An answer of hyper's own has no body, and so comes alone.
        if let [alone] = slices {
            return self.poll_write(cx, alone);
        }
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write_vectored(cx, slices);
        this.written(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}
