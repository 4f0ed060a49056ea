//! A session held against the simulated SMSC for an hour of virtual time, a thousand times: cuts, throttles, delays,
//! answers that never come, restarts of either side. Nothing is lost, and what is sent twice is bounded.
//!
//! A failure names its seed; `HOURS_SEED=n cargo test --test hours` repeats that hour alone.
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use maybug::smsc::{SessionHabits, SimEvent, Simulator, SimulatorConfig};
use smpp::net::Driver;
use smpp::pdu::{Bind, BindMode, DeliverSmResp, SubmitSm};
use smpp::session::{Event, Ready, Session, SessionConfig};
use smpp::{Address, CommandStatus, Pdu, RegisteredDelivery, ShortMessage, StatusClass};
use tokio::io::DuplexStream;
use tokio::sync::broadcast;
use tokio::time::Instant;

const WINDOW: usize = 10;
const HOUR: Duration = Duration::from_secs(3600);
/// Time after the hour in which what is left is finished in peace.
const PEACE: Duration = Duration::from_secs(1800);

type Wire = Driver<DuplexStream, u32, fn(smpp::net::Direction, &[u8])>;

/// What an ESME keeps whatever happens to it: what must still be sent, what was taken, whose receipts came.
#[derive(Default)]
struct Ledger {
    again: VecDeque<u32>,
    fresh: VecDeque<u32>,
    /// The SMSC's ids, by message.
    taken: BTreeMap<u32, String>,
    receipts: BTreeSet<String>,
    /// Requests whose fate nobody knew, over all connections.
    unknown: usize,
}

impl Ledger {
    fn next(&mut self) -> Option<u32> {
        self.again.pop_front().or_else(|| self.fresh.pop_front())
    }

    fn put_back(&mut self, messages: impl DoubleEndedIterator<Item = u32>) {
        messages.rev().for_each(|message| self.again.push_front(message));
    }
}

fn submit(message: u32) -> Pdu {
    SubmitSm {
        destination: Address { digits: "27820001001".try_into().unwrap(), ..Address::default() },
        registered_delivery: RegisteredDelivery::RECEIPT,
        short_message: ShortMessage::new(message.to_string().into_bytes()).unwrap(),
        ..SubmitSm::default()
    }
    .into()
}

/// How a connection of the ESME's ended.
#[derive(PartialEq)]
enum End {
    Closed,
    /// Time is up, for the connection or for good.
    Over,
}

struct Esme<'a> {
    ledger: &'a mut Ledger,
    driver: Wire,
}

impl<'a> Esme<'a> {
    fn connect(simulator: &Simulator, ledger: &'a mut Ledger) -> Self {
        let (ours, theirs) = tokio::io::duplex(4 * 1024);
        simulator.attach(theirs);
        let config = SessionConfig {
            window: NonZeroUsize::new(WINDOW).unwrap(),
            response_timeout: Duration::from_secs(20),
            ..SessionConfig::default()
        };
        let session = Session::new(config, Instant::now().into_std());
        Self { ledger, driver: Driver::new(ours, session, 70_000, |_, _| {}) }
    }

    /// Binds and sends until the connection ends or `until` comes; then the process "dies".
    async fn run(mut self, until: Instant) -> End {
        let now = self.driver.now();
        self.driver.session.bind(now, BindMode::Transceiver, Bind::default()).unwrap();
        loop {
            let wait = self.send();
            let event = tokio::select! {
                event = self.driver.event() => event,
                () = tokio::time::sleep_until(wait.unwrap_or(until).min(until)) => {
                    if Instant::now() < until {
                        continue;
                    }
                    // Killed: what the window held is unknown, and is sent again by the next life.
                    self.driver.session.handle_close();
                    while let Some(event) = self.driver.session.poll_event() {
                        self.handle(event);
                    }
                    return End::Over;
                }
            };
            if self.handle(event) {
                self.driver.finish().await;
                return End::Closed;
            }
        }
    }

    /// Sends what may be sent; when to look again.
    fn send(&mut self) -> Option<Instant> {
        loop {
            let now = self.driver.now();
            match self.driver.session.ready(now) {
                Ready::Now(room) => {
                    for _ in 0..room {
                        let message = self.ledger.next()?;
                        self.driver.session.request(now, &submit(message), message).unwrap();
                    }
                }
                Ready::At(at) => return Some(at.into()),
                Ready::WindowFull | Ready::NotBound => return None,
            }
        }
    }

    /// Whether the session is over.
    fn handle(&mut self, event: Event<u32>) -> bool {
        match event {
            Event::Response { token, status, pdu, .. } => match status.class() {
                StatusClass::Ok => {
                    let Pdu::SubmitSmResp(response) = pdu else { panic!("{pdu:?}") };
                    self.ledger.taken.insert(token, response.message_id.to_text());
                }
                _ => self.ledger.put_back(std::iter::once(token)),
            },
            Event::Expired { token } => {
                self.ledger.unknown += 1;
                self.ledger.put_back(std::iter::once(token));
            }
            Event::Request { sequence, pdu: Pdu::DeliverSm(receipt) } => {
                let text = receipt.short_message.octets().clone();
                let receipt =
                    smpp::receipt::Receipt::parse(&receipt.tlvs, std::str::from_utf8(&text).unwrap()).unwrap();
                self.ledger.receipts.insert(receipt.smsc_message_id);
                let now = self.driver.now();
                let answer = DeliverSmResp::default().into();
                self.driver.session.respond(now, sequence, CommandStatus::ESME_ROK, &answer).unwrap();
            }
            Event::Closed { outstanding, .. } => {
                self.ledger.unknown += outstanding.len();
                self.ledger.put_back(outstanding.into_iter());
                return true;
            }
            _ => {}
        }
        false
    }
}

fn weather(rng: &mut Rng, seed: u64) -> SimulatorConfig {
    let mut some = |share: f64, value: f64| if rng.f64() < share { value } else { 0.0 };
    let (cut_rate, no_response) = (some(0.5, 0.002), some(0.5, 0.003));
    let delay = Duration::from_millis(rng.u64(0..3_000));
    SimulatorConfig {
        seed: Some(seed),
        no_response,
        response_delay: maybug::smsc::Span { min: Duration::ZERO, max: delay },
        receipt_delay: maybug::smsc::Span { min: Duration::ZERO, max: Duration::from_secs(rng.u64(0..300)) },
        throttle: (rng.f64() < 0.4).then(|| rng.u32(1..20)),
        session: SessionHabits {
            cut_rate,
            cut_every: (rng.f64() < 0.3).then(|| Duration::from_secs(rng.u64(30..600))),
            ignore_enquire_link: rng.f64() < 0.1,
            cut_mid_pdu: rng.bool(),
            unbind_every: (rng.f64() < 0.2).then(|| Duration::from_secs(rng.u64(60..900))),
            ..SessionHabits::default()
        },
        ..SimulatorConfig::default()
    }
}

/// Copies of each message that simulators took.
#[derive(Default)]
struct Taken(BTreeMap<u32, usize>);

impl Taken {
    fn read(&mut self, events: &mut broadcast::Receiver<Arc<SimEvent>>) {
        loop {
            match events.try_recv() {
                Ok(event) => {
                    if let SimEvent::Message { id: Some(_), text, .. } = &*event {
                        *self.0.entry(text.parse().unwrap()).or_default() += 1;
                    }
                }
                Err(broadcast::error::TryRecvError::Lagged(missed)) => panic!("{missed} events were missed"),
                Err(_) => return,
            }
        }
    }
}

async fn hour(seed: u64) {
    let mut rng = Rng::with_seed(seed);
    let messages = rng.u32(20..400);
    let mut ledger = Ledger { fresh: (0..messages).collect(), ..Ledger::default() };
    let mut taken = Taken::default();
    // Receipts die with the SMSC that owes them; only those of the last one can be counted on.
    let mut before: BTreeSet<u32> = BTreeSet::new();
    let listen = ([127, 0, 0, 1], 0).into();
    let mut simulator = Simulator::start(listen, weather(&mut rng, seed)).await.unwrap();
    let mut events = simulator.events();
    let begun = Instant::now();
    while begun.elapsed() < HOUR {
        let life = Instant::now() + Duration::from_secs(rng.u64(1..900));
        let end = Esme::connect(&simulator, &mut ledger).run(life.min(begun + HOUR)).await;
        if end == End::Over && rng.bool() {
            // The SMSC restarts as well, under other weather.
            taken.read(&mut events);
            before = ledger.taken.keys().copied().collect();
            before.extend(taken.0.keys());
            simulator = Simulator::start(listen, weather(&mut rng, seed)).await.unwrap();
            events = simulator.events();
        }
        tokio::time::sleep(Duration::from_millis(rng.u64(0..5_000))).await;
    }
    simulator.reconfigure(|config| {
        *config = SimulatorConfig { seed: config.seed, receipt_delay: config.receipt_delay, ..Default::default() };
    });
    let peace = Instant::now() + PEACE;
    while Instant::now() < peace {
        Esme::connect(&simulator, &mut ledger).run(peace).await;
    }
    taken.read(&mut events);
    let lost: Vec<u32> = (0..messages).filter(|message| !ledger.taken.contains_key(message)).collect();
    assert!(lost.is_empty(), "seed {seed}: never taken: {lost:?}");
    assert!((0..messages).all(|message| taken.0.contains_key(&message)), "seed {seed}");
    let copies: usize = taken.0.values().sum();
    let twice = copies - taken.0.len();
    assert!(twice <= ledger.unknown, "seed {seed}: {twice} sent twice, {} of unknown fate", ledger.unknown);
    for (message, id) in ledger.taken.iter().filter(|(message, _)| !before.contains(message)) {
        assert!(ledger.receipts.contains(id), "seed {seed}: no receipt for {message}, {id}");
    }
}

#[test]
fn a_thousand_hours_lose_nothing_and_repeat_no_more_than_was_unknown() {
    let one = std::env::var("HOURS_SEED").ok().map(|seed| seed.parse::<u64>().unwrap());
    let seeds = one.map_or(0..1_000, |seed| seed..seed + 1);
    let workers: Vec<_> = (0..2)
        .map(|worker| {
            let seeds = seeds.clone();
            std::thread::spawn(move || {
                for seed in seeds.filter(|seed| seed % 2 == worker) {
                    let mut builder = tokio::runtime::Builder::new_current_thread();
                    builder.enable_all().start_paused(true).build().unwrap().block_on(hour(seed));
                }
            })
        })
        .collect();
    let results: Vec<_> = workers.into_iter().map(std::thread::JoinHandle::join).collect();
    assert!(results.iter().all(Result::is_ok), "see the seeds above");
}
