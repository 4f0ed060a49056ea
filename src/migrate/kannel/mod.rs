//! Kannel: `group = smsc` with `smsc = smpp` becomes a channel.
//!
//! A key that is absent takes Kannel's default explicitly where ours differs. Two groups of one smsc-id, a transmitter
//! and a receiver with the same credentials, become one channel with `tx+rx`; equal groups become `bind_count`.

mod file;
mod join;
mod keys;
mod numbers;

use std::path::Path;

use serde_json::json;
use smpp::text::Charset;

pub(super) use self::file::Group;
use self::join::{Link, finish, join};
pub(super) use self::numbers::integer;
use super::draft::{Draft, Setting, endpoint};
use super::{MigrateError, Migration, Note, channel, vendor_tlvs};
use crate::model::JsonObject;

pub(super) fn migrate(path: &Path) -> Result<Migration, MigrateError> {
    let groups = file::groups(path)?;
    let mut notes = Vec::new();
    let mut links: Vec<Link> = Vec::new();
    let core = groups.iter().find(|group| group.text("group") == Some("core"));
    for group in &groups {
        match (group.text("group").unwrap_or_default(), group.text("smsc")) {
            ("smsc", Some("smpp")) => {
                join(&mut links, link(group, core), &mut notes);
            }
            ("smsc", other) => {
                let other = other.unwrap_or("nothing");
                notes.push(note(&group.place, &format!("this smsc group speaks {other}, not smpp: left out")));
            }
            // Once all channels are known.
            ("smpp-tlv", _) => {}
            (other, _) => notes
                .push(note(&group.place, &format!("group '{other}' is not an SMSC connection: {}", elsewhere(other)))),
        }
    }
    if links.is_empty() {
        let message = "there is no group = smsc with smsc = smpp in it".to_owned();
        return Err(MigrateError::Nothing { path: path.to_owned(), message });
    }
    let mut drafts: Vec<_> =
        links.iter_mut().map(|link| (link.named.then(|| link.draft.label.clone()), &mut link.draft)).collect();
    let parameters = groups.iter().filter(|group| group.text("group") == Some("smpp-tlv"));
    vendor_tlvs::of_kannel(parameters, &mut drafts, &mut notes);
    let channels = links.into_iter().map(|link| channel(finish(link))).collect();
    Ok(Migration { channels, notes, problems: Vec::new() })
}

fn note(place: &str, text: &str) -> Note {
    Note { place: place.to_owned(), text: text.to_owned() }
}

/// Where the business of another group is done here.
fn elsewhere(group: &str) -> &'static str {
    match group {
        "core" => "its keys are those of the server's own configuration file",
        "smsbox" | "sendsms-user" => "messages are sent with POST /channels/ID/messages/",
        "sms-service" | "smsbox-route" => "messages from phones go to the `mo_url` of the channel, or through a router",
        "dlr-db" | "mysql-connection" | "pgsql-connection" | "redis-connection" | "sqlite3-connection"
        | "oracle-connection" | "mssql-connection" | "sdb-connection" | "sqlite-connection" => {
            "message ids are kept in the server's own store"
        }
        _ => "there is nothing for it here",
    }
}

fn link(group: &Group, core: Option<&Group>) -> Link {
    let mut draft = Draft::default();
    let group = &numbers::plain(group, &mut draft);
    for setting in &group.settings {
        match setting.key.starts_with("generic-") {
            true => draft.note(setting, &format!("has no counterpart: {}", keys::HTTP)),
            false => draft.apply(keys::RULES, setting),
        }
    }
    let named = group.text("smsc-id").is_some();
    draft.label = group.text("smsc-id").or_else(|| group.text("host")).unwrap_or("kannel").to_owned();
    credentials(&mut draft, group);
    numbering(&mut draft, group);
    alphabet(&mut draft, group);
    encryption(&mut draft, group, core);
    answers(&mut draft, group, core);
    arriving(&mut draft, core);
    let (mode, port) = mode(&mut draft, group);
    let host = group.text("host").unwrap_or_default();
    let endpoint = endpoint(host, &port, group.text("our-host"));
    Link { draft, named, mode, endpoint, place: group.place.clone(), count: 1 }
}

fn credentials(draft: &mut Draft, group: &Group) {
    if let Some(setting) = group.setting("system-id") {
        if group.text("smsc-username").is_none() {
            draft.set("system_id", setting.value.as_str());
            draft.note(setting, &format!("became system_id {}", setting.value));
        } else {
            draft.note(setting, "was left out: smsc-username counts, as in Kannel");
        }
    }
    draft.set("system_type", group.text("system-type").unwrap_or("VMA"));
    draft.otherwise("smpp_enquire_link_interval", 30);
    draft.otherwise("window_size", 10);
    draft.otherwise("response_timeout", 60);
    draft.otherwise("initial_reconnect_delay", 10);
    draft.otherwise("max_reconnect_delay", 10);
    draft.otherwise("esm_class", 3);
}

/// Kannel: national unless the address has a `+` or, if it is a sender, letters.
fn numbering(draft: &mut Draft, group: &Group) {
    let detect = group.boolean("source-addr-autodetect").unwrap_or(true);
    draft.set("address_autodetect", detect);
    if let Some(setting) = group.setting("source-addr-autodetect").filter(|_| !detect) {
        let how = "became address_autodetect false; that is for destinations too: give them without '+'";
        draft.note(setting, how);
    }
    for (key, value) in [("source_addr_ton", 2), ("source_addr_npi", 1), ("dest_addr_ton", 2), ("dest_addr_npi", 1)] {
        draft.otherwise(key, value);
    }
}

fn alphabet(draft: &mut Draft, group: &Group) {
    let Some(setting) = group.setting("alt-charset") else { return };
    match Charset::named(&setting.value) {
        Some(Charset::Gsm7) => draft.note(setting, "is what an absent key means: GSM 03.38"),
        Some(charset) => {
            let name = charset.name();
            draft.set("data_coding_overrides", json!({"0": name}));
            draft.set("submit_sm_encoding", name);
            draft.set("submit_sm_data_coding", 0);
            let how = format!(
                "became data_coding_overrides {{\"0\": \"{name}\"}} and submit_sm_encoding {name}; text with other \
                 characters is refused, a second channel without these keys sends it in UCS-2"
            );
            draft.note(setting, &how);
        }
        None => draft.note(
            setting,
            "has no counterpart: the alphabets are gsm0338, ascii, latin1, cp1252, utf-8 and ucs2; set \
             data_coding_overrides and submit_sm_encoding to the nearest",
        ),
    }
}

/// Of the core group two keys are about every connection with TLS.
fn encryption(draft: &mut Draft, group: &Group, core: Option<&Group>) {
    let own = group.setting("ssl-client-certkey-file");
    let Some(setting) = group.setting("use-ssl").filter(|_| group.boolean("use-ssl") == Some(true)) else {
        if let Some(setting) = own {
            draft.note(setting, "was left out: there is no TLS without use-ssl");
        }
        return;
    };
    let certificate = own.or_else(|| core?.setting("ssl-client-certkey-file"));
    let authority = core.and_then(|core| core.setting("ssl-trusted-ca-file"));
    let mut tls = JsonObject::new();
    for (key, file) in [("certificate_file", certificate), ("key_file", certificate), ("ca_file", authority)] {
        tls.extend(file.map(|file| (key.to_owned(), json!(file.value))));
    }
    draft.set("tls", tls);
    let how = match authority {
        Some(_) => "became tls",
        None => {
            "became tls; the SMSC's certificate is checked now: name the authority in tls.ca_file if it is a private one"
        }
    };
    draft.note(setting, how);
    if let Some(setting) = certificate {
        draft.note(setting, "became tls.certificate_file and tls.key_file");
    }
    if let Some(setting) = authority {
        draft.note(setting, "became tls.ca_file");
    }
}

/// What becomes of a message without an answer, or with a bad one.
fn answers(draft: &mut Draft, group: &Group, core: Option<&Group>) {
    let timeout = match group.setting("wait-ack-expire") {
        None => "resend",
        Some(setting) => {
            let word = match setting.value.as_str() {
                "0" => "reconnect",
                "1" => "resend",
                "2" => "wait",
                _ => {
                    draft.note(setting, "was left out: 0, 1 and 2 are known; it is sent again as with 1");
                    "resend"
                }
            };
            draft.note(setting, &format!("became on_response_timeout {word}"));
            word
        }
    };
    draft.set("on_response_timeout", timeout);
    let kind = match group.setting("msg-id-type") {
        None => "string",
        Some(setting) if matches!(setting.value.as_str(), "0" | "1" | "2" | "3") => setting.value.as_str(),
        Some(setting) => {
            draft.note(setting, "was left out: 0 to 3 are known; msg_id_type auto learns how ids are written");
            "auto"
        }
    };
    draft.set("msg_id_type", kind);
    let number = |key: &str, default: i64| core.and_then(|core| core.text(key)).and_then(integer).unwrap_or(default);
    // `sms-resend-retry` and `sms-resend-freq` of the core group.
    let rule = json!({"count": number("sms-resend-retry", -1).max(-1), "delay": number("sms-resend-freq", 60).max(1)});
    draft.set("retry", json!({"ESME_RSYSERR": rule, "ESME_RX_T_APPN": rule}));
    for key in ["sms-resend-retry", "sms-resend-freq"] {
        if let Some(setting) = core.and_then(|core| core.setting(key)) {
            draft.note(setting, "became retry for ESME_RSYSERR and ESME_RX_T_APPN; the wait doubles up to an hour");
        }
    }
}

/// Messages from phones.
fn arriving(draft: &mut Draft, core: Option<&Group>) {
    // Octets that are no text are handed on.
    draft.set("binary", "base64");
    let (join, timeout) = ("sms-combine-concatenated-mo", "sms-combine-concatenated-mo-timeout");
    let seconds = core.and_then(|core| integer(core.text(timeout)?)).unwrap_or(1_800).max(1);
    draft.set("multipart_timeout", seconds);
    if let Some(setting) = core.and_then(|core| core.setting(timeout)) {
        draft.note(setting, &format!("became multipart_timeout {seconds}"));
    }
    if let Some(core) = core.filter(|core| core.boolean(join) == Some(false))
        && let Some(setting) = core.setting(join)
    {
        draft.note(setting, "has no counterpart: long messages are always joined");
    }
}

fn mode(draft: &mut Draft, group: &Group) -> (&'static str, String) {
    let given = |key: &str| group.setting(key).filter(|setting| setting.value.trim() != "0");
    let transceiver = group.boolean("transceiver-mode").unwrap_or(false);
    let (port, receive) = (given("port"), given("receive-port"));
    if let (Some(setting), true) = (receive, transceiver) {
        draft.note(setting, "was left out: a transceiver uses port, as in Kannel");
    }
    let text =
        |setting: Option<&Setting>| setting.map_or_else(|| "2775".to_owned(), |port| port.value.trim().to_owned());
    match (transceiver, port, receive) {
        (true, port, _) => ("trx", text(port)),
        (false, Some(port), Some(receive)) => {
            // Kannel up to 1.4.3 takes both in one group.
            let host = group.text("host").unwrap_or_default();
            let receiver = endpoint(host, receive.value.trim(), group.text("our-host"));
            if receive.value.trim() != port.value.trim() {
                draft.set("receiver_endpoint", receiver);
            }
            draft.note(receive, "and port became bind_type tx+rx");
            ("tx+rx", text(Some(port)))
        }
        (false, None, Some(receive)) => ("rx", text(Some(receive))),
        (false, port, None) => ("tx", text(port)),
    }
}
