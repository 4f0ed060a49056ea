//! `maybug check`: problems of our own files, and what others' files become.

use std::path::{Path, PathBuf};

use maybug::channel::ChannelType;
use maybug::channel::esme::Smpp;
use serde_json::Value;

use crate::support::{maybug, stderr, stdout};

fn configs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/configs")
}

/// The channels of a file and what is said about it.
fn import(from: &str, path: &Path) -> (Vec<Value>, String) {
    let output = maybug(&["check", "--from", from, "--json", path.to_str().unwrap()]);
    assert!(output.status.success(), "{}", stderr(&output));
    let channels: Vec<Value> = stdout(&output).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for channel in &channels {
        assert_eq!(channel["type"], "smpp");
        assert_eq!(Smpp::default().check(channel["config"].as_object().unwrap()), Ok(()));
    }
    (channels, stderr(&output).to_owned())
}

/// `NAME.expected` has what is said, an empty line, and the channels, one a line.
#[test]
fn files_as_they_are_in_the_field_become_channels() {
    for (from, file, channels) in [
        ("kannel", "kannel.conf", 2),
        ("jasmin", "jasmin.jcli", 3),
        ("vumi", "vumi.yaml", 1),
        ("vumi", "vumi-multi.yaml", 2),
        ("vumi", "vumi-flat.yaml", 2),
        ("junebug", "junebug-channel.json", 1),
    ] {
        let (imported, said) = import(from, &configs().join(file));
        assert_eq!(imported.len(), channels, "{file}");
        let lines: Vec<String> = imported.iter().map(ToString::to_string).collect();
        let expected = std::fs::read_to_string(configs().join(format!("{file}.expected"))).unwrap();
        let (notes, objects) = expected.split_once("\n\n").unwrap();
        assert_eq!(said.trim_end(), notes, "{file}");
        assert_eq!(lines.join("\n"), objects.trim_end(), "{file}");
    }
}

/// A row of field guide §1.8: a setting, or several with `,`, and what it becomes (`key: value`, several with `;`) or a part of what is said
/// about it (after `-`).
const KANNEL: &str = r#"
    smsc-id = mno                   | label: "mno"
    smsc-admin-id = x               | - has no counterpart: a channel is administered by its id
    host = other                    | twisted_endpoint: "tcp:host=other:port=2775"
    port = 9000                     | twisted_endpoint: "tcp:host=smsc.example:port=9000"
    port = 0xad7                    | twisted_endpoint: "tcp:host=smsc.example:port=2775"
    receive-port = 9000             | - was left out: a transceiver uses port
    our-host = 10.0.0.1             | twisted_endpoint: "tcp:host=smsc.example:port=2775:bindAddress=10.0.0.1"
    our-port = 1                    | - has no counterpart: the local port
    our-receiver-port = 1           | - has no counterpart: the local port
    use-ssl = yes                   | tls: {}
    ssl-client-certkey-file = x.pem | - was left out: there is no TLS without use-ssl
    transceiver-mode = no           | bind_type: "tx"
    smsc-username = you             | system_id: "you"
    system-id = you                 | - was left out: smsc-username counts
    smsc-password = whole_and_long  | password: "whole_and_long"; send_full_password: true
    system-type = SMPP              | system_type: "SMPP"
    interface-version = 33          | interface_version: "33"
    interface-version = 0x22        | interface_version: "34"
    address-range = ^27             | address_range: "^27"
    bind-addr-ton = 1               | bind_addr_ton: 1
    bind-addr-npi = 2               | bind_addr_npi: 2
    service-type = CMT              | service_type: "CMT"
    source-addr-ton = 3, source-addr-npi = 4 | source_addr_ton: 3; source_addr_npi: 4
    source-addr-ton = 3             | source_addr_ton: 2; source_addr_npi: 1
    source-addr-npi = 4             | - was left out: Kannel takes TON and NPI only where both are given
    dest-addr-ton = 5, dest-addr-npi = 6 | dest_addr_ton: 5; dest_addr_npi: 6
    dest-addr-ton = -1, dest-addr-npi = 6 | dest_addr_ton: 2; dest_addr_npi: 1
    source-addr-autodetect = no     | address_autodetect: false; source_addr_ton: 2
    my-number = 40404               | - has no counterpart: `to` of a message from a phone
    alt-charset = LATIN1            | data_coding_overrides: {"0": "latin1"}; submit_sm_encoding: "latin1"
    alt-charset = KOI8-R            | - has no counterpart: the alphabets are
    alt-addr-charset = gsm          | - has no counterpart: senders with letters must be ASCII
    alt-dcs = 1                     | - has no counterpart: `submit_sm_data_coding`
    esm-class = 0                   | esm_class: 0
    esm-class = 0x03                | esm_class: 3
    esm-class = 1                   | esm_class: 3
    validityperiod = 2              | validity_period: 120
    validityperiod = 0x10           | validity_period: 960
    validityperiod = x              | - was left out: Kannel finds no number in it
    validityperiod = 0              | - was left out: Field 'validityperiod' must be a number of minutes
    priority = 2                    | priority_flag: 2
    enquire-link-interval = 7       | smpp_enquire_link_interval: 7
    enquire-link-interval = 0       | smpp_enquire_link_interval: 1
    connection-timeout = 300        | - has no counterpart: a silent link
    wait-ack = 5                    | response_timeout: 5
    wait-ack = 0x10                 | response_timeout: 16
    wait-ack = 010                  | response_timeout: 8
    wait-ack = +5 seconds           | response_timeout: 5
    wait-ack = 0                    | response_timeout: 1
    wait-ack = soon                 | response_timeout: 60
    wait-ack-expire = 0             | on_response_timeout: "reconnect"
    wait-ack-expire = 0x00          | on_response_timeout: "reconnect"
    wait-ack-expire = 1             | on_response_timeout: "resend"
    wait-ack-expire = 2             | on_response_timeout: "wait"
    wait-ack-expire = 3             | - was left out: 0, 1 and 2 are known
    reconnect-delay = 20            | initial_reconnect_delay: 20; max_reconnect_delay: 20
    reconnect-delay = 0             | initial_reconnect_delay: 1; max_reconnect_delay: 1
    max-pending-submits = 50        | window_size: 50
    max-pending-submits = 65536     | window_size: 10000
    throughput = 0.5                | mt_tps: 0.5
    throughput = -1                 | mt_tps: 0
    throughput = 10 a second        | mt_tps: 10
    msg-id-type = 3                 | msg_id_type: "3"
    msg-id-type = 0x01              | msg_id_type: "1"
    msg-id-type = 0x03              | msg_id_type: "3"
    msg-id-type = 9                 | msg_id_type: "auto"
    msg-id-type = hex               | msg_id_type: "string"
    allowed-smsc-id = x             | - has no counterpart: messages are posted to the channel
    denied-smsc-id = x              | - has no counterpart: messages are posted to the channel
    preferred-smsc-id = x           | - has no counterpart: messages are posted to the channel
    allowed-prefix = 27             | - has no counterpart: messages are posted to the channel
    denied-prefix = 27              | - has no counterpart: messages are posted to the channel
    preferred-prefix-regex = 27     | - has no counterpart: messages are posted to the channel
    reroute = yes                   | - has no counterpart: messages are posted to the channel
    reroute-dlr = yes               | - has no counterpart: a receipt goes to the `event_url`
    log-file = x                    | - has no counterpart: each channel has a log
    log-level = 0                   | - has no counterpart: each channel has a log
    max-sms-octets = 140            | - has no counterpart: long text is cut
    generic-param-to = x            | - has no counterpart: it is for HTTP gateways
    priority = 0                    | binary: "base64"; multipart_timeout: 1800
    dead-start = yes                | - has no counterpart: a channel binds once it is created
    smsc-user-name = x              | - nobody knows this key, did you mean 'smsc-username'?
"#;

const JASMIN: &str = r#"
    host 10.0.0.1                   | twisted_endpoint: "tcp:host=10.0.0.1:port=2775"
    port 9000                       | twisted_endpoint: "tcp:host=127.0.0.1:port=9000"
    ssl yes                         | tls: {}
    bind transmitter                | bind_type: "tx"
    bind both                       | - was left out: Field 'bind' must be one of
    username you                    | system_id: "you"
    password whole_and_long         | password: "whole_and_long"; send_full_password: true
    systype VMA                     | system_type: "VMA"
    addr_range ^27                  | address_range: "^27"; esm_class: 3
    addr_range none                 | address_range: null
    bind_ton 1                      | bind_addr_ton: 1
    bind_npi ISDN                   | bind_addr_npi: 1
    service_type CMT                | service_type: "CMT"
    src_ton ALPHANUMERIC            | source_addr_ton: 5
    src_npi 3                       | source_addr_npi: 3
    dst_ton 2                       | dest_addr_ton: 2
    dst_npi LAND_MOBILE             | dest_addr_npi: 6
    src_addr 40404                  | - has no counterpart: give each message its `from`
    coding 8                        | submit_sm_data_coding: 8; submit_sm_encoding: "ucs2"
    coding 6                        | submit_sm_data_coding: 6; submit_sm_encoding: "iso8859-5"
    coding 14                       | submit_sm_data_coding: 14; submit_sm_encoding: "euc-kr"
    coding 4                        | - has no counterpart: text is encoded here
    coding None                     | submit_sm_encoding: null
    validity 60                     | validity_period: 60
    priority LEVEL_2                | priority_flag: 2
    proto_id 5                      | protocol_id: 5
    def_msg_id 3                    | - has no counterpart: canned messages
    ripf 1                          | - has no counterpart: a message never replaces
    elink_interval 7                | smpp_enquire_link_interval: 7
    elink_interval 0                | smpp_enquire_link_interval: 30
    elink_interval 0                | - was left out: Jasmin then never asks
    trx_to 90                       | - has no counterpart: a silent link
    bind_to 20                      | smpp_bind_timeout: 20
    pdu_red_to 5                    | pdu_read_timeout: 5
    res_to 40                       | response_timeout: 40
    con_loss_retry no               | - has no counterpart: a channel is always bound again
    con_loss_delay 5                | initial_reconnect_delay: 5; max_reconnect_delay: 10
    con_loss_delay 2.5              | initial_reconnect_delay: 2.5; max_reconnect_delay: 10
    con_loss_delay 0                | initial_reconnect_delay: 1; max_reconnect_delay: 10
    con_fail_retry no               | - has no counterpart: a channel is always bound again
    con_fail_delay 60               | initial_reconnect_delay: 10; max_reconnect_delay: 60
    submit_throughput 0             | mt_tps: 0
    submit_throughput -1            | mt_tps: 0
    submit_throughput 0.5           | mt_tps: 0.5
    requeue_delay 60                | - has no counterpart: a message waits in its channel's queue
    dlr_expiry 60                   | - has no counterpart: message ids are kept
    dlr_msgid 2                     | msg_id_type: 2; binary: "base64"
    custom_tlvs 0x1403,Int1,1       | vendor_tlvs: {"tlv_0x1403": {"tag": "0x1403", "type": "integer", "length": 1}}
    custom_tlvs 0x1403,Int1,1,Required | vendor_tlvs: {"tlv_0x1403": {"tag": "0x1403", "type": "integer", "length": 1, "required": true}}
    custom_tlvs 0x1403,Int1,1,      | vendor_tlvs: {"tlv_0x1403": {"tag": "0x1403", "type": "integer", "length": 1}}
    custom_tlvs NONE                | vendor_tlvs: null
    custom_tlvs 0x1403,Text,1       | - which was left out: its type 'Text' is none of
    logfile x                       | - has no counterpart: each channel has a log
    loglevel 10                     | - has no counterpart: each channel has a log
    logrotate W6                    | - has no counterpart: each channel has a log
    logprivacy yes                  | - has no counterpart: the server has it for all channels
    elink_intervall 1               | - nobody knows this key, did you mean 'elink_interval'?
"#;

/// Jasmin's `trx_to`, 300 unless given, begins anew with each PDU, enquire_link included; our `idle_timeout` does not.
#[test]
fn a_bind_of_jasmin_s_is_not_given_up_for_being_idle() {
    let (channels, _) = import("jasmin", &configs().join("jasmin.jcli"));
    assert!(channels.iter().all(|channel| channel["config"].get("idle_timeout").is_none()), "{channels:?}");
}

fn every_row(from: &str, table: &str, file: impl Fn(&str) -> String) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("config");
    for row in table.lines().filter(|row| !row.trim().is_empty()) {
        let (setting, becomes) = row.split_once('|').unwrap();
        let (setting, becomes) = (setting.trim(), becomes.trim());
        std::fs::write(&path, file(setting)).unwrap();
        let (channels, said) = import(from, &path);
        assert_eq!(channels.len(), 1, "{setting}");
        if let Some(note) = becomes.strip_prefix("- ") {
            assert!(said.contains(note), "{setting}: {said}");
            continue;
        }
        for pair in becomes.split("; ") {
            let (key, value) = pair.split_once(": ").unwrap();
            let value: Value = serde_json::from_str(value).unwrap();
            let found = if key == "label" { &channels[0][key] } else { &channels[0]["config"][key] };
            assert_eq!(found, &value, "{setting}: {key}");
        }
    }
}

#[test]
fn every_key_of_kannel_maps_or_is_named() {
    // The last of two equal keys counts.
    every_row("kannel", KANNEL, |setting| {
        format!(
            "group = smsc\nsmsc = smpp\nhost = smsc.example\nport = 2775\ntransceiver-mode = true\n\
             smsc-username = me\nsmsc-password = s3cret\nsystem-type = VMA\n{}\n",
            setting.replace(", ", "\n")
        )
    });
}

#[test]
fn every_key_of_jasmin_maps_or_is_named() {
    every_row("jasmin", JASMIN, |setting| format!("smppccm -a\ncid acme\n{setting}\nok\n"));
}

/// `sms-…` keys of the core group are about the channels.
#[test]
fn what_kannel_s_core_group_says_of_messages_is_said_of_each_channel() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("kannel.conf");
    let smsc = "group = smsc\nsmsc = smpp\nhost = h\nsmsc-username = u\nsmsc-password = p\nsystem-type = VMA\n";
    let core = "group = core\nsms-combine-concatenated-mo = off\nsms-combine-concatenated-mo-timeout = 0x3c\n\
                sms-resend-freq = 010\nsms-resend-retry = 0x02\n\n";
    std::fs::write(&path, format!("{core}{smsc}")).unwrap();
    let (channels, said) = import("kannel", &path);
    let config = &channels[0]["config"];
    assert_eq!(config["multipart_timeout"], 60);
    assert_eq!(config["retry"]["ESME_RSYSERR"], serde_json::json!({"count": 2, "delay": 8}));
    for note in
        ["mo = off' has no counterpart: long messages are always joined", "timeout = 0x3c' became multipart_timeout 60"]
    {
        assert!(said.contains(note), "{said}");
    }
}

#[test]
fn files_for_tls_in_kannel_s_core_group_are_each_connections() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("kannel.conf");
    let smsc =
        "group = smsc\nsmsc = smpp\nhost = h\nsmsc-username = u\nsmsc-password = p\nsystem-type = VMA\nuse-ssl = on\n";
    let core = "group = core\nssl-trusted-ca-file = /no/ca.pem\nssl-client-certkey-file = /no/key.pem\n\n";
    for (own, certificate) in [("", "/no/key.pem"), ("ssl-client-certkey-file = /no/own.pem\n", "/no/own.pem")] {
        std::fs::write(&path, format!("{core}{smsc}{own}")).unwrap();
        // The files do not exist, which is told.
        let output = maybug(&["check", "--from", "kannel", "--json", path.to_str().unwrap()]);
        let channel: Value = serde_json::from_str(stdout(&output)).unwrap();
        let tls =
            serde_json::json!({"ca_file": "/no/ca.pem", "certificate_file": certificate, "key_file": certificate});
        assert_eq!(channel["config"]["tls"], tls);
        assert!(
            stderr(&output).contains("'ssl-trusted-ca-file = /no/ca.pem' became tls.ca_file"),
            "{}",
            stderr(&output)
        );
    }
}

/// Each of the two groups says what its own bind does.
#[test]
fn a_pair_of_kannel_s_writes_as_its_transmitter_and_reads_as_its_receiver() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("kannel.conf");
    let group =
        "group = smsc\nsmsc = smpp\nsmsc-id = a\nhost = h\nsmsc-username = u\nsmsc-password = p\nsystem-type = VMA\n";
    let (sends, receives) = (format!("{group}port = 1\n"), format!("{group}receive-port = 1\n"));
    for (transmitter, receiver, read, id_type) in [
        ("", "alt-charset = latin1\n", Some("latin1"), "string"),
        ("alt-charset = latin1\n", "", None, "string"),
        ("msg-id-type = 1\n", "msg-id-type = 2\n", None, "3"),
        ("msg-id-type = 3\n", "msg-id-type = 0\n", None, "1"),
    ] {
        std::fs::write(&path, format!("{sends}{transmitter}\n{receives}{receiver}")).unwrap();
        let (channels, said) = import("kannel", &path);
        let config = &channels[0]["config"];
        assert_eq!((channels.len(), &config["bind_type"]), (1, &serde_json::json!("tx+rx")), "{said}");
        assert_eq!(config["data_coding_overrides"]["0"].as_str(), read, "{transmitter}{receiver}");
        assert_eq!(config["submit_sm_encoding"].is_string(), transmitter.starts_with("alt"), "{transmitter}{receiver}");
        assert_eq!(config["msg_id_type"], id_type, "{transmitter}{receiver}");
    }
}

/// Keys and values of one transport of Vumi's.
const VUMI: &str = r#"
    mt_tps: "5"                     | mt_tps: "5"
    TRANSPORT_NAME: mno             | label: "mno"
    transport_class: x.SmppTransportWithOldConfig | bind_type: "trx"
    interface_version: 34           | interface_version: 34
    registered_delivery: 1          | registered_delivery: 1
    registered_delivery: off        | registered_delivery: false
    registered_delivery: 5          | registered_delivery: true
    disable_ack: "no"               | disable_ack: true
    disable_ack: "no"               | - 'disable_ack = no' became true, which it was to Vumi
    initial_reconnect_delay: 0      | initial_reconnect_delay: null
    initial_reconnect_delay: 0      | - was left out: Vumi ignored it and began with 2.7 s
    throttle_delay: 0               | throttle_delay: 0.001
    throttle_delay: 0.5             | throttle_delay: 0.5
    submit_sm_encoding: latin1      | submit_sm_encoding: "latin1"
    submit_sm_encoding: latin1      | - stays; Vumi read it in submit_short_message_processor_config, and ignored it here
    host: other, port: 1            | - stays; twisted_endpoint takes it and the port in one, and counts where both are given
    username: broker                | system_id: "me"
    submit_short_message_processor_config: {COUNTRY_CODE: "27", submit_sm_encoding: latin1} | submit_short_message_processor_config: {"submit_sm_encoding": "latin1"}
    submit_short_message_processor_config: {COUNTRY_CODE: "27"} | - 'COUNTRY_CODE = 27' has no counterpart: give each message its `from`
    submit_short_message_processor_config: {send_multipart_uhd: true} | - was left out: nobody knows this key, did you mean 'send_multipart_udh'?
    submit_short_message_processor_config: | submit_short_message_processor_config: null
    deliver_short_message_processor_config: {data_coding_overrides: {0x00: latin1}} | deliver_short_message_processor_config: {"data_coding_overrides": {"0": "latin1"}}
    submit_short_message_processor_config: {send_multipart_udh: "on"} | submit_short_message_processor_config: {"send_multipart_udh": true}
    third_party_id_expiry: 60       | - has no counterpart: messages, ids and sessions are kept
"#;

#[test]
fn keys_of_vumi_mean_what_they_meant_or_are_named() {
    every_row("vumi", VUMI, |setting| {
        let class = if setting.contains("transport_class") {
            ""
        } else {
            "transport_class: vumi.transports.smpp.SmppTransceiverTransport\n"
        };
        let setting = if setting.contains('{') { setting.to_owned() } else { setting.replace(", ", "\n") };
        format!("{class}twisted_endpoint: tcp:smsc.example:2775\nsystem_id: me\npassword: s3cret\n{setting}\n")
    });
}

/// Both are documented.
#[test]
fn a_connector_of_jasmin_is_updated_and_removed_by_long_options_too() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("script");
    let script = "smppccm --add\ncid one\nok\nsmppccm -a\ncid two\nok\nsmppccm --update=one\nport 9000\nok\n\
                  smppccm --remove=two\n";
    std::fs::write(&path, script).unwrap();
    let (channels, said) = import("jasmin", &path);
    let ports: Vec<&Value> = channels.iter().map(|channel| &channel["config"]["twisted_endpoint"]).collect();
    assert_eq!(ports, ["tcp:host=127.0.0.1:port=9000"], "{said}");
}

#[test]
fn what_kannel_refuses_we_refuse_with_the_line() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("kannel.conf");
    for (text, error) in [
        ("group = smsc\nport 1\n", "kannel.conf:2: an equals sign is missing"),
        ("port = 1\n\n", "kannel.conf:1: this group has no 'group = …'"),
        ("group = core\n", "there is no group = smsc with smsc = smpp in it"),
        ("group = smsc\nsmsc = smpp\nhost = h\nsmsc-username = u\n", "Missing required config field 'password'"),
    ] {
        std::fs::write(&path, text).unwrap();
        let output = maybug(&["check", "--from", "kannel", path.to_str().unwrap()]);
        assert_eq!(output.status.code(), Some(1), "{text}");
        assert!(stderr(&output).contains(error), "{}", stderr(&output));
    }
}

#[test]
fn all_problems_of_our_own_file_are_told_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("maybug.yaml");
    let path = path.to_str().unwrap();
    std::fs::write(path, "prot: 1\nport: many\nmetric_window: 0\nplugins: [x]\nredis: {}\nzzz: 1\n").unwrap();
    let output = maybug(&["check", path]);
    assert_eq!(output.status.code(), Some(1));
    let said = stdout(&output);
    for problem in [
        "unknown key 'prot', did you mean 'port'?",
        "the key 'port' is wrong: invalid type: string \"many\"",
        "the key 'metric_window' is wrong: it must be a positive number",
        "the key 'plugins[0]' is wrong",
        "`redis` as Junebug has it is not used",
        "unknown key 'zzz'",
    ] {
        assert!(said.contains(problem), "{problem}: {said}");
    }
    assert!(stderr(&output).contains("5 problems"), "{}", stderr(&output));
    std::fs::write(path, "redis: redis://:hush@one,two\n").unwrap();
    let output = maybug(&["check", path]);
    assert_eq!(output.status.code(), Some(1));
    let said = stdout(&output);
    assert!(said.contains("the key 'redis' is wrong: redis:// has one host") && !said.contains("hush"), "{said}");
    std::fs::write(path, "port: 8081\n").unwrap();
    let output = maybug(&["check", path]);
    assert!(output.status.success() && stdout(&output).ends_with("maybug.yaml: fine\n"));
    let output = maybug(&["check", "--from", "junebug", configs().join("junebug.yaml").to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("unknown key 'prot', did you mean 'port'?"), "{}", stderr(&output));
}
