//! Two engines face to face over a simulated link, in virtual time: no sockets, no clock, no sleeping.
//!
//! A link delays, splits and is cut; a seed makes all of it repeatable.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::BytesMut;

use crate::raw::{DEFAULT_MAX_PDU_LEN, RawPdu};
use crate::session::{Event, Role, Session, SessionConfig, State};

/// How octets travel.
#[derive(Clone, Copy, Debug)]
pub struct Link {
    /// From one end to the other.
    pub latency: Duration,
    /// Octets arrive in pieces of at most this many; zero is all at once.
    pub split: usize,
}

impl Default for Link {
    fn default() -> Self {
        Self { latency: Duration::from_millis(10), split: 0 }
    }
}

/// Which end of a [`Pair`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The ESME.
    Esme,
    /// The SMSC.
    Smsc,
}

/// An ESME and an SMSC on one link. `T` is the token of both.
#[derive(Debug)]
pub struct Pair<T> {
    /// The ESME's session.
    pub esme: Session<T>,
    /// The SMSC's session.
    pub smsc: Session<T>,
    /// The present instant of both.
    pub now: Instant,
    link: Link,
    /// On its way: when it arrives, and what.
    to_esme: VecDeque<(Instant, Vec<u8>)>,
    to_smsc: VecDeque<(Instant, Vec<u8>)>,
    esme_received: BytesMut,
    smsc_received: BytesMut,
    cut: bool,
}

impl<T> Pair<T> {
    /// Two fresh sessions on a link.
    #[must_use]
    pub fn new(esme: SessionConfig, smsc: SessionConfig, link: Link) -> Self {
        let now = Instant::now();
        Self {
            esme: Session::new(SessionConfig { role: Role::Esme, ..esme }, now),
            smsc: Session::new(SessionConfig { role: Role::Smsc, ..smsc }, now),
            now,
            link,
            to_esme: VecDeque::new(),
            to_smsc: VecDeque::new(),
            esme_received: BytesMut::new(),
            smsc_received: BytesMut::new(),
            cut: false,
        }
    }

    /// The session of one end.
    pub fn end(&mut self, end: End) -> &mut Session<T> {
        match end {
            End::Esme => &mut self.esme,
            End::Smsc => &mut self.smsc,
        }
    }

    /// Breaks the link: what is on its way is lost, both ends see the stream end.
    pub fn cut(&mut self) {
        self.cut = true;
        self.to_esme.clear();
        self.to_smsc.clear();
        self.esme.handle_close();
        self.smsc.handle_close();
    }

    /// Puts octets on the wire towards one end, as a peer that is none of ours might.
    pub fn inject(&mut self, to: End, octets: &[u8]) {
        let arrives = self.now + self.link.latency;
        match to {
            End::Esme => self.to_esme.push_back((arrives, octets.to_vec())),
            End::Smsc => self.to_smsc.push_back((arrives, octets.to_vec())),
        }
    }

    /// Lets the next thing happen: octets arrive or a timer ends. Returns the events it causes; `None` when nothing
    /// will ever happen again by itself.
    pub fn step(&mut self) -> Option<Vec<(End, Event<T>)>> {
        self.step_until(None)
    }

    /// The same, but time goes no further than `wake`, when the caller wants to do something.
    pub fn step_until(&mut self, wake: Option<Instant>) -> Option<Vec<(End, Event<T>)>> {
        self.transmit();
        let mut events = self.events();
        if !events.is_empty() {
            return Some(events);
        }
        let arrivals = [self.to_esme.front(), self.to_smsc.front()].into_iter().flatten().map(|(at, _)| *at);
        let timers = [self.esme.poll_timeout(), self.smsc.poll_timeout()].into_iter().flatten();
        let next = arrivals.chain(timers).chain(wake).min()?;
        self.now = self.now.max(next);
        self.arrive();
        for session in [&mut self.esme, &mut self.smsc] {
            if session.poll_timeout().is_some_and(|at| at <= self.now) {
                session.handle_timeout(self.now);
            }
        }
        self.transmit();
        events.extend(self.events());
        Some(events)
    }

    /// Steps until `found` finds something among the events.
    ///
    /// # Panics
    /// When nothing happens any more, or after a hundred thousand steps.
    pub fn until<R>(&mut self, mut found: impl FnMut(End, Event<T>) -> Option<R>) -> R {
        for _ in 0..100_000 {
            let events = self.step().expect("something is still to happen");
            for (end, event) in events {
                if let Some(result) = found(end, event) {
                    return result;
                }
            }
        }
        panic!("it never happened");
    }

    fn events(&mut self) -> Vec<(End, Event<T>)> {
        let mut events = Vec::new();
        while let Some(event) = self.esme.poll_event() {
            events.push((End::Esme, event));
        }
        while let Some(event) = self.smsc.poll_event() {
            events.push((End::Smsc, event));
        }
        events
    }

    fn transmit(&mut self) {
        let arrives = self.now + self.link.latency;
        for (session, queue) in [(&mut self.esme, &mut self.to_smsc), (&mut self.smsc, &mut self.to_esme)] {
            while let Some(octets) = session.poll_transmit() {
                if self.cut {
                    continue;
                }
                let piece = if self.link.split == 0 { octets.len() } else { self.link.split };
                queue.extend(octets.chunks(piece.max(1)).map(|chunk| (arrives, chunk.to_vec())));
            }
        }
    }

    fn arrive(&mut self) {
        let now = self.now;
        let ends = [
            (&mut self.esme, &mut self.to_esme, &mut self.esme_received),
            (&mut self.smsc, &mut self.to_smsc, &mut self.smsc_received),
        ];
        for (session, queue, received) in ends {
            while let Some((_, octets)) = queue.pop_front_if(|(at, _)| *at <= now) {
                received.extend_from_slice(&octets);
                while session.state() != State::Closed {
                    match RawPdu::split(received, DEFAULT_MAX_PDU_LEN) {
                        Ok(Some(raw)) => session.handle_pdu(now, raw),
                        Ok(None) => break,
                        Err(error) => session.handle_frame_error(error),
                    }
                }
            }
        }
    }
}
