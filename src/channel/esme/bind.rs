//! The life of one bind: connected, bound, served, and after its end bound again, here or at a backup.
//!
//! A round tries each host once, the primary first, without a pause between them; after a round that failed comes a
//! growing, jittered wait. While a backup serves, the primary is tried now and then, and takes over once it has agreed to
//! bind, before the backup is left.

use std::time::Duration;

use futures_util::future::join;
use ipnet::IpNet;
use serde_json::json;
use smpp::CommandStatus;
use smpp::explain::Refused;
use smpp::session::CloseReason;
use tokio::net::TcpListener;
use tokio::time::Instant;

use super::config::Peer;
use super::link::{Link, Opening};
use super::shared::Shared;
use crate::channel::Intake;
use crate::endpoint::{Endpoint, Stream, tune};
use crate::model::{JsonObject, Level};

/// A bind that held this long was a good one: the next delay is the first again.
const GOOD_BIND: Duration = Duration::from_secs(60);
/// So many binds in a row that were shorter than that are reason to try another host.
const SHORT_BINDS: u32 = 2;
/// Least wait after the SMSC said that we are bound already: the old bind must die first (field guide §2.2).
const ALREADY_BOUND: Duration = Duration::from_secs(30);
/// Least wait after the SMSC refused who we are, and the longest: SMSCs lock accounts that keep trying, and yet the
/// mistake may be mended on their side.
const REFUSED: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(900));

/// How a connection came to its end.
struct End {
    why: Why,
    /// For how long it was bound.
    held: Duration,
}

enum Why {
    /// It was never made.
    Unreachable(String),
    Closed(CloseReason),
}

/// See the file's head.
pub(super) struct BindLife<'a, I> {
    shared: &'a Shared<I>,
    number: usize,
    delay: Duration,
    /// By rank of the host: those that refused us and are left alone for a while.
    blocks: Vec<Block>,
    /// Binds in a row that did not last.
    short: u32,
}

/// A host that refused us.
#[derive(Clone, Copy, Debug, Default)]
struct Block {
    /// How often it has refused who we are, one time after another.
    refusals: u32,
    until: Option<Instant>,
}

impl Block {
    /// For how long it is to be left alone.
    fn left(&self) -> Duration {
        self.until.map(|until| until.saturating_duration_since(Instant::now())).unwrap_or_default()
    }

    /// Takes note of how a connection ended.
    fn ended(&mut self, end: &End) {
        let refused = match &end.why {
            Why::Closed(CloseReason::BindRefused(status)) => Some(*status),
            _ => None,
        };
        if !end.held.is_zero() {
            self.refusals = 0;
        }
        let least = match refused {
            Some(CommandStatus::ESME_RALYBND) => ALREADY_BOUND,
            Some(status) if names_us(status) => {
                self.refusals = self.refusals.saturating_add(1);
                REFUSED.0.saturating_mul(2_u32.saturating_pow(self.refusals - 1)).min(REFUSED.1)
            }
            _ => Duration::ZERO,
        };
        self.until = (!least.is_zero()).then(|| Instant::now() + jittered(least));
    }
}

/// Give or take a fifth, so that many channels do not come back all at once.
fn jittered(wait: Duration) -> Duration {
    wait.mul_f64(0.8 + 0.4 * fastrand::f64())
}

impl<'a, I: Intake> BindLife<'a, I> {
    pub(super) fn new(shared: &'a Shared<I>, number: usize) -> Self {
        Self { shared, number, delay: shared.config.session.initial_reconnect_delay, blocks: Vec::new(), short: 0 }
    }

    /// Holds the bind until the channel's stop.
    pub(super) async fn hold(mut self) {
        let Some(plan) = self.shared.config.session.binds.get(self.number) else { return };
        self.shared.tell(self.number, Level::Down, "starting", "Starting").await;
        match &plan.peer {
            Peer::Connect(hosts) => self.hold_connected(hosts).await,
            Peer::Outbind { listen, from } => self.hold_outbound(*listen, from).await,
        }
    }

    async fn hold_connected(&mut self, hosts: &[Endpoint]) {
        self.blocks = vec![Block::default(); hosts.len()];
        while !self.stopped() {
            let mut wait = self.blocked();
            let open: Vec<_> =
                hosts.iter().enumerate().filter(|(rank, _)| self.blocks[*rank].left().is_zero()).collect();
            for (place, (rank, host)) in open.iter().enumerate() {
                let end = self.attempt(hosts, *rank, host).await;
                if self.stopped() {
                    break;
                }
                let agreed = !end.held.is_zero();
                self.short = if agreed && end.held < GOOD_BIND { self.short + 1 } else { 0 };
                // A host that had agreed is tried again before the next one, unless it does not hold to it.
                let last = place + 1 == open.len() || (agreed && self.short < SHORT_BINDS);
                wait = self.ended(*rank, end, last).await;
                if last {
                    break;
                }
            }
            self.pause(wait).await;
        }
    }

    /// For how long every host is to be left alone.
    fn blocked(&self) -> Duration {
        self.blocks.iter().map(Block::left).min().unwrap_or_default()
    }

    fn stopped(&self) -> bool {
        self.shared.setup.stop.is_cancelled()
    }

    async fn pause(&self, wait: Duration) {
        if self.stopped() {
            return;
        }
        self.shared.setup.log.info(format!("next attempt to bind in {:.1} s", wait.as_secs_f64()));
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = self.shared.setup.stop.cancelled() => {}
        }
    }

    /// One connection from its first packet to its last.
    async fn attempt(&mut self, hosts: &[Endpoint], rank: usize, host: &Endpoint) -> End {
        let link = match self.connect(host, false).await {
            Ok(link) => link,
            Err(end) => return end,
        };
        let begun = Instant::now();
        let retire = self.shared.setup.stop.child_token();
        let why = match hosts.first().filter(|_| rank > 0) {
            None => link.serve(&retire).await,
            Some(primary) => {
                let warning = format!("bound to the backup {host}; {primary} does not answer");
                self.shared.setup.log.warn(warning);
                self.serve_backup(link, primary).await
            }
        };
        End { why: Why::Closed(why), held: begun.elapsed() }
    }

    /// A link that is bound; `aside` while another serves.
    async fn connect(&self, host: &Endpoint, aside: bool) -> Result<Link<'a, I>, End> {
        let failed = |why| End { why, held: Duration::ZERO };
        let connected = tokio::select! {
            connected = host.connect() => connected,
            () = self.shared.setup.stop.cancelled() => return Err(failed(Why::Closed(CloseReason::Unbound))),
        };
        let stream =
            connected.map_err(|error| failed(Why::Unreachable(format!("Connecting to {host} failed: {error}"))))?;
        let link = self.link(host.to_string(), stream);
        let mut link = if aside { link.aside() } else { link };
        link.open(Opening::Bind).await.map_err(|why| failed(Why::Closed(why)))?;
        Ok(link)
    }

    fn link(&self, peer: String, stream: Stream) -> Link<'a, I> {
        let mode = self.shared.config.session.binds[self.number].mode;
        Link::new(self.shared, self.number, mode, peer, stream)
    }

    /// Serves a backup until it ends or the primary has taken over, and then that.
    async fn serve_backup(&mut self, backup: Link<'a, I>, primary: &Endpoint) -> CloseReason {
        let retire = self.shared.setup.stop.child_token();
        let serving = backup.serve(&retire);
        tokio::pin!(serving);
        loop {
            let wait = self.shared.config.session.failback_interval.max(self.blocks[0].left());
            tokio::select! {
                why = &mut serving => return why,
                () = tokio::time::sleep(wait) => {}
            }
            let bound = tokio::select! {
                why = &mut serving => return why,
                bound = self.connect(primary, true) => bound,
            };
            match bound {
                Ok(link) => {
                    self.shared.setup.log.info(format!("{primary} answers again; the backup is left"));
                    self.blocks[0] = Block::default();
                    retire.cancel();
                    let stop = self.shared.setup.stop.child_token();
                    let (_, why) = join(serving, link.serve(&stop)).await;
                    return why;
                }
                Err(end) => {
                    self.blocks[0].ended(&end);
                    // The bind's status is the backup's.
                    let why = match end.why {
                        Why::Unreachable(message) => message,
                        Why::Closed(CloseReason::BindRefused(status)) => {
                            format!("Bind failed: {}", self.shared.config.results.say(status, Refused::Bind))
                        }
                        Why::Closed(why) => why.to_string(),
                    };
                    self.shared.setup.log.warn(format!("{primary} cannot take over from its backup yet: {why}"));
                }
            }
        }
    }

    /// Tells why a connection ended, and says how long to wait if there is nothing else to try.
    async fn ended(&mut self, rank: usize, end: End, last: bool) -> Duration {
        let session = &self.shared.config.session;
        if end.held >= GOOD_BIND {
            self.delay = session.initial_reconnect_delay;
        }
        if let Some(block) = self.blocks.get_mut(rank) {
            block.ended(&end);
        }
        let wait = jittered(self.delay).max(self.blocked());
        if last {
            self.delay = (self.delay * 2).min(session.max_reconnect_delay.max(session.initial_reconnect_delay));
        }
        self.tell_end(&end.why, last.then_some(wait)).await;
        wait
    }

    async fn tell_end(&self, why: &Why, next: Option<Duration>) {
        let mut details = JsonObject::new();
        if let Some(next) = next {
            details.insert("next_attempt_in".to_owned(), json!((next.as_secs_f64() * 10.0).round() / 10.0));
        }
        let why = match why {
            Why::Unreachable(message) => {
                return self.shared.report(self.number, Level::Down, "connect_failed", message.clone(), details).await;
            }
            Why::Closed(why) => why,
        };
        match why {
            CloseReason::BindRefused(status) => {
                let message = format!("Bind failed: {status:#}");
                details.extend(self.shared.config.results.explain(*status, Refused::Bind));
                let said = self.shared.config.results.say(*status, Refused::Bind);
                self.shared.setup.log.error(format!("the bind was refused: {said}"));
                self.shared.report(self.number, Level::Down, "bind_failed", message, details.clone()).await;
            }
            CloseReason::BindTimeout => {
                self.shared.tell(self.number, Level::Down, "bind_timeout", "Timed out awaiting bind").await;
            }
            _ => {}
        }
        self.shared.report(self.number, Level::Down, "connection_lost", lost(why).to_owned(), details).await;
    }

    /// Waits for the SMSC to connect and to ask for a bind (§2.2.1).
    async fn hold_outbound(&mut self, listen: std::net::SocketAddr, from: &[IpNet]) {
        while !self.stopped() {
            let listener = match TcpListener::bind(listen).await {
                Ok(listener) => listener,
                Err(error) => {
                    let why = format!("Listening on {listen} for outbind failed: {error}");
                    self.failed(why).await;
                    continue;
                }
            };
            let message = format!("Waiting for outbind on {listen}");
            self.shared.report(self.number, Level::Down, "connecting", message, JsonObject::new()).await;
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = self.shared.setup.stop.cancelled() => return,
            };
            // While this connection is served others are refused by the operating system.
            drop(listener);
            let (stream, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    self.failed(format!("Accepting a connection on {listen} for outbind failed: {error}")).await;
                    continue;
                }
            };
            if !from.iter().any(|network| network.contains(&peer.ip().to_canonical())) {
                self.shared
                    .setup
                    .log
                    .warn(format!("a connection from {peer} was closed: outbind_from does not name it"));
                continue;
            }
            if let Err(error) = tune(&stream) {
                self.shared.setup.log.warn(format!("the connection from {peer} was lost: {error}"));
                continue;
            }
            let begun = Instant::now();
            let mut link = self.link(peer.to_string(), Stream::Tcp(stream));
            let why = match link.open(Opening::Outbind).await {
                Ok(()) => link.serve(&self.shared.setup.stop.child_token()).await,
                Err(why) => why,
            };
            if !self.stopped() {
                self.ended(0, End { why: Why::Closed(why), held: begun.elapsed() }, false).await;
            }
        }
    }

    /// Tells that the SMSC could not reach us, and waits.
    async fn failed(&mut self, why: String) {
        let wait = self.ended(0, End { why: Why::Unreachable(why), held: Duration::ZERO }, true).await;
        self.pause(wait).await;
    }
}

/// Whether a bind was refused for who we are.
fn names_us(status: CommandStatus) -> bool {
    matches!(
        status,
        CommandStatus::ESME_RBINDFAIL
            | CommandStatus::ESME_RINVPASWD
            | CommandStatus::ESME_RINVSYSID
            | CommandStatus::ESME_RINVSYSTYP
    )
}

/// Vumi's two sentences, where they fit, so that whoever matches them goes on matching.
fn lost(why: &CloseReason) -> &'static str {
    match why {
        CloseReason::ConnectionLost => "Connection to the other side was lost in a non-clean fashion: Connection lost.",
        CloseReason::Silent => "The SMSC stopped answering enquire_link.",
        CloseReason::Framing(_) => "The SMSC sent octets that are no SMPP; the connection was closed.",
        _ => "Connection was closed cleanly.",
    }
}
