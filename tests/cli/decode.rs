//! `maybug decode`.

use serde_json::Value;

use crate::support::{maybug, stderr, stdout, with_input};

#[test]
fn every_vector_decodes_to_its_object() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/pdu-vectors.json");
    let vectors: Vec<Value> = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let hex: Vec<&str> = vectors.iter().map(|vector| vector["hex"].as_str().unwrap()).collect();
    let output = with_input(&["decode", "--json", "--show-password"], hex.join("\n"));
    assert!(output.status.success(), "{}", stderr(&output));
    let decoded: Vec<Value> = stdout(&output).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(decoded.len(), 101);
    for (vector, decoded) in vectors.iter().zip(&decoded) {
        for (key, expected) in vector.as_object().unwrap() {
            if key == "tlvs" {
                assert_eq!(by_tag(&decoded[key]), by_tag(expected), "{} {key}", vector["name"]);
            } else if key != "name" && key != "note" {
                assert_eq!(&decoded[key], expected, "{} {key}", vector["name"]);
            }
        }
    }
}

/// Tag, name and value; the value alone as octets of tags that the vectors do not know by name.
fn by_tag(tlvs: &Value) -> Vec<(String, Value)> {
    let known = |key: &str, tlv: &Value| !key.starts_with("0x") && tlv["tag"] != "0x020d";
    let row = |(key, tlv): (&String, &Value)| match known(key, tlv) {
        true => (key.clone(), tlv.clone()),
        false => (tlv["tag"].as_str().unwrap().to_owned(), tlv["hex"].clone()),
    };
    let mut rows: Vec<_> = tlvs.as_object().unwrap().iter().map(row).collect();
    rows.sort_by(|a, b| a.0.cmp(&b.0));
    rows
}

#[test]
fn a_malformed_pdu_names_its_field_and_the_ones_around_it_are_shown() {
    // A submit_sm whose sm_length announces more than there is, between two enquire_link.
    let link = "00000010000000150000000000000001";
    let submit = "000000240000000400000000000000020000003100000032000000000000000000000a48";
    let output = maybug(&["decode", &format!("{link}{submit}{link}")]);
    assert_eq!(output.status.code(), Some(1));
    let said = stderr(&output);
    assert!(said.contains("the submit_sm at offset 16 is malformed: short_message at offset 35"), "{said}");
    assert_eq!(stdout(&output).matches("enquire_link sequence 1").count(), 2);
    for (hex, why) in [
        ("0000000f00000015000000000000", "command_length at offset 0: command_length 15 is shorter"),
        ("000000200000001500000000", "command_length at offset 0: announces 32 octets where 12 are there"),
        ("0000", "command_length at offset 0: the octets end inside the field"),
        ("xyz", "'x' in line 1 is no hexadecimal digit"),
        ("", "there are no hexadecimal digits"),
    ] {
        let output = with_input(&["decode"], hex);
        assert_eq!(output.status.code(), Some(1), "{hex}");
        assert!(stderr(&output).contains(why), "{hex}: {}", stderr(&output));
    }
}

#[test]
fn a_password_is_shown_only_when_asked_for() {
    let bind = "000000250000000900000000000000016d6179627567303100733363726574000034000000";
    for (arguments, shown) in [
        (&["decode", bind][..], false),
        (&["decode", "--json", bind], false),
        (&["decode", "--show-password", bind], true),
        (&["decode", "--json", "--show-password", bind], true),
    ] {
        let output = maybug(arguments);
        let secret = stdout(&output).contains("s3cret") || stdout(&output).contains("733363726574");
        assert_eq!(secret, shown, "{arguments:?}");
    }
    // The same without the NUL of its address_range: what cannot be read has the password in it all the same.
    let broken = "000000240000000900000000000000016d61796275673031007333637265740000340000";
    for arguments in [&["decode", broken][..], &["decode", "--json", broken]] {
        let output = maybug(arguments);
        assert!(stderr(&output).contains("address_range"), "{}", stderr(&output));
        assert!(!format!("{}{}", stdout(&output), stderr(&output)).contains("733363726574"), "{arguments:?}");
    }
}

/// A capture that is kept with the tests.
const CAPTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/pcap/kannel-1.4.5-to-node-smpp-0.5.1.pcapng");

#[test]
fn a_capture_is_shown_as_trees_lines_json_or_counted() {
    let output = maybug(&["decode", "--oneline", CAPTURE]);
    let lines = stdout(&output);
    assert!(lines.starts_with("# conversation 1: ESME 127.0.0.1:49172, SMSC 127.0.0.1:22401, 56 PDUs\n"), "{lines}");
    assert_eq!(lines.lines().count(), 57);
    assert!(lines.contains("<- submit_sm_resp") && lines.contains("ESME_RTHROTTLED"), "{lines}");
    let output = maybug(&["decode", "--json", CAPTURE]);
    let json = stdout(&output);
    let objects: Vec<Value> = json.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(objects.len(), 56);
    assert_eq!((&objects[0]["command"], &objects[0]["sender"]), (&"bind_transceiver".into(), &"esme".into()));
    let output = maybug(&["decode", CAPTURE]);
    let tree = stdout(&output);
    assert!(tree.contains("ESME -> SMSC\nbind_transceiver"), "{}", &tree[..300]);
    assert!(!tree.contains("bar"), "the password is masked");
    let counted = maybug(&["decode", "--stats", "--json", CAPTURE]);
    let statistics: Value = serde_json::from_str(stdout(&counted)).unwrap();
    assert_eq!(statistics["statuses"]["submit_sm_resp ESME_RTHROTTLED"], 1);
    assert_eq!(statistics["response_times"]["submit_sm"]["count"], 14);
    // As tshark counts them.
    let tlvs = &statistics["tlvs"];
    assert_eq!((&tlvs["deliver_sm receipted_message_id"], &tlvs["submit_sm 0x1400"]), (&2.into(), &1.into()), "{tlvs}");
    let counted = maybug(&["decode", "--stats", CAPTURE]);
    let text = stdout(&counted);
    assert!(text.contains("optional parameters\n"), "{text}");
    assert!(text.lines().any(|line| line.split_whitespace().eq(["submit_sm", "0x1400", "1"])), "{text}");
}

#[test]
fn a_line_has_length_status_and_response_time() {
    let wireshark = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/pcap/wireshark-smpp.pcap");
    let output = maybug(&["decode", "--oneline", wireshark]);
    let lines: Vec<&str> = stdout(&output).lines().collect();
    let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>().join(" ");
    assert_eq!(words(lines[1]), "0.000724 -> bind_transmitter 1 40 octets abhik version 0x01");
    assert_eq!(words(lines[2]), "0.007327 <- bind_transmitter_resp 1 21 octets ESME_ROK (0x00000000) after 6.603 ms");
    assert_eq!(
        words(lines[6]),
        "28.921991 <- submit_sm_resp 3 25 octets ESME_ROK (0x00000000) after 8.009 ms id 47c8c77a"
    );
    let output = maybug(&["decode", "--oneline", CAPTURE]);
    let refused = stdout(&output).lines().find(|line| line.contains("ESME_RTHROTTLED")).unwrap();
    assert!(refused.contains("ESME_RTHROTTLED (0x00000058) after "), "{refused}");
}

#[test]
fn a_capture_on_standard_input_is_shown_like_a_file() {
    let octets = std::fs::read(CAPTURE).unwrap();
    let file = maybug(&["decode", "--oneline", CAPTURE]);
    for arguments in [&["decode", "--oneline", "-"][..], &["decode", "--oneline"]] {
        let piped = with_input(arguments, &octets);
        assert!(piped.status.success(), "{}", stderr(&piped));
        assert_eq!(stdout(&piped).replacen("22401\n", "22401, 56 PDUs\n", 1), stdout(&file));
    }
    let (piped, file) = (with_input(&["decode", "--json"], &octets), maybug(&["decode", "--json", CAPTURE]));
    assert_eq!(stdout(&piped), stdout(&file));
    let (piped, file) = (with_input(&["decode", "--stats"], &octets), maybug(&["decode", "--stats", CAPTURE]));
    assert_eq!(stdout(&piped), stdout(&file));

    let cut = with_input(&["decode", "--oneline"], &octets[..octets.len() - 50]);
    assert!(cut.status.success() && stdout(&cut).lines().count() > 50, "{}", stdout(&cut));
    assert!(stderr(&cut).contains("standard input: the file ends in the middle of packet"), "{}", stderr(&cut));
    let text = with_input(&["decode", "--oneline", "-"], "00000010000000150000000000000001");
    assert!(stderr(&text).contains("--oneline and --stats need a capture"), "{}", stderr(&text));
    let text = with_input(&["decode", "-"], "00000010000000150000000000000001");
    assert!(stdout(&text).starts_with("enquire_link sequence 1"), "{}", stdout(&text));

    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("fixture.pcap");
    let made = with_input(&["decode", "-", "--make-fixture", path.to_str().unwrap()], &octets);
    assert!(stdout(&made).starts_with("56 PDUs of 1 conversation"), "{}", stderr(&made));
}

#[test]
fn a_pipe_by_name_is_a_capture_too_and_a_reader_may_leave() {
    let shell = |script: &str| {
        let mut shell = std::process::Command::new("bash");
        let output = shell.args(["-o", "pipefail", "-c", script, env!("CARGO_BIN_EXE_maybug"), CAPTURE]).output();
        output.unwrap()
    };
    let output = shell(r#""$0" decode --oneline <(cat "$1")"#);
    assert_eq!(stdout(&output).lines().count(), 57, "{}", stderr(&output));
    let output = shell(r#"for n in 1 2 3 4 5 6 7 8 9; do "$0" decode <(cat "$1") | head -n 1 || exit 1; done"#);
    assert!(output.status.success() && stderr(&output).is_empty(), "{}", stderr(&output));
}

#[test]
fn what_is_no_capture_is_said() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    let output = maybug(&["decode", file]);
    assert!(!output.status.success());
    assert!(stderr(&output).contains("this is no pcap or pcapng file"), "{}", stderr(&output));
    let output = maybug(&["decode", "--stats", "no-such-file"]);
    assert!(stderr(&output).contains("need a capture file"), "{}", stderr(&output));
    let output = maybug(&["decode", "no-such-file.pcap"]);
    assert!(stderr(&output).contains("\"no-such-file.pcap\" is no file, and no PDU in hex"), "{}", stderr(&output));
}
