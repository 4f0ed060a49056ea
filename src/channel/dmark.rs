//! The `dmark` channel type: USSD over HTTP as Dmark's gateway speaks it (field guide §7.2, §7.3).
//!
//! Each turn of a phone is a request; it is held until the application has answered, and that is the response. The
//! first request of a transaction opens its session, which is kept durably; nothing says when the phone ends it.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hyper::StatusCode;
use hyper::body::Incoming;
use serde_json::{Value, json};

use super::fields::{Fields, WORKER_KEYS, wrong};
use super::held::{
    self, Credentials, Ending, Held, Hook, MOST, Ports, Unanswered, Whole, response, unauthorised, unavailable,
};
use super::sessions::Sessions;
use super::told::Told;
use super::{Arrival, ChannelType, ConfigError, Fate, Intake, IntakeError, Outcome, Setup, StatusReport};
use crate::endpoint::parse_interface;
use crate::model::{
    ChannelId, Inbound, JsonObject, Level, MessageId, Outbound, SessionEvent, SmscMessageId, Timestamp,
};
use crate::store::Delivery;
use crate::web::Response;
use crate::web::json::to_ascii;

/// The channel type `dmark`.
pub struct Dmark {
    ports: Ports,
}

impl Dmark {
    /// On ports that other channel types may have paths on, too.
    pub(super) fn new(ports: Ports) -> Self {
        Self { ports }
    }
}

/// What a dmark channel may be told.
#[derive(Clone, Debug)]
pub struct DmarkConfig {
    address: SocketAddr,
    paths: Vec<String>,
    credentials: Option<Credentials>,
    session_timeout: Duration,
    fix_to_addr: bool,
    permissive: bool,
    request_timeout: Duration,
    timeout_status: StatusCode,
    timeout_body: String,
    degraded: Duration,
    down: Duration,
}

/// Every key; those of the last lines change nothing here but are Vumi's, so no configuration is refused for them.
const KEYS: &[&str] = &[
    "web_path",
    "web_port",
    "web_interface",
    "web_username",
    "web_password",
    "ussd_session_timeout",
    "fix_to_addr",
    "validation_mode",
    "request_timeout",
    "request_timeout_status_code",
    "request_timeout_body",
    "response_time_degraded",
    "response_time_down",
    "web_auth_domain",
    "health_path",
    "request_cleanup_interval",
    "noisy",
    "redis_manager",
    "transport_type",
];

/// What each request has, and no other.
const PARAMETERS: [&str; 7] =
    ["transactionId", "msisdn", "ussdServiceCode", "transactionTime", "ussdRequestString", "creationTime", "response"];

/// Most octets of each parameter that a session or an address is made of.
const MAX_TEXT: usize = 256;
const SHORT: [&str; 3] = ["transactionId", "msisdn", "ussdServiceCode"];
/// Most unknown parameters that are named to whoever sent them, and most characters of each.
const MAX_NAMES: usize = 20;
const MAX_NAME: usize = 64;
const JSON: &str = "application/json";
/// Most MTs taken at once.
const BATCH: usize = 256;

impl DmarkConfig {
    /// Reads a channel's `config`.
    ///
    /// # Errors
    /// [`ConfigError`] names the key.
    pub fn parse(config: &JsonObject) -> Result<Self, ConfigError> {
        ConfigError::check_keys(config, &[KEYS, &WORKER_KEYS].concat())?;
        let fields = Fields(config.clone());
        let path = fields.required_text("web_path")?;
        let missing = || ConfigError::new("web_port", "Missing required config field 'web_port'");
        let port = fields.integer("web_port", 0..=u16::MAX)?.ok_or_else(missing)?;
        let interface = fields.text("web_interface")?.unwrap_or_default();
        let interface =
            parse_interface(&interface).map_err(|why| wrong("web_interface", &format!("is wrong: {why}")))?;
        let credentials = match (fields.text("web_username")?, fields.text("web_password")?) {
            (None, None) => None,
            (Some(username), Some(password)) => Some(Credentials::new(&username, &password)),
            (None, _) => return Err(wrong("web_username", "must be given when web_password is")),
            (_, None) => return Err(wrong("web_password", "must be given when web_username is")),
        };
        let status = fields.integer("request_timeout_status_code", 200_u16..=599)?.unwrap_or(504);
        Ok(Self {
            address: SocketAddr::new(interface, port),
            paths: vec![format!("/{}", path.trim_matches('/'))],
            credentials,
            session_timeout: fields.seconds("ussd_session_timeout", 600.0)?,
            fix_to_addr: fields.boolean("fix_to_addr")?.unwrap_or(false),
            permissive: fields.choice("validation_mode", &[("strict", false), ("permissive", true)])?,
            request_timeout: fields.seconds("request_timeout", 240.0)?,
            timeout_status: StatusCode::from_u16(status).unwrap_or(StatusCode::GATEWAY_TIMEOUT),
            timeout_body: fields.text("request_timeout_body")?.unwrap_or_default(),
            degraded: fields.seconds("response_time_degraded", 1.0)?,
            down: fields.seconds("response_time_down", 10.0)?,
        })
    }
}

impl ChannelType for Dmark {
    fn check(&self, config: &JsonObject) -> Result<(), ConfigError> {
        DmarkConfig::parse(config).map(|_| ())
    }

    fn secrets(&self) -> &'static [&'static str] {
        &["web_password"]
    }

    async fn run<I: Intake>(&self, setup: Setup<I>) -> Result<(), ConfigError> {
        let config = DmarkConfig::parse(&setup.config)?;
        let turns = Turns::new(setup, config).await;
        let _ending = Ending(turns.held.clone());
        let hook: Hook = {
            let turns = turns.clone();
            Arc::new(move |_, request| Box::pin(turns.clone().answer(request)))
        };
        tokio::select! {
            () = turns.reply() => {}
            () = async {
                let _place = self.ports.listen(&turns.setup, turns.config.address, &turns.config.paths, hook).await;
                std::future::pending().await
            } => {}
        }
        Ok(())
    }
}

/// A channel's turns under way.
struct Turns<I> {
    setup: Setup<I>,
    config: DmarkConfig,
    held: Arc<Held>,
    sessions: Mutex<Sessions>,
    told: Told,
}

/// What a request says.
struct Turn {
    transaction: String,
    phone: String,
    code: String,
    content: String,
    metadata: Value,
}

impl Turn {
    /// It as an MO; the first of a session says nothing but what was dialled.
    fn message(self, id: MessageId, channel: ChannelId, event: SessionEvent) -> Inbound {
        Inbound {
            id,
            channel,
            to: self.code,
            from: self.phone,
            group: None,
            content: (event == SessionEvent::Resume).then_some(self.content),
            reply_to: None,
            session_event: Some(event),
            channel_data: JsonObject::from_iter([("session_id".to_owned(), self.transaction.into())]),
            transport_type: Some("ussd".to_owned()),
            transport_metadata: JsonObject::from_iter([("dmark_ussd".to_owned(), self.metadata)]),
            provider: Some("dmark".to_owned()),
            destinations: Vec::new(),
            received_at: Timestamp::now(),
        }
    }
}

impl<I: Intake> Turns<I> {
    async fn new(setup: Setup<I>, config: DmarkConfig) -> Arc<Self> {
        let notes = setup.store.notes(&setup.id, Sessions::<String>::NOTES).await.unwrap_or_else(|error| {
            setup.log.error(format!("the sessions could not be read: {error}"));
            Vec::new()
        });
        let sessions = Mutex::new(Sessions::new(config.session_timeout, &notes));
        Arc::new(Self { setup, config, held: Held::new(MOST), sessions, told: Told::default() })
    }

    /// Answers a request.
    async fn answer(self: Arc<Self>, request: hyper::Request<Incoming>) -> Response {
        if self.config.credentials.as_ref().is_some_and(|known| !known.are_in(request.headers())) {
            return unauthorised();
        }
        let request = match Whole::read(request).await {
            Ok(request) => request,
            Err(response) => return response,
        };
        let turn = match self.read(&request).await {
            Ok(turn) => turn,
            Err(problem) => return response(StatusCode::BAD_REQUEST, JSON, to_ascii(&problem)),
        };
        // It may be held for minutes.
        drop(request);
        let id = MessageId::mint();
        let waiting = match self.held.hold(id) {
            Ok(waiting) => waiting,
            Err(error) => return unavailable(&error.to_string()),
        };
        if let Err(error) = self.store(id, turn).await {
            return unavailable(&error.to_string());
        }
        match waiting.answered(self.config.request_timeout).await {
            Ok(response) => response,
            Err(error @ Unanswered::Ended) => unavailable(&error.to_string()),
            Err(Unanswered::Timeout) => {
                let took = self.config.request_timeout;
                self.tell_response(Level::Down, "timeout", "Response timed out", took).await;
                response(self.config.timeout_status, "text/plain", self.config.timeout_body.clone())
            }
        }
    }

    /// Reads a turn; what is wrong with it otherwise.
    async fn read(&self, request: &Whole) -> Result<Turn, Value> {
        let (kind, message, problem) = match request.parameters() {
            Ok(parameters) => match self.problem(&parameters) {
                None => {
                    self.tell("request", Level::Ok, "request_parsed", "Request parsed", JsonObject::new()).await;
                    return Ok(self.turn(&parameters));
                }
                Some(problem) => ("invalid_inbound_fields", "Invalid inbound fields", problem),
            },
            Err(held::BadEncoding) => {
                let target = request.head.uri.path();
                let told = json!({"uri": target, "method": request.head.method.as_str()});
                ("invalid_encoding", "Invalid encoding", json!({"invalid_request": told}))
            }
        };
        self.setup.log.warn(format!("a request was refused: {problem}"));
        let details = problem.as_object().cloned().unwrap_or_default();
        self.tell("request", Level::Down, kind, message, details).await;
        Err(problem)
    }

    /// Which parameters are missing, unknown or beyond reason.
    fn problem(&self, parameters: &[(String, String)]) -> Option<Value> {
        let given = |known: &&str| parameters.iter().any(|(name, _)| name == known);
        let missing = PARAMETERS.into_iter().filter(|known| !given(known)).map(str::to_owned).collect();
        let unknown = parameters.iter().filter(|(name, _)| !self.config.permissive && !PARAMETERS.contains(&&name[..]));
        let unexpected = unknown.map(|(name, _)| name.chars().take(MAX_NAME).collect()).take(MAX_NAMES).collect();
        let long = parameters.iter().filter(|(name, value)| SHORT.contains(&&name[..]) && value.len() > MAX_TEXT);
        let invalid = long.map(|(name, _)| name.clone()).collect();
        let mut problem = JsonObject::new();
        let problems: [(&str, Vec<String>); 3] =
            [("missing_parameter", missing), ("unexpected_parameter", unexpected), ("invalid_parameter", invalid)];
        for (key, names) in problems {
            if !names.is_empty() {
                problem.insert(key.to_owned(), json!(names));
            }
        }
        (!problem.is_empty()).then(|| problem.into())
    }

    /// A turn as its parameters have it.
    fn turn(&self, parameters: &[(String, String)]) -> Turn {
        let get = |key: &str| {
            let found = parameters.iter().find(|(name, _)| name == key);
            found.map(|(_, value)| value.clone()).unwrap_or_default()
        };
        let mut code = get("ussdServiceCode");
        if self.config.fix_to_addr {
            let star = if code.starts_with('*') { "" } else { "*" };
            let hash = if code.ends_with('#') { "" } else { "#" };
            code = format!("{star}{code}{hash}");
        }
        let transaction = get("transactionId");
        let metadata = json!({
            "transaction_id": transaction,
            "transaction_time": get("transactionTime"),
            "creation_time": get("creationTime"),
        });
        Turn { transaction, phone: get("msisdn"), code, content: get("ussdRequestString"), metadata }
    }

    /// Stores a turn, which opens its session or hears of it, and forgets those that have ended. Memory learns of it only
    /// then: a request that could not be stored comes again, and is the same turn as before.
    async fn store(&self, id: MessageId, turn: Turn) -> Result<(), IntakeError> {
        let (transaction, now) = (turn.transaction.clone(), Timestamp::now());
        let (ended, event, note) = {
            let sessions = self.sessions();
            let event = sessions.get(&transaction, now).map_or(SessionEvent::New, |_| SessionEvent::Resume);
            // That it is there is all that has to be known of it.
            (sessions.ended(now), event, sessions.note(&transaction, &String::new(), now))
        };
        let message = turn.message(id, self.setup.id.clone(), event).into();
        let mut arrivals = ended.notes();
        arrivals.extend([note, Arrival::Message { message, joined_from: Vec::new() }]);
        self.setup.intake.arrived(&self.setup.id, arrivals).await?;
        let mut sessions = self.sessions();
        sessions.forget_ended(ended);
        sessions.keep(transaction, String::new(), now);
        Ok(())
    }

    /// Passes replies on to their requests, until the channel's stop. What it has begun is finished: a phone that has its
    /// answer does not get it again.
    async fn reply(&self) {
        let mut queue = self.setup.queue();
        let stop = &self.setup.stop;
        loop {
            let pulled = tokio::select! {
                () = stop.cancelled() => return,
                pulled = queue.pull(BATCH) => pulled,
            };
            match pulled {
                Ok(deliveries) => {
                    let outcomes = deliveries.into_iter().map(|delivery| self.deliver(delivery));
                    let outcomes = futures_util::future::join_all(outcomes).await;
                    self.setup.intake.decided(&self.setup.id, outcomes).await;
                }
                Err(error) => {
                    self.setup.log.error(error.to_string());
                    return stop.cancelled().await;
                }
            }
        }
    }

    async fn deliver(&self, delivery: Delivery) -> Outcome {
        let Delivery { ticket, origin, message, .. } = delivery;
        let fate = match self.respond(&message).await {
            Ok(()) => Fate::Submitted {
                smsc_message_ids: vec![SmscMessageId(message.id.to_string())],
                correlate: Vec::new(),
                announce: true,
                details: JsonObject::new(),
            },
            Err(reason) => Fate::Rejected { reason, details: JsonObject::new() },
        };
        Outcome { ticket, origin, message, fate }
    }

    /// Responds to the request that a reply names; why it could not.
    async fn respond(&self, message: &Outbound) -> Result<(), String> {
        let absent = [("in_reply_to", message.reply_to.is_none()), ("content", message.content.is_empty())];
        let absent: Vec<&str> = absent.into_iter().filter(|(_, absent)| *absent).map(|(name, _)| name).collect();
        let Some(request) = message.reply_to.filter(|_| absent.is_empty()) else {
            return Err(format!("Missing fields: {}", absent.join(", ")));
        };
        let ends = message.session_event == Some(SessionEvent::Close);
        let action = if ends { "end" } else { "request" };
        let body = to_ascii(&json!({"responseString": message.content, "action": action}));
        let answered = self.held.answer(request, response(StatusCode::OK, JSON, body)).await;
        let took = answered.map_err(|gone| gone.to_string())?;
        let (level, kind, text) = match took {
            _ if took > self.config.down => (Level::Down, "very_slow_response", "Very slow response"),
            _ if took > self.config.degraded => (Level::Degraded, "slow_response", "Slow response"),
            _ => (Level::Ok, "response_sent", "Response sent"),
        };
        self.tell_response(level, kind, text, took).await;
        Ok(())
    }

    async fn tell_response(&self, level: Level, kind: &'static str, message: &str, took: Duration) {
        let details = JsonObject::from_iter([("response_time".to_owned(), took.as_secs_f64().into())]);
        self.tell("response", level, kind, message, details).await;
    }

    async fn tell(
        &self,
        component: &'static str,
        level: Level,
        kind: &'static str,
        message: &str,
        details: JsonObject,
    ) {
        let report = StatusReport { component, level, kind, message: message.to_owned(), details };
        self.told.tell(&self.setup, report).await;
    }

    fn sessions(&self) -> MutexGuard<'_, Sessions> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use bytes::Bytes;
    use futures_util::poll;
    use hyper::{HeaderMap, Method};
    use tokio::sync::{Notify, mpsc};

    use super::super::{IntakeError, Stop};
    use super::*;
    use crate::store::{Change, Store, StoreConfig};
    use crate::telemetry::ChannelLogs;
    use crate::telemetry::channel_log::LogFiles;
    use crate::web::client::{Allowed, Client};

    /// What a channel tells, as it tells it. What became of MTs is taken in only once it is told to.
    #[derive(Clone)]
    struct Slow {
        told: mpsc::UnboundedSender<Told>,
        go: Arc<Notify>,
    }

    enum Told {
        Listens(String),
        Message(MessageId),
        Decides,
        Decided(Vec<Outcome>),
    }

    impl Intake for Slow {
        async fn arrived(&self, _: &ChannelId, arrivals: Vec<Arrival>) -> Result<(), IntakeError> {
            for arrival in arrivals {
                if let Arrival::Message { message, .. } = arrival {
                    self.told.send(Told::Message(message.id)).unwrap();
                }
            }
            Ok(())
        }

        async fn decided(&self, _: &ChannelId, outcomes: Vec<Outcome>) {
            self.told.send(Told::Decides).unwrap();
            self.go.notified().await;
            self.told.send(Told::Decided(outcomes)).unwrap();
        }

        async fn status(&self, _: &ChannelId, report: StatusReport) {
            if let Some(address) = report.details.get("address") {
                self.told.send(Told::Listens(address.as_str().unwrap().to_owned())).unwrap();
            }
        }
    }

    #[tokio::test]
    async fn a_stop_waits_for_the_record_of_an_answer_that_a_phone_has() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("store");
        let store = Store::open(&StoreConfig { path, min_free: 0, ..StoreConfig::default() }).await.unwrap();
        let files = LogFiles { path: directory.path().join("logs"), rotate_size: 1_000, max_files: 1, privacy: false };
        let logs = ChannelLogs::start(files).unwrap();
        let id: ChannelId = "c".into();
        let client = Client::new(Allowed { networks: vec!["127.0.0.0/8".parse().unwrap()] });
        let (told, mut hears) = mpsc::unbounded_channel();
        let (stop, go) = (Stop::new(), Arc::new(Notify::new()));
        let config = json!({"web_path": "/", "web_port": 0, "web_interface": "127.0.0.1"});
        let setup = Setup {
            config: config.as_object().unwrap().clone(),
            rate_limit: None,
            store: store.clone(),
            intake: Slow { told, go: go.clone() },
            client: client.clone(),
            log: logs.channel(&id),
            stop: stop.clone(),
            id,
        };
        let dmark = Dmark::new(Ports::default());
        let mut run = pin!(dmark.run(setup));
        let phone = async {
            let Some(Told::Listens(address)) = hears.recv().await else { panic!("it does not listen") };
            let query: Vec<String> = PARAMETERS.iter().map(|name| format!("{name}=1")).collect();
            let url = format!("http://{address}/?{}", query.join("&")).parse().unwrap();
            let asking = async {
                let answer = client.request(Method::GET, &url, HeaderMap::new(), Bytes::new(), LONG).await;
                answer.unwrap().status
            };
            let replying = async {
                let Some(Told::Message(id)) = hears.recv().await else { panic!("no turn") };
                let reply = Outbound { reply_to: Some(id), ..Outbound::plain("1", "Hello") };
                store.commit(vec![Change::Accept(Arc::new(reply))]).await.unwrap();
                assert!(matches!(hears.recv().await, Some(Told::Decides)));
            };
            assert_eq!(tokio::join!(asking, replying).0, 200);
        };
        tokio::select! {
            _ = &mut run => panic!("it ended by itself"),
            () = phone => {}
        }
        stop.cancel();
        assert!(poll!(&mut run).is_pending(), "what the phone has is not recorded");
        go.notify_one();
        run.await.unwrap();
        let Some(Told::Decided(outcomes)) = hears.recv().await else { panic!("not recorded") };
        assert!(matches!(outcomes[..], [Outcome { fate: Fate::Submitted { .. }, .. }]), "{outcomes:?}");
    }

    const LONG: Duration = Duration::from_secs(30);
}
