//! Where a live answer differs from the recorded one: command, status, body and optional parameters, but not message ids,
//! which every SMSC gives as it likes.

use smpp::{CommandId, CommandStatus, Description, Pdu, SequenceNumber, Value};

use super::plan::Answer;

/// An answer that is not as recorded.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// The conversation's number in the capture, from 1.
    pub conversation: usize,
    /// The request's number in the conversation, from 1.
    pub number: usize,
    /// The request.
    pub request: CommandId,
    /// The answer in the recording; `None` for a bind of which only the acceptance is known.
    pub recorded: Option<Answer>,
    /// The answer that came.
    pub live: Option<Answer>,
    /// What is not the same in them.
    pub what: What,
}

/// How an answer differs.
#[derive(Clone, Debug, PartialEq)]
pub enum What {
    /// It did not come in time.
    Missing,
    /// The request could not be sent, for this reason.
    NotSent(String),
    /// Fields have other values.
    Fields(Vec<FieldDifference>),
}

/// One field of two answers.
#[derive(Clone, Debug, PartialEq)]
pub struct FieldDifference {
    /// The standard's name: `command`, `status`, a field of the body, or an optional parameter.
    pub name: String,
    /// What the recording has.
    pub recorded: Option<Value>,
    /// What came.
    pub live: Option<Value>,
}

/// The fields in which two answers differ; none when they say the same.
pub(super) fn compare(recorded: &Answer, live: &Answer) -> Vec<FieldDifference> {
    let mut differences = Vec::new();
    let (recorded_pdu, live_pdu) = (without_id(&recorded.pdu), without_id(&live.pdu));
    if recorded.status == live.status && recorded_pdu == live_pdu {
        return differences;
    }
    let mut compare = |name: &str, recorded: Option<Value>, live: Option<Value>| {
        // An empty string and a body that ends before it say the same (field guide §8.3).
        let said = |value: Option<Value>| value.filter(|value| *value != Value::Text(String::new()));
        let (recorded, live) = (said(recorded), said(live));
        if recorded != live {
            differences.push(FieldDifference { name: name.to_owned(), recorded, live });
        }
    };
    let text = |text: String| Some(Value::Text(text));
    compare("command", text(recorded_pdu.command_id().to_string()), text(live_pdu.command_id().to_string()));
    compare("status", text(recorded.status.to_string()), text(live.status.to_string()));
    let (recorded, live) = (describe(&recorded_pdu), describe(&live_pdu));
    // A body that did not come says nothing; two bodies of one command have the same fields.
    for ((name, value), (other, live)) in recorded.fields.iter().zip(&live.fields) {
        if name == other {
            compare(name, Some(value.clone()), Some(live.clone()));
        }
    }
    for (tag, value, _) in &recorded.tlvs {
        let other = live.tlvs.iter().find(|(other, ..)| other == tag);
        compare(&tag.to_string(), Some(value.clone()), other.map(|(_, value, _)| value.clone()));
    }
    for (tag, value, _) in live.tlvs.iter().filter(|(tag, ..)| !recorded.tlvs.iter().any(|(other, ..)| other == tag)) {
        compare(&tag.to_string(), None, Some(value.clone()));
    }
    differences
}

fn describe(pdu: &Pdu) -> Description {
    Description::of(&pdu.to_raw(CommandStatus::ESME_ROK, SequenceNumber(0)))
}

fn without_id(pdu: &Pdu) -> Pdu {
    let mut pdu = pdu.clone();
    match &mut pdu {
        Pdu::SubmitSmResp(body) => body.message_id = Default::default(),
        Pdu::SubmitMultiResp(body) => body.message_id = Default::default(),
        Pdu::DataSmResp(body) => body.message_id = Default::default(),
        Pdu::DeliverSmResp(body) => body.message_id = Default::default(),
        Pdu::QuerySmResp(body) => body.message_id = Default::default(),
        _ => {}
    }
    pdu
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]
    use smpp::pdu::SubmitSmResp;
    use smpp::{Tag, Tlvs};

    use super::*;

    fn answer(status: CommandStatus, id: &str, tlvs: Tlvs) -> Answer {
        Answer { status, pdu: SubmitSmResp { message_id: id.try_into().unwrap(), tlvs }.into() }
    }

    #[test]
    fn ids_and_missing_bodies_are_no_differences_statuses_and_parameters_are() {
        let ok = answer(CommandStatus::ESME_ROK, "1", Tlvs::default());
        assert_eq!(compare(&ok, &answer(CommandStatus::ESME_ROK, "2", Tlvs::default())), []);
        let refused = |pdu| Answer { status: CommandStatus::ESME_RTHROTTLED, pdu };
        let bare = refused(Pdu::NoBody(CommandId::SUBMIT_SM_RESP));
        assert_eq!(compare(&refused(SubmitSmResp::default().into()), &bare), []);
        assert_eq!(compare(&bare, &refused(SubmitSmResp::default().into())), []);
        let mut tlvs = Tlvs::default();
        tlvs.push_integer(Tag::DPF_RESULT, 1);
        let found = compare(&ok, &answer(CommandStatus::ESME_RSYSERR, "1", tlvs));
        let names: Vec<&str> = found.iter().map(|difference| difference.name.as_str()).collect();
        assert_eq!(names, ["status", "dpf_result"]);
        assert_eq!(found[1].live, Some(Value::Integer(1)));
    }
}
