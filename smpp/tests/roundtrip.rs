//! Whatever we can build we can read back; whatever a peer sends costs neither a panic nor the stream.
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

use bytes::{Bytes, BytesMut};
use proptest::collection::vec;
use proptest::prelude::*;
use smpp::field::{DataCoding, EsmClass, MessageState, Npi, RegisteredDelivery, Ton};
use smpp::pdu::{
    AlertNotification, Bind, BindMode, BindResp, BroadcastSm, BroadcastSmResp, CancelBroadcastSm,
    CancelBroadcastSmResp, CancelSm, CancelSmResp, DataSm, DataSmResp, DeliverSm, DeliverSmResp, Destination,
    Destinations, EnquireLink, EnquireLinkResp, GenericNack, Outbind, QueryBroadcastSm, QueryBroadcastSmResp, QuerySm,
    QuerySmResp, ReplaceSm, ReplaceSmResp, SubmitMulti, SubmitMultiResp, SubmitSm, SubmitSmResp, Unbind, UnbindResp,
    Unsuccess, UnsuccessList,
};
use smpp::{Address, CString, CommandStatus, Password, Pdu, RawPdu, SequenceNumber, ShortMessage, Tag, Tlvs};

fn c_string<const MAX: usize>() -> impl Strategy<Value = CString<MAX>> {
    vec(1_u8..=255, 0..MAX).prop_map(|octets| CString::new(octets).unwrap())
}

fn address() -> impl Strategy<Value = Address> {
    (any::<u8>(), any::<u8>(), c_string()).prop_map(|(ton, npi, digits)| Address {
        ton: Ton(ton),
        npi: Npi(npi),
        digits,
    })
}

fn tag() -> impl Strategy<Value = Tag> {
    prop_oneof![prop::sample::select(Tag::ALL), any::<u16>().prop_map(Tag)]
}

fn tlvs() -> impl Strategy<Value = Tlvs> {
    (vec((tag(), vec(any::<u8>(), 0..40)), 0..6), vec(any::<u8>(), 0..4)).prop_map(|(list, stray)| {
        let mut tlvs = Tlvs::default();
        for (tag, value) in &list {
            tlvs.push(*tag, value);
        }
        Tlvs::from_octets([&tlvs.octets()[..], &stray].concat().into())
    })
}

fn message() -> impl Strategy<Value = ShortMessage> {
    vec(any::<u8>(), 0..=255).prop_map(|octets| ShortMessage::new(octets).unwrap())
}

type Text = (CString<6>, CString<17>, CString<17>, ShortMessage, Tlvs);

fn text() -> impl Strategy<Value = Text> {
    (c_string(), c_string(), c_string(), message(), tlvs())
}

fn submit_sm() -> impl Strategy<Value = SubmitSm> {
    (text(), address(), address(), any::<[u8; 7]>()).prop_map(|(text, source, destination, octets)| {
        let (service_type, schedule_delivery_time, validity_period, short_message, tlvs) = text;
        let [esm, protocol_id, priority_flag, registered, replace_if_present_flag, coding, sm_default_msg_id] = octets;
        SubmitSm {
            service_type,
            source,
            destination,
            esm_class: EsmClass(esm),
            protocol_id,
            priority_flag,
            schedule_delivery_time,
            validity_period,
            registered_delivery: RegisteredDelivery(registered),
            replace_if_present_flag,
            data_coding: DataCoding(coding),
            sm_default_msg_id,
            short_message,
            tlvs,
        }
    })
}

fn as_deliver_sm(submit: SubmitSm) -> DeliverSm {
    DeliverSm {
        service_type: submit.service_type,
        source: submit.source,
        destination: submit.destination,
        esm_class: submit.esm_class,
        protocol_id: submit.protocol_id,
        priority_flag: submit.priority_flag,
        schedule_delivery_time: submit.schedule_delivery_time,
        validity_period: submit.validity_period,
        registered_delivery: submit.registered_delivery,
        replace_if_present_flag: submit.replace_if_present_flag,
        data_coding: submit.data_coding,
        sm_default_msg_id: submit.sm_default_msg_id,
        short_message: submit.short_message,
        tlvs: submit.tlvs,
    }
}

fn destination() -> impl Strategy<Value = Destination> {
    prop_oneof![address().prop_map(Destination::Address), c_string().prop_map(Destination::List)]
}

fn submit_multi() -> impl Strategy<Value = SubmitMulti> {
    (submit_sm(), vec(destination(), 0..5)).prop_map(|(submit, destinations)| SubmitMulti {
        service_type: submit.service_type,
        source: submit.source,
        destinations: Destinations(destinations),
        esm_class: submit.esm_class,
        protocol_id: submit.protocol_id,
        priority_flag: submit.priority_flag,
        schedule_delivery_time: submit.schedule_delivery_time,
        validity_period: submit.validity_period,
        registered_delivery: submit.registered_delivery,
        replace_if_present_flag: submit.replace_if_present_flag,
        data_coding: submit.data_coding,
        sm_default_msg_id: submit.sm_default_msg_id,
        short_message: submit.short_message,
        tlvs: submit.tlvs,
    })
}

fn replace_sm() -> impl Strategy<Value = ReplaceSm> {
    (c_string(), submit_sm()).prop_map(|(message_id, submit)| ReplaceSm {
        message_id,
        source: submit.source,
        schedule_delivery_time: submit.schedule_delivery_time,
        validity_period: submit.validity_period,
        registered_delivery: submit.registered_delivery,
        sm_default_msg_id: submit.sm_default_msg_id,
        short_message: submit.short_message,
        tlvs: submit.tlvs,
    })
}

fn data_sm() -> impl Strategy<Value = DataSm> {
    submit_sm().prop_map(|submit| DataSm {
        service_type: submit.service_type,
        source: submit.source,
        destination: submit.destination,
        esm_class: submit.esm_class,
        registered_delivery: submit.registered_delivery,
        data_coding: submit.data_coding,
        tlvs: submit.tlvs,
    })
}

fn mode() -> impl Strategy<Value = BindMode> {
    prop::sample::select(&[BindMode::Transmitter, BindMode::Receiver, BindMode::Transceiver][..])
}

fn bind() -> impl Strategy<Value = Pdu> {
    (mode(), c_string(), c_string(), c_string(), any::<u8>(), address(), tlvs()).prop_map(
        |(mode, system_id, password, system_type, interface_version, address_range, tlvs)| {
            let password = Password(password);
            Pdu::Bind(mode, Bind { system_id, password, system_type, interface_version, address_range, tlvs })
        },
    )
}

fn lists() -> impl Strategy<Value = Pdu> {
    let unsuccess = (address(), any::<u32>())
        .prop_map(|(destination, error_status_code)| Unsuccess { destination, error_status_code });
    prop_oneof![
        submit_multi().prop_map(Pdu::from),
        (c_string(), vec(unsuccess, 0..5), tlvs()).prop_map(|(message_id, unsuccess, tlvs)| {
            SubmitMultiResp { message_id, unsuccess: UnsuccessList(unsuccess), tlvs }.into()
        }),
    ]
}

fn management() -> impl Strategy<Value = Pdu> {
    prop_oneof![
        bind(),
        (mode(), c_string(), tlvs())
            .prop_map(|(mode, system_id, tlvs)| Pdu::BindResp(mode, BindResp { system_id, tlvs })),
        (c_string(), c_string(), tlvs()).prop_map(|(system_id, password, tlvs)| {
            Outbind { system_id, password: Password(password), tlvs }.into()
        }),
        tlvs().prop_map(|tlvs| Unbind { tlvs }.into()),
        tlvs().prop_map(|tlvs| UnbindResp { tlvs }.into()),
        tlvs().prop_map(|tlvs| EnquireLink { tlvs }.into()),
        tlvs().prop_map(|tlvs| EnquireLinkResp { tlvs }.into()),
        tlvs().prop_map(|tlvs| GenericNack { tlvs }.into()),
        (address(), address(), tlvs()).prop_map(|(source, esme, tlvs)| AlertNotification { source, esme, tlvs }.into()),
    ]
}

fn message_operations() -> impl Strategy<Value = Pdu> {
    prop_oneof![
        submit_sm().prop_map(Pdu::from),
        submit_sm().prop_map(|submit| as_deliver_sm(submit).into()),
        data_sm().prop_map(Pdu::from),
        (c_string(), tlvs()).prop_map(|(message_id, tlvs)| SubmitSmResp { message_id, tlvs }.into()),
        (c_string(), tlvs()).prop_map(|(message_id, tlvs)| DeliverSmResp { message_id, tlvs }.into()),
        (c_string(), tlvs()).prop_map(|(message_id, tlvs)| DataSmResp { message_id, tlvs }.into()),
        (c_string(), address(), tlvs())
            .prop_map(|(message_id, source, tlvs)| QuerySm { message_id, source, tlvs }.into()),
        (c_string(), c_string(), any::<[u8; 2]>(), tlvs()).prop_map(
            |(message_id, final_date, [state, error_code], tlvs)| {
                QuerySmResp { message_id, final_date, message_state: MessageState(state), error_code, tlvs }.into()
            }
        ),
        (c_string(), c_string(), address(), address(), tlvs()).prop_map(
            |(service_type, message_id, source, destination, tlvs)| {
                CancelSm { service_type, message_id, source, destination, tlvs }.into()
            }
        ),
        tlvs().prop_map(|tlvs| CancelSmResp { tlvs }.into()),
        replace_sm().prop_map(Pdu::from),
        tlvs().prop_map(|tlvs| ReplaceSmResp { tlvs }.into()),
    ]
}

fn broadcasts() -> impl Strategy<Value = Pdu> {
    prop_oneof![
        (submit_sm(), c_string()).prop_map(|(submit, message_id)| {
            BroadcastSm {
                service_type: submit.service_type,
                source: submit.source,
                message_id,
                priority_flag: submit.priority_flag,
                schedule_delivery_time: submit.schedule_delivery_time,
                validity_period: submit.validity_period,
                replace_if_present_flag: submit.replace_if_present_flag,
                data_coding: submit.data_coding,
                sm_default_msg_id: submit.sm_default_msg_id,
                tlvs: submit.tlvs,
            }
            .into()
        }),
        (c_string(), tlvs()).prop_map(|(message_id, tlvs)| BroadcastSmResp { message_id, tlvs }.into()),
        (c_string(), address(), tlvs()).prop_map(|(message_id, source, tlvs)| QueryBroadcastSm {
            message_id,
            source,
            tlvs
        }
        .into()),
        (c_string(), tlvs()).prop_map(|(message_id, tlvs)| QueryBroadcastSmResp { message_id, tlvs }.into()),
        (c_string(), c_string(), address(), tlvs()).prop_map(|(service_type, message_id, source, tlvs)| {
            CancelBroadcastSm { service_type, message_id, source, tlvs }.into()
        }),
        tlvs().prop_map(|tlvs| CancelBroadcastSmResp { tlvs }.into()),
    ]
}

fn pdu() -> impl Strategy<Value = Pdu> {
    prop_oneof![4 => message_operations(), 2 => management(), 1 => lists(), 1 => broadcasts()]
}

fn encoded(pdu: &Pdu, sequence: u32) -> BytesMut {
    let mut out = BytesMut::new();
    pdu.encode(CommandStatus::ESME_ROK, SequenceNumber(sequence), &mut out);
    out
}

proptest! {
    #[test]
    fn every_pdu_reads_back_as_it_was_built(pdu in pdu(), sequence in any::<u32>()) {
        let mut buffer = encoded(&pdu, sequence);
        let raw = RawPdu::split(&mut buffer, usize::MAX).unwrap().unwrap();
        prop_assert!(buffer.is_empty());
        prop_assert_eq!(raw.sequence.0, sequence);
        prop_assert_eq!(Pdu::decode(&raw), Ok(pdu));
    }

    #[test]
    fn any_cut_of_the_input_gives_the_same_pdus(pdus in vec(pdu(), 1..6), cuts in vec(any::<prop::sample::Index>(), 0..12)) {
        let wire: Vec<u8> = pdus.iter().flat_map(|pdu| encoded(pdu, 1)).collect();
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(wire.len())).chain([0, wire.len()]).collect();
        cuts.sort_unstable();
        let (mut buffer, mut read) = (BytesMut::new(), Vec::new());
        for pair in cuts.windows(2) {
            buffer.extend_from_slice(&wire[pair[0]..pair[1]]);
            while let Some(raw) = RawPdu::split(&mut buffer, usize::MAX).unwrap() {
                read.push(Pdu::decode(&raw).unwrap());
            }
        }
        prop_assert_eq!(read, pdus);
    }

    #[test]
    fn arbitrary_bodies_neither_panic_nor_change_when_they_decode(
        id in prop_oneof![0_u32..0x24, 0x8000_0000_u32..0x8000_0024, 0x102_u32..0x104, 0x111_u32..0x114, any::<u32>()],
        status in prop_oneof![Just(0_u32), any::<u32>()],
        body in vec(any::<u8>(), 0..300),
    ) {
        let raw = RawPdu {
            id: smpp::CommandId(id),
            status: CommandStatus(status),
            sequence: SequenceNumber(9),
            body: Bytes::from(body),
        };
        let description = smpp::Description::of(&raw);
        prop_assert!(!description.to_string().is_empty());
        match Pdu::decode(&raw) {
            Err(error) => prop_assert!((16..=16 + raw.body.len()).contains(&error.offset), "{}", error),
            Ok(pdu) => prop_assert_eq!(pdu.command_id(), raw.id),
        }
    }
}
