//! The channel type `http` with each configuration in `fixtures/http`, against a provider that says what the aggregator's
//! documentation says. What is said is in the file of the same name in `exchanges`.

mod bounds;
mod mailbox;
mod pace;
mod provider;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Value, json};

use self::provider::{Asked, Provider};
use crate::support::{Maybug, Receiver, soon, types};

/// One thing that happens, and what must come of it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Step {
    /// In a sentence.
    what: String,
    /// The provider asks.
    #[serde(default)]
    request: Option<Asked>,
    /// The MOs that come of it, as far as they are told here.
    #[serde(default)]
    mos: Vec<Value>,
    /// What the application answers to the last of them.
    #[serde(default)]
    reply: Option<Value>,
    /// What the provider is told.
    #[serde(default)]
    response: Option<Said>,
    /// The application sends.
    #[serde(default)]
    send: Option<Value>,
    /// The request that comes of it.
    #[serde(default)]
    expect: Option<Expected>,
    /// What the provider says to that; `200` and nothing else if it is not told.
    #[serde(default)]
    answer: Option<Said>,
    /// The types of the events of the last message that was sent, all of them.
    #[serde(default)]
    events: Vec<String>,
    /// What the last of them tells.
    #[serde(default)]
    details: Value,
}

/// A response.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Said {
    #[serde(default = "ok")]
    status: u16,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    body: String,
    /// A pattern instead, for what has the time of day in it.
    #[serde(default)]
    matches: Option<String>,
}

/// A request of ours.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Expected {
    method: String,
    path: String,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    body: String,
    #[serde(default)]
    matches: Option<String>,
}

fn ok() -> u16 {
    200
}

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/http")
}

fn yaml<T: serde::de::DeserializeOwned>(path: &Path) -> T {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A configuration of `fixtures/http` on a server of its own, with the provider that it is for.
pub(crate) struct Stage {
    pub(crate) maybug: Maybug,
    pub(crate) receiver: Receiver,
    pub(crate) provider: Provider,
    pub(crate) channel: String,
    sent: String,
    mo: String,
}

impl Stage {
    pub(crate) async fn example(name: &str) -> Self {
        let properties: Value = yaml(&fixtures().join(format!("{name}.yaml")));
        Self::open(properties["config"].clone()).await
    }

    /// With the provider's address in place of the example's.
    pub(crate) async fn open(config: Value) -> Self {
        Self::on(Maybug::start().await, config).await
    }

    /// The same on a server of the caller's.
    pub(crate) async fn on(maybug: Maybug, mut config: Value) -> Self {
        let receiver = Receiver::start().await;
        let provider = Provider::start().await;
        if let Some(url) = config["outbound"]["url"].as_str() {
            let rest = url.split_once("://").unwrap().1;
            let path = rest.find('/').map_or("", |at| &rest[at..]);
            config["outbound"]["url"] = json!(format!("http://{}{path}", provider.address));
        }
        if config.get("inbound").is_some() {
            config["web_port"] = json!(0);
            config["web_interface"] = json!("127.0.0.1");
        }
        let properties = json!({
            "type": "http", "config": config, "mo_url": receiver.url("/mo"), "status_url": receiver.url("/status"),
        });
        let channel = maybug.channel(properties).await;
        let mut stage = Self { maybug, receiver, provider, channel, sent: String::new(), mo: String::new() };
        if config.get("inbound").is_some() {
            stage.listens().await;
        }
        stage
    }

    /// Waits until the channel listens, which is where the provider asks from then on.
    pub(crate) async fn listens(&mut self) {
        let told = self.receiver.told("listening").await;
        let address = told["details"]["address"].as_str().unwrap().to_owned();
        self.provider.calls(&address);
    }

    /// The provider asks for a path; what it is told, and its status.
    pub(crate) async fn gets(&self, path: &str) -> (u16, String) {
        let asked = Asked { method: "GET".into(), path: path.into(), headers: BTreeMap::new(), body: String::new() };
        let said = soon(path, self.provider.ask(asked)).await.unwrap();
        (said.status, said.body)
    }

    /// The next MO, whatever else is told meanwhile.
    pub(crate) async fn hears(&mut self) -> Value {
        let mo = self.receiver.mo().await;
        self.mo = mo["message_id"].as_str().unwrap().to_owned();
        mo
    }

    /// Sends a message as the application; `<mo_id>` in it is the last MO.
    pub(crate) async fn sends(&mut self, message: &Value) -> String {
        let message = serde_json::from_str(&self.named(&message.to_string())).unwrap();
        self.sent = self.maybug.send(&self.channel, message).await;
        self.sent.clone()
    }

    fn named(&self, text: &str) -> String {
        text.replace("<message_id>", &self.sent).replace("<mo_id>", &self.mo)
    }

    async fn play(&mut self, step: &Step) {
        let what = &step.what;
        if let Some(answer) = &step.answer {
            let answer = Said { body: self.named(&answer.body), ..answer.clone() };
            self.provider.will_say(answer.status, &answer.headers, &answer.body);
        }
        let asking = step.request.as_ref().map(|asked| self.provider.ask(asked.named(|text| self.named(text))));
        for expected in &step.mos {
            let mo = soon(what, self.hears()).await;
            contains(what, &mo, expected);
        }
        if let Some(reply) = &step.reply {
            let mut reply = reply.clone();
            reply["reply_to"] = json!(self.mo);
            self.sends(&reply).await;
        }
        if let Some(asking) = asking {
            let said = soon(what, asking).await.unwrap();
            let expected = step.response.as_ref().unwrap_or_else(|| panic!("{what}: no response is expected"));
            assert_eq!(said.status, expected.status, "{what}: {}", said.body);
            for (name, value) in &expected.headers {
                assert_eq!(
                    said.headers.get(name).map(|value| value.to_str().unwrap()),
                    Some(&**value),
                    "{what}: {name}"
                );
            }
            self.same(what, &said.body, &expected.body, expected.matches.as_deref());
        }
        if let Some(message) = &step.send {
            self.sends(message).await;
        }
        if let Some(expected) = &step.expect {
            let asked = soon(what, self.provider.asked()).await;
            assert_eq!((asked.method.as_str(), asked.path), (&*expected.method, self.named(&expected.path)), "{what}");
            for (name, value) in &expected.headers {
                assert_eq!(
                    asked.headers.get(name).map(|value| value.to_str().unwrap()),
                    Some(&**value),
                    "{what}: {name}"
                );
            }
            self.same(what, &asked.body, &expected.body, expected.matches.as_deref());
        }
        if !step.events.is_empty() {
            let events = self.maybug.events(&self.channel, &self.sent, step.events.len()).await;
            assert_eq!(types(&events), step.events, "{what}: {events:?}");
            if !step.details.is_null() {
                let expected = serde_json::from_str(&self.named(&step.details.to_string())).unwrap();
                contains(what, &events.last().unwrap()["event_details"], &expected);
            }
        }
    }

    fn same(&self, what: &str, body: &str, expected: &str, pattern: Option<&str>) {
        match pattern {
            None => assert_eq!(body, self.named(expected).trim_end_matches('\n'), "{what}"),
            Some(pattern) => {
                let pattern = regex::Regex::new(&self.named(pattern)).unwrap();
                assert!(pattern.is_match(body), "{what}: {body}");
            }
        }
    }
}

/// That a value has everything that is expected.
fn contains(what: &str, value: &Value, expected: &Value) {
    match expected.as_object() {
        Some(members) => members.iter().for_each(|(name, expected)| contains(what, &value[name], expected)),
        None => assert_eq!(value, expected, "{what}"),
    }
}

async fn play(name: &str) {
    let mut stage = Stage::example(name).await;
    let steps: Vec<Step> =
        yaml(&Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/e2e/http_channel/exchanges/{name}.yaml")));
    for step in &steps {
        stage.play(step).await;
    }
    assert_eq!(stage.provider.unheard(), 0, "{name}: more requests came than are told");
    assert_eq!(stage.provider.unsaid(), 0, "{name}: fewer requests came than are told");
}

macro_rules! aggregators {
    ($($name:ident)*) => {
        $(#[tokio::test]
        async fn $name() {
            play(stringify!($name)).await;
        })*

        /// No example is without its exchanges, and no exchange without its example.
        #[test]
        fn every_example_is_played() {
            let mut named: Vec<&str> = vec![$(stringify!($name)),*];
            named.sort_unstable();
            let exchanges = fixtures().join("../../tests/e2e/http_channel/exchanges");
            for directory in [fixtures(), exchanges] {
                let files = std::fs::read_dir(&directory).unwrap().map(|file| file.unwrap().path());
                let mut found: Vec<String> = files.map(|path| path.file_stem().unwrap().to_str().unwrap().into()).collect();
                found.sort();
                assert_eq!(found, named, "{}", directory.display());
            }
        }
    };
}

aggregators! {
    aat_ussd airtel apposit cellulant cellulant_sms dmark http_api http_api_reply imimobile infobip integrat mediaedgegsm
    mediafonemc mtech_kenya mtech_kenya_v2 mtech_ussd netcore old_simple_http old_template_http opera parlayx safaricom
    smssync_multi smssync_single vas2nets vodacom_messaging
}
