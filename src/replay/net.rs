//! A player on a connection: bind or be bound to, play, unbind.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use smpp::net::{Direction, Driver};
use smpp::session::{CloseReason, Role, SendError, Session, SessionConfig};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;

use super::compare::Difference;
use super::ids::Ids;
use super::pace::Pace;
use super::plan::Plan;
use super::player::Player;
use super::summary::Summary;
use crate::endpoint::{ConnectError, Endpoint};

/// How to play.
#[derive(Clone, Debug)]
pub struct Options {
    /// How fast.
    pub pace: Pace,
    /// Most requests that wait for an answer at once; as many as in the recording when `None`, ten where that does not
    /// tell.
    pub window: Option<NonZeroUsize>,
    /// How long to wait for an answer, and for requests of the other side that the recording has.
    pub patience: Duration,
}

/// Why a replay failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReplayError {
    /// There is nobody to talk to.
    #[error("the SMSC cannot be connected to: {0}")]
    Connect(#[from] ConnectError),
    /// The address cannot be listened on, or connections not be accepted.
    #[error("no connection can be accepted: {0}")]
    Accept(#[from] std::io::Error),
    /// The SMSC did not take the bind that the recording's took.
    #[error("conversation {conversation} could not be bound: {why}")]
    NotBound {
        /// Its number in the capture, from 1.
        conversation: usize,
        /// Why the session ended.
        why: CloseReason,
    },
    /// The session did not take a command that every fresh session takes.
    #[error("the session could not begin: {0}")]
    Session(#[from] SendError),
}

/// Window where neither the caller nor the recording tells one.
const DEFAULT_WINDOW: NonZeroUsize = NonZeroUsize::new(10).expect("ten is not zero");

/// Plays the ESME's part against an SMSC.
///
/// # Errors
/// [`ReplayError`] when it could not begin; how far it differs is no error.
pub async fn as_esme(
    plan: Plan,
    smsc: &Endpoint,
    options: &Options,
    ids: Arc<Mutex<Ids>>,
    found: impl FnMut(Difference),
) -> Result<Summary, ReplayError> {
    let stream = smsc.connect().await?;
    let (mode, bind, number, refused) = (plan.mode, plan.bind.clone(), plan.conversation, plan.refused());
    let mut play = Play::new(stream, plan, options, ids);
    let now = play.driver.now();
    play.driver.session.bind(now, mode, bind)?;
    let why = play.run(found).await;
    match why {
        _ if play.player.started() => Ok(play.player.summary()),
        CloseReason::BindRefused(_) if refused.is_some() => Ok(play.player.summary()),
        why => Err(ReplayError::NotBound { conversation: number, why }),
    }
}

/// Plays the SMSC's part to the first ESME that binds, or asks to where the recording refuses that.
///
/// # Errors
/// [`ReplayError`] when no connection can be accepted.
pub async fn as_smsc(
    plan: Plan,
    listener: &TcpListener,
    options: &Options,
    ids: Arc<Mutex<Ids>>,
    mut found: impl FnMut(Difference),
) -> Result<Summary, ReplayError> {
    // Each connection has a player of its own; one that does not bind, a port scan's for instance, is none.
    loop {
        let (stream, _) = listener.accept().await?;
        crate::endpoint::tune(&stream)?;
        let mut play = Play::new(stream, plan.clone(), options, ids.clone());
        play.run(&mut found).await;
        if play.begun() {
            return Ok(play.player.summary());
        }
    }
}

type Tap = fn(Direction, &[u8]);

struct Play<S> {
    driver: Driver<S, usize, Tap>,
    player: Player,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Play<S> {
    fn new(stream: S, plan: Plan, options: &Options, ids: Arc<Mutex<Ids>>) -> Self {
        let now = tokio::time::Instant::now().into_std();
        let session = Session::new(session_config(&plan, options), now);
        let player = Player::new(plan, options.pace, options.patience, ids, now);
        Self { driver: Driver::new(stream, session, smpp::raw::DEFAULT_MAX_PDU_LEN, |_, _| {}), player }
    }

    /// Whether it came to a bind, or to the refusal that the recording has.
    fn begun(&self) -> bool {
        self.player.started() || self.player.plan().refused().is_some()
    }

    async fn run(&mut self, mut found: impl FnMut(Difference)) -> CloseReason {
        let why = loop {
            let now = self.driver.now();
            self.player.drive(now, &mut self.driver.session);
            while let Some(difference) = self.player.difference() {
                if self.begun() {
                    found(difference);
                }
            }
            if let Some(why) = self.player.closed() {
                break why;
            }
            let wake = self.player.wake();
            tokio::select! {
                event = self.driver.event() => {
                    let now = self.driver.now();
                    self.player.handle(now, &mut self.driver.session, event);
                    // The rest of what one read brought.
                    while let Some(event) = self.driver.session.poll_event() {
                        self.player.handle(now, &mut self.driver.session, event);
                    }
                }
                () = sleep_until(wake), if wake.is_some() => {}
            }
        };
        self.driver.finish().await;
        why
    }
}

/// The session that a plan is played on.
#[must_use]
pub fn session_config(plan: &Plan, options: &Options) -> SessionConfig {
    let recorded = plan.peak.and_then(NonZeroUsize::new);
    let mut config = SessionConfig {
        role: plan.role,
        window: options.window.or(recorded).unwrap_or(DEFAULT_WINDOW),
        response_timeout: options.patience,
        // What the recording does not answer stays unanswered for good.
        max_unanswered: NonZeroUsize::MAX,
        ..SessionConfig::default()
    };
    if plan.role == Role::Esme {
        config.bind_timeout = options.patience;
    }
    config
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}
