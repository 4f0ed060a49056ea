//! Messages are found by phone, time, direction and fate, page by page, and given away as lines.

use std::collections::BTreeSet;

use hyper::Method;
use maybug::model::Timestamp;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{Maybug, soon};

/// What a query finds, page by page, and how many pages that took.
async fn all(maybug: &Maybug, path: &str) -> (Vec<Value>, usize) {
    let (mut found, mut pages, mut cursor) = (Vec::new(), 0, String::new());
    loop {
        let (status, answer) = maybug.get(&format!("{path}{cursor}")).await;
        assert_eq!((status, &answer["description"]), (200, &json!("messages found")), "{answer}");
        found.extend(answer["result"]["messages"].as_array().unwrap().clone());
        pages += 1;
        match answer["result"]["cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return (found, pages),
        }
    }
}

fn contents(found: &[Value]) -> Vec<&str> {
    found.iter().map(|message| message["content"].as_str().unwrap()).collect()
}

/// An HTTP answer as it came, however long; its chunks joined.
async fn raw(maybug: &Maybug, path: &str) -> (String, String) {
    let mut stream = TcpStream::connect(maybug.server.addresses()[0]).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut octets = Vec::new();
    soon("an export", stream.read_to_end(&mut octets)).await.unwrap();
    let text = String::from_utf8(octets).unwrap();
    let (head, mut rest) = text.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{text}");
    if !head.contains("chunked") {
        return (head.to_owned(), rest.to_owned());
    }
    let mut body = String::new();
    loop {
        let (size, after) = rest.split_once("\r\n").unwrap();
        let size = usize::from_str_radix(size, 16).unwrap();
        if size == 0 {
            return (head.to_owned(), body);
        }
        body.push_str(&after[..size]);
        rest = &after[size + 2..];
    }
}

#[tokio::test]
async fn a_phones_messages_are_found_on_every_channel_both_ways_and_nobody_elses() {
    let maybug = Maybug::start().await;
    let echo = maybug.channel(json!({"type": "loopback", "config": {"echo": true}, "mo_url": null})).await;
    let other = maybug.channel(json!({"type": "loopback", "config": {}, "mo_url": null})).await;
    let (mine, elses) = ("+27820001001", "+278200010011");
    for (channel, to, content) in [(&echo, mine, "one"), (&other, mine, "two"), (&other, elses, "three")] {
        let sent = maybug.send(channel, json!({"to": to, "from": "40404", "content": content})).await;
        maybug.events(channel, &sent, 2).await;
    }
    soon("the echo", async {
        while all(&maybug, "/messages/?direction=inbound").await.0.is_empty() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    for spelling in ["27820001001", "%2B27820001001", "+27820001001"] {
        let (found, _) = all(&maybug, &format!("/messages?address={spelling}")).await;
        let mut both = contents(&found);
        both.sort_unstable();
        assert_eq!(both, ["one", "one", "two"], "{spelling}");
    }
    let (found, _) = all(&maybug, &format!("/channels/{echo}/messages/?address={mine}")).await;
    let ways: BTreeSet<&str> = found.iter().map(|message| message["direction"].as_str().unwrap()).collect();
    assert_eq!((found.len(), ways), (2, BTreeSet::from(["inbound", "outbound"])));
    let (found, _) = all(&maybug, &format!("/messages/?to={mine}&direction=outbound&limit=1")).await;
    assert_eq!(contents(&found), ["two", "one"], "the newest first");
    let message = &found[0];
    assert_eq!(
        (&message["status"], &message["last_event_type"], &message["priority"], &message["channel_id"]),
        (&json!("delivered"), &json!("delivery_succeeded"), &json!(1), &json!(other))
    );
    assert_eq!(message["provider_message_ids"].as_array().unwrap().len(), 1);
    assert_eq!(contents(&all(&maybug, "/messages/?from=27820001001").await.0), ["one"], "the echo");
    assert_eq!(contents(&all(&maybug, "/messages/?from=40404&to=278200010011").await.0), ["three"]);
    assert!(all(&maybug, "/messages/?address=40404").await.0.is_empty(), "no phone");
}

#[tokio::test]
async fn pages_hold_every_message_once_although_more_are_sent_meanwhile() {
    let maybug = Maybug::start().await;
    let channel = maybug.channel(json!({"type": "loopback", "config": {}, "mo_url": null})).await;
    for n in 0..30 {
        maybug.send(&channel, json!({"to": "1", "content": n.to_string()})).await;
    }
    let (_, first) = maybug.get(&format!("/channels/{channel}/messages?limit=7")).await;
    let mut seen: Vec<String> = Vec::new();
    let mut page = first["result"].clone();
    loop {
        seen.extend(contents(page["messages"].as_array().unwrap()).into_iter().map(str::to_owned));
        let Some(cursor) = page["cursor"].as_str() else { break };
        maybug.send(&channel, json!({"to": "1", "content": "new"})).await;
        page = maybug.get(&format!("/channels/{channel}/messages?limit=7&cursor={cursor}")).await.1["result"].clone();
    }
    assert_eq!(seen, (0..30).rev().map(|n| n.to_string()).collect::<Vec<_>>());
}

#[tokio::test]
async fn messages_are_found_by_what_became_of_them_and_when() {
    let maybug = Maybug::start().await;
    let up = maybug.channel(json!({"type": "loopback", "config": {}, "mo_url": null})).await;
    let config = json!({"twisted_endpoint": "tcp:127.0.0.1:1", "system_id": "e", "password": "p"});
    let down = maybug.channel(json!({"type": "smpp", "config": config, "mo_url": null})).await;
    let sent = maybug.send(&up, json!({"to": "1", "content": "delivered"})).await;
    maybug.events(&up, &sent, 2).await;
    maybug.send(&down, json!({"to": "1", "content": "queued"})).await;
    let later = Timestamp::now().plus(std::time::Duration::from_secs(3_600)).to_string();
    maybug.send(&down, json!({"to": "1", "content": "scheduled", "send_at": later})).await;
    let cancelled = maybug.send(&down, json!({"to": "1", "content": "rejected"})).await;
    maybug.request(Method::DELETE, &format!("/channels/{down}/messages/{cancelled}"), b"").await;
    let expires = maybug.send(&down, json!({"to": "1", "content": "expired", "validity": 1})).await;
    maybug.events(&down, &expires, 1).await;
    for status in ["delivered", "queued", "scheduled", "rejected", "expired"] {
        for query in [format!("status={status}"), format!("status={status}&address=1")] {
            let (found, _) = all(&maybug, &format!("/messages/?{query}")).await;
            assert_eq!((contents(&found), &found[0]["status"]), (vec![status], &json!(status)), "{query}");
        }
    }
    let (all_of_them, _) = all(&maybug, "/messages/?limit=500").await;
    let middle = all_of_them[2]["timestamp"].as_str().unwrap();
    let time = middle.replace(' ', "%20");
    assert_eq!(all(&maybug, &format!("/messages/?since={time}")).await.0, all_of_them[..3]);
    assert_eq!(all(&maybug, &format!("/messages/?until={time}")).await.0, all_of_them[3..]);
    let iso = format!("{}+00:00", middle.replace(' ', "T"));
    assert_eq!(all(&maybug, &format!("/messages/?since={iso}")).await.0, all_of_them[..3]);
    assert!(all(&maybug, "/messages/?since=2020-01-01T00:00:00Z&until=2019-01-01T00:00:00Z").await.0.is_empty());
}

#[tokio::test]
async fn a_query_that_makes_no_sense_is_refused_by_name() {
    let maybug = Maybug::start().await;
    for (query, named) in [
        ("limit=0", "limit"),
        ("limit=501", "limit"),
        ("cursor=x", "cursor"),
        ("status=lost", "status"),
        ("direction=up", "direction"),
        ("since=yesterday", "since"),
        ("until=", "until"),
        ("adress=27820001001", "adress"),
        ("address=", "address"),
        ("status=failed&status=rejected", "status"),
    ] {
        for path in ["/messages/", "/messages/export/"] {
            if path == "/messages/export/" && named == "limit" {
                continue;
            }
            let (status, answer) = maybug.get(&format!("{path}?{query}")).await;
            let message = answer["result"]["errors"][0]["message"].as_str().unwrap();
            assert_eq!((status, message.starts_with(&format!("\"{named}\""))), (400, true), "{query}: {answer}");
        }
    }
    for path in ["/channels/x/messages", "/channels/x/messages/export"] {
        assert_eq!(maybug.get(path).await.0, 404, "{path}");
    }
    assert_eq!(maybug.get("/messages/export?format=xml").await.0, 400);
}

#[tokio::test]
async fn an_export_has_every_message_as_lines_and_as_a_table() {
    let maybug = Maybug::start().await;
    let channel = maybug.channel(json!({"type": "loopback", "config": {}, "mo_url": null})).await;
    let total = 1_100;
    for n in 0..total {
        let to = if n == 0 { "+27820001001" } else { "2" };
        maybug.send(&channel, json!({"to": to, "content": format!("=1+{n},\"é\"\n")})).await;
    }
    let (head, body) = raw(&maybug, "/messages/export").await;
    assert!(head.contains("application/x-ndjson") && head.contains("chunked"), "{head}");
    let rows: Vec<Value> = body.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(rows.len(), total);
    assert!(rows.iter().enumerate().all(|(n, row)| row["content"] == format!("=1+{},\"é\"\n", total - 1 - n)));
    let (head, body) =
        raw(&maybug, &format!("/channels/{channel}/messages/export/?format=csv&address=27820001001")).await;
    assert!(head.contains("text/csv"), "{head}");
    let (names, row) = body.split_once("\r\n").unwrap();
    assert!(names.starts_with("message_id,channel_id,direction,timestamp,from,to,status,content,"));
    assert!(row.contains(",outbound,") && row.contains(",+27820001001,"), "{row}");
    assert!(row.contains(",\"'=1+0,\"\"é\"\"\n\","), "{row}");
    assert!(row.ends_with("\r\n") && row.matches("\r\n").count() == 1, "{row}");
}

#[tokio::test]
async fn a_page_of_large_messages_ends_early_and_the_next_goes_on_where_it_ended() {
    const OCTETS: usize = 50 * 1024;
    const MESSAGES: usize = 100;
    let maybug = Maybug::start().await;
    let channel = maybug.channel(json!({"type": "loopback", "config": {"echo": true}, "mo_url": null})).await;
    let mut contents = BTreeSet::new();
    for number in 0..MESSAGES {
        let content = format!("{number} {}", "x".repeat(OCTETS));
        maybug.send(&channel, json!({"to": "+27820001001", "from": "8110", "content": content})).await;
        contents.insert((content.clone(), "outbound".to_owned()));
        contents.insert((content, "inbound".to_owned()));
    }
    let texts = |messages: &[Value]| -> Vec<(String, String)> {
        let text = |message: &Value, key: &str| message[key].as_str().unwrap().to_owned();
        messages.iter().map(|message| (text(message, "content"), text(message, "direction"))).collect()
    };
    soon("every echo", async {
        while raw(&maybug, "/messages/export?direction=inbound").await.1.lines().count() < MESSAGES {}
    })
    .await;
    // By the order of time in all tables, and by a phone's index.
    for query in ["limit=500", "limit=500&address=27820001001"] {
        let (mut found, mut cursor) = (Vec::new(), String::new());
        loop {
            let (_, body) = raw(&maybug, &format!("/messages/?{query}{cursor}")).await;
            let answer: Value = serde_json::from_str(&body).unwrap();
            let page = texts(answer["result"]["messages"].as_array().unwrap());
            let octets: usize = page.iter().map(|(content, _)| content.len()).sum();
            assert!(octets < 5 * 1024 * 1024, "{query}: a page of {octets} octets");
            found.extend(page);
            match answer["result"]["cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        assert_eq!(found.len(), contents.len(), "{query}");
        assert!(found.into_iter().collect::<BTreeSet<_>>() == contents, "{query}: another one stands for one");
    }
    let (_, body) = raw(&maybug, "/messages/export").await;
    let rows: Vec<Value> = body.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(rows.len(), contents.len());
    assert!(texts(&rows).into_iter().collect::<BTreeSet<_>>() == contents, "the export lacks some");
}
