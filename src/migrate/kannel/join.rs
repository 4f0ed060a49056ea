//! Kannel's groups that are one channel: a transmitter and its receiver, and equal binds.

use serde_json::Value;

use super::super::Note;
use super::super::draft::Draft;
use super::note;
use crate::model::JsonObject;

/// One group's channel, not yet joined with others.
pub(super) struct Link {
    pub(super) draft: Draft,
    pub(super) named: bool,
    pub(super) mode: &'static str,
    pub(super) endpoint: String,
    pub(super) place: String,
    pub(super) count: u32,
}

/// Joins what belongs together: a transmitter and its receiver, and equal binds.
pub(super) fn join(links: &mut Vec<Link>, mut new: Link, notes: &mut Vec<Note>) {
    let mut own = std::mem::take(&mut new.draft.notes);
    if new.named {
        let same = |link: &&mut Link| link.named && link.draft.label == new.draft.label;
        if let Some(link) = links.iter_mut().filter(|link| link.mode == new.mode).find(same)
            && link.draft.config == new.draft.config
            && link.endpoint == new.endpoint
        {
            link.count += 1;
            let rate = if new.draft.config.contains_key("mt_tps") { ", and its throughput bind_tps" } else { "" };
            let text = format!("this group equals that at {}: it became bind_count {}{rate}", link.place, link.count);
            notes.push(note(&new.place, &text));
            return;
        }
        notes.append(&mut own);
        let other = match new.mode {
            "rx" => "tx",
            "tx" => "rx",
            _ => "",
        };
        if let Some(link) = links.iter_mut().filter(|link| link.mode == other).find(same) {
            let credentials = |draft: &Draft| ["system_id", "password"].map(|key| draft.config.get(key).cloned());
            if credentials(&link.draft) == credentials(&new.draft) {
                pair(link, new, notes);
                return;
            }
            let text = format!(
                "this group has other credentials than that at {}: they stay two channels, and receipts must come on the \
                 one that sends; ask the operator for a transceiver, or for one account",
                link.place
            );
            notes.push(note(&new.place, &text));
        }
    }
    notes.append(&mut own);
    links.push(new);
}

/// What is a receiver's business: which addresses it gets messages for, and how they are read.
const OF_RECEIVERS: [&str; 4] = ["address_range", "bind_addr_ton", "bind_addr_npi", "data_coding_overrides"];

/// What matters to both, and a channel has one of.
const OF_BOTH: [&str; 5] = ["system_type", "interface_version", "tls", "smpp_enquire_link_interval", "msg_id_type"];

fn pair(link: &mut Link, new: Link, notes: &mut Vec<Note>) {
    let text = format!("this group and that at {} became one channel with bind_type tx+rx", link.place);
    notes.push(note(&new.place, &text));
    let (transmitter, receiver) = if link.mode == "tx" { (&*link, &new) } else { (&new, &*link) };
    let (sends, reads) = (&transmitter.draft.config, &receiver.draft.config);
    let mut draft = transmitter.draft.clone();
    if transmitter.endpoint != receiver.endpoint {
        draft.set("receiver_endpoint", receiver.endpoint.as_str());
    }
    for key in OF_RECEIVERS {
        if let Some(value) = draft.config.remove(key).filter(|value| reads.get(key) != Some(value)) {
            let text = format!("the transmitter's own {key} {value} was left out: it is the receiver's business");
            notes.push(note(&transmitter.place, &text));
        }
        draft.config.extend(reads.get(key).map(|value| (key.to_owned(), value.clone())));
    }
    // Bit 0 is about responses, which the transmitter gets, bit 1 about receipts.
    let bits = |config: &JsonObject| config.get("msg_id_type")?.as_str()?.parse::<u8>().ok();
    let bits = bits(sends).zip(bits(reads)).map(|(response, receipt)| response & 1 | receipt & 2);
    if let Some(bits) = bits {
        draft.set("msg_id_type", bits.to_string());
    }
    for key in OF_BOTH.into_iter().filter(|key| *key != "msg_id_type" || bits.is_none()) {
        let (of_transmitter, of_receiver) = (sends.get(key), reads.get(key));
        if of_transmitter == of_receiver {
            continue;
        }
        let text = match of_receiver {
            Some(value) => format!("the receiver's own {key} {value} was left out: one channel has one"),
            None => format!("the receiver has the transmitter's {key} now: one channel has one"),
        };
        notes.push(note(&receiver.place, &text));
    }
    let endpoint = transmitter.endpoint.clone();
    *link = Link { draft, mode: "tx+rx", endpoint, named: true, place: link.place.clone(), count: 1 };
}

/// A channel with all that its groups came to.
pub(super) fn finish(link: Link) -> Draft {
    let mut draft = link.draft;
    draft.set("twisted_endpoint", link.endpoint);
    draft.set("bind_type", link.mode);
    if link.count > 1 {
        // Kannel paces each group by itself.
        if let Some(rate) = draft.config.remove("mt_tps") {
            draft.set("bind_tps", rate);
        }
        draft.set("bind_count", Value::from(link.count));
    }
    draft
}
