//! Jasmin: connectors of `smppccm`, as a jcli script adds them or as `smppccm -s` shows them.

use std::path::Path;

use serde_json::{Value, json};

use super::draft::Rule::{self, Alias, Differs, Own, Without};
use super::draft::{Draft, Setting, endpoint};
use super::{MigrateError, Migration, Note, channel, name, read, vendor_tlvs};

const LOGS: &str =
    "each channel has a log of its own at GET /channels/ID/logs, files are under `logging_path` of the server";
const RETRIES: &str = "a channel is always bound again; DELETE it to disconnect";

/// Every key of `smppccm` (0.12).
const RULES: &[(&str, Rule)] = &[
    ("cid", Own),
    ("host", Own),
    ("port", Own),
    ("ssl", Own),
    ("bind", Alias),
    ("username", Alias),
    ("password", Own),
    ("systype", Alias),
    ("addr_range", Alias),
    ("bind_ton", Alias),
    ("bind_npi", Alias),
    ("src_ton", Alias),
    ("src_npi", Alias),
    ("dst_ton", Alias),
    ("dst_npi", Alias),
    ("service_type", Alias),
    ("src_addr", Without("give each message its `from`")),
    ("coding", Own),
    ("validity", Differs("it counts from when the message was accepted, and the SMSC is told what is left")),
    ("priority", Alias),
    ("proto_id", Alias),
    ("def_msg_id", Without("canned messages of the SMSC cannot be sent; 0 is sent always")),
    ("ripf", Without("a message never replaces one that waits; 0 is sent always")),
    ("elink_interval", Differs("it counts from the last PDU of the SMSC")),
    (
        "trx_to",
        Without(
            "a silent link is asked after smpp_enquire_link_interval and given up after response_timeout more; \
             `idle_timeout` is another thing, it counts messages alone",
        ),
    ),
    ("bind_to", Alias),
    ("pdu_red_to", Alias),
    ("res_to", Alias),
    ("con_loss_retry", Without(RETRIES)),
    ("con_loss_delay", Own),
    ("con_fail_retry", Without(RETRIES)),
    ("con_fail_delay", Own),
    ("submit_throughput", Differs("it counts PDUs, not messages, and a refusal slows it down further for a while")),
    (
        "requeue_delay",
        Without("a message waits in its channel's queue until the bind can take it; `retry` says how long by status"),
    ),
    ("dlr_expiry", Without("message ids are kept as long as the messages, see `retention` of the server")),
    ("dlr_msgid", Alias),
    ("custom_tlvs", Own),
    ("logfile", Without(LOGS)),
    ("loglevel", Without(LOGS)),
    ("logrotate", Without(LOGS)),
    ("logprivacy", Without("the server has it for all channels: `log_privacy`, or --log-privacy")),
];

/// Names that jcli takes and shows for numbers.
const TONS: [(&str, &str); 7] = [
    ("UNKNOWN", "0"),
    ("INTERNATIONAL", "1"),
    ("NATIONAL", "2"),
    ("NETWORK_SPECIFIC", "3"),
    ("SUBSCRIBER_NUMBER", "4"),
    ("ALPHANUMERIC", "5"),
    ("ABBREVIATED", "6"),
];
const NPIS: [(&str, &str); 10] = [
    ("UNKNOWN", "0"),
    ("ISDN", "1"),
    ("DATA", "3"),
    ("TELEX", "4"),
    ("LAND_MOBILE", "6"),
    ("NATIONAL", "8"),
    ("PRIVATE", "9"),
    ("ERMES", "10"),
    ("INTERNET", "14"),
    ("WAP_CLIENT_ID", "18"),
];
const PRIORITIES: [(&str, &str); 4] = [("LEVEL_0", "0"), ("LEVEL_1", "1"), ("LEVEL_2", "2"), ("LEVEL_3", "3")];

/// Encodings of Jasmin's `coding`, which is the data_coding.
const CODINGS: [(&str, u8, &str); 9] = [
    ("1", 1, "ascii"),
    ("3", 3, "latin1"),
    ("5", 5, "iso2022-jp"),
    ("6", 6, "iso8859-5"),
    ("7", 7, "iso8859-8"),
    ("8", 8, "ucs2"),
    ("9", 9, "shift_jis"),
    ("10", 10, "iso2022-jp"),
    ("14", 14, "euc-kr"),
];

pub(super) fn migrate(path: &Path) -> Result<Migration, MigrateError> {
    let mut script = Script::default();
    for (index, line) in read(path)?.lines().enumerate() {
        script.line(format!("{}:{}", name(path), index + 1), line);
    }
    script.end(true);
    if script.connectors.is_empty() {
        let message =
            "there is no connector in it: neither 'smppccm -a … ok' nor the output of 'smppccm -s'".to_owned();
        return Err(MigrateError::Nothing { path: path.to_owned(), message });
    }
    let mut notes = script.notes;
    let mut channels = Vec::new();
    for connector in &script.connectors {
        let mut draft = draft(connector);
        notes.append(&mut draft.notes);
        channels.push(channel(draft));
    }
    Ok(Migration { channels, notes, problems: Vec::new() })
}

/// What the lines are about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Section {
    /// A connector: settings, until `ok` or an empty line.
    #[default]
    Connector,
    /// Something else, until `ok` or the next command.
    Other,
}

#[derive(Default)]
struct Script {
    connectors: Vec<Vec<Setting>>,
    current: Vec<Setting>,
    /// The connector that `smppccm -u` changes.
    updated: Option<String>,
    section: Section,
    notes: Vec<Note>,
}

impl Script {
    fn line(&mut self, place: String, line: &str) {
        // Prompts of a copied session.
        let line = line.trim().trim_start_matches("jcli :").trim_start_matches('>').trim();
        let mut words = line.splitn(2, char::is_whitespace);
        let (key, value) = (words.next().unwrap_or_default(), words.next().unwrap_or_default().trim());
        match key {
            "" | "ok" => self.end(true),
            "ko" => self.end(false),
            "smppccm" => {
                self.end(true);
                // `-u CID` is also `--update=CID`.
                let mut options =
                    value.split(|sign: char| sign.is_whitespace() || sign == '=').filter(|word| !word.is_empty());
                let (option, cid) = (options.next().unwrap_or_default(), options.next());
                match option {
                    "-a" | "--add" | "-s" | "--show" => self.section = Section::Connector,
                    "-u" | "--update" => {
                        self.section = Section::Connector;
                        self.updated = cid.map(str::to_owned);
                    }
                    "-1" | "--start" => {
                        self.say(place, "a channel binds by itself once it is created");
                    }
                    "-0" | "--stop" => self.say(place, "a channel that exists is bound; create it when it is wanted"),
                    "-r" | "--remove" => {
                        self.connectors.retain(|connector| value_of(connector, "cid") != cid);
                        self.say(place, "the connector is removed, and left out");
                    }
                    _ => {}
                }
            }
            "persist" | "load" | "quit" | "exit" | "Adding" | "Updating" | "Successfully" => self.end(true),
            "user" | "group" | "filter" | "httpccm" | "mtrouter" | "morouter" | "mtinterceptor" | "mointerceptor"
            | "smppsmap" | "stats"
                if value.starts_with('-') =>
            {
                self.end(true);
                self.section = Section::Other;
                let what = match key {
                    "morouter" | "mointerceptor" | "httpccm" => {
                        "messages from phones go to the `mo_url` of the channel, or through a router"
                    }
                    "mtrouter" | "mtinterceptor" | "filter" => {
                        "messages are posted to the channel that is to send them; choose it in the application"
                    }
                    _ => "there is nothing for it here",
                };
                self.say(place, &format!("'{key}' is not an SMSC connection: {what}"));
            }
            comment if comment.starts_with('#') => {}
            _ if self.section == Section::Connector => {
                let value = if value.eq_ignore_ascii_case("none") { "" } else { value };
                self.current.retain(|setting| setting.key != key);
                self.current.push(Setting { place, key: key.to_owned(), value: value.to_owned() });
            }
            _ => {}
        }
    }

    fn say(&mut self, place: String, text: &str) {
        self.notes.push(Note { place, text: text.to_owned() });
    }

    fn end(&mut self, keep: bool) {
        let current = std::mem::take(&mut self.current);
        let updated = self.updated.take();
        self.section = Section::default();
        if !keep || current.is_empty() {
            return;
        }
        let cid = updated.as_deref().or_else(|| value_of(&current, "cid"));
        let same = |connector: &&mut Vec<Setting>| cid.is_some() && value_of(connector, "cid") == cid;
        match self.connectors.iter_mut().find(same) {
            Some(connector) => {
                connector.retain(|old| !current.iter().any(|new| new.key == old.key));
                connector.extend(current);
            }
            // Lines of no connector: a greeting, the table of `smppccm -l`.
            None if !current.iter().any(|setting| RULES.iter().any(|(key, _)| *key == setting.key)) => {}
            None => self.connectors.push(current),
        }
    }
}

fn value_of<'a>(connector: &'a [Setting], key: &str) -> Option<&'a str> {
    connector.iter().find(|setting| setting.key == key).map(|setting| setting.value.as_str())
}

fn draft(connector: &[Setting]) -> Draft {
    let mut draft = Draft { label: value_of(connector, "cid").unwrap_or("jasmin").to_owned(), ..Draft::default() };
    for setting in connector {
        let absent = setting.value.is_empty() || setting.value.starts_with("Unknown (");
        if absent && RULES.iter().any(|(key, _)| *key == setting.key) {
            continue;
        }
        let setting = numbered(setting);
        let number = setting.value.parse::<f64>().ok();
        match (setting.key.as_str(), number) {
            ("elink_interval", Some(0.0)) => {
                draft.note(
                    &setting,
                    "was left out: Jasmin then never asks; here a silent link is always asked, after 30 s",
                );
            }
            // Less than nothing is no limit either.
            ("submit_throughput", Some(..0.0)) => draft.apply(RULES, &Setting { value: "0".to_owned(), ..setting }),
            _ => draft.apply(RULES, &setting),
        }
    }
    let find = |key: &str| connector.iter().find(|setting| setting.key == key && !setting.value.is_empty());
    let text = |key: &str, default: &str| find(key).map_or(default, |setting| setting.value.as_str()).to_owned();
    draft.set("twisted_endpoint", endpoint(&text("host", "127.0.0.1"), &text("port", "2775"), None));
    draft.otherwise("system_id", "smppclient");
    draft.set("password", text("password", "password"));
    draft.set("send_full_password", true);
    if let Some(setting) = find("ssl").filter(|setting| setting.value == "yes") {
        draft.set("tls", json!({}));
        let how = "became tls; the SMSC's certificate is checked now: name the authority in tls.ca_file if it is a private one";
        draft.note(setting, how);
    }
    if let Some(setting) = find("coding").filter(|setting| setting.value != "0") {
        match CODINGS.iter().find(|(coding, ..)| *coding == setting.value) {
            Some((_, coding, name)) => {
                draft.set("submit_sm_data_coding", *coding);
                draft.set("submit_sm_encoding", *name);
                draft.note(setting, &format!("became submit_sm_data_coding {coding} and submit_sm_encoding {name}"));
            }
            None => draft.note(setting, "has no counterpart: text is encoded here, by submit_sm_encoding"),
        }
    }
    if let Some(setting) = find("custom_tlvs") {
        vendor_tlvs::of_jasmin(&mut draft, setting);
    }
    // Jasmin waits as long after a loss as it is told, and again after each failure; both constant.
    let seconds = |key: &str| {
        let seconds = find(key).and_then(|setting| setting.value.parse::<f64>().ok());
        seconds.filter(|seconds| seconds.is_finite()).unwrap_or(10.0).max(1.0)
    };
    let (loss, failure) = (seconds("con_loss_delay"), seconds("con_fail_delay"));
    draft.set("initial_reconnect_delay", whole(loss.min(failure)));
    draft.set("max_reconnect_delay", whole(loss.max(failure)));
    for (key, ours) in [("con_loss_delay", loss), ("con_fail_delay", failure)] {
        if let Some(setting) = find(key) {
            let which = if ours == loss.min(failure) { "initial_reconnect_delay" } else { "max_reconnect_delay" };
            draft.note(setting, &format!("became {which} {ours}; waits double from the one to the other"));
        }
    }
    for (key, value) in [
        ("bind_type", json!("trx")),
        ("source_addr_ton", json!(2)),
        ("source_addr_npi", json!(1)),
        ("dest_addr_ton", json!(1)),
        ("dest_addr_npi", json!(1)),
        ("address_autodetect", json!(false)),
        // Store and forward.
        ("esm_class", json!(3)),
        ("smpp_enquire_link_interval", json!(30)),
        ("smpp_bind_timeout", json!(30)),
        ("pdu_read_timeout", json!(10)),
        // Its manual says 60.
        ("response_timeout", json!(120)),
        ("on_response_timeout", json!("resend")),
        ("mt_tps", json!(1)),
        ("window_size", json!(10)),
        ("msg_id_type", json!("string")),
        // Whatever has an id and a state is a receipt to it, and octets that are no text are handed on.
        ("delivery_report_use_esm_class", json!(false)),
        ("binary", json!("base64")),
        (
            "retry",
            json!({
                "ESME_RSYSERR": {"count": 2, "delay": 30},
                "ESME_RINVSCHED": {"count": 2, "delay": 300},
            }),
        ),
    ] {
        draft.otherwise(key, value);
    }
    if let (None, Some(first)) = (find("submit_throughput"), connector.first()) {
        let text = "submit_throughput is absent, Jasmin then sends 1 a second: mt_tps 1 says so; 0 is no limit";
        draft.notes.push(Note { place: first.place.clone(), text: text.to_owned() });
    }
    draft
}

/// Whole seconds without a fraction.
fn whole(seconds: f64) -> Value {
    if seconds.fract() == 0.0 { json!(seconds as u64) } else { json!(seconds) }
}

/// A setting with numbers for names, and without what jcli adds in brackets.
fn numbered(setting: &Setting) -> Setting {
    let names: &[(&str, &str)] = match setting.key.as_str() {
        "bind_ton" | "src_ton" | "dst_ton" => &TONS,
        "bind_npi" | "src_npi" | "dst_npi" => &NPIS,
        "priority" => &PRIORITIES,
        _ => &[],
    };
    let found = names.iter().find(|(name, _)| *name == setting.value);
    let value = found.map_or(setting.value.as_str(), |(_, number)| *number).to_owned();
    Setting { value, ..setting.clone() }
}
