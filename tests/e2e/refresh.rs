//! A server whose store somebody else changes: it follows when it is told to look, and touches nothing else. And one that
//! runs some of its channels only.

use std::collections::HashSet;
use std::sync::Arc;

use hyper::Method;
use maybug::gateway::Assigned;
use maybug::model::{
    Account, Callback, CallbackKind, CallbackTarget, ChannelId, ChannelProperties, DestinationProperties, Inbound,
    JsonObject, MessageId, RouterProperties, Timestamp,
};
use maybug::smsc::{PhoneMessage, SimEvent, SimulatorConfig};
use maybug::store::Change;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::auth::{ask, basic, bearer, guarded, with};
use crate::support::{Maybug, Receiver, Smsc, soon};

/// Somebody else changes what is stored.
async fn elsewhere(maybug: &Maybug, changes: Vec<Change>) {
    maybug.server.store().commit(changes).await.unwrap();
}

fn smpp(id: &str, smsc: &Smsc, properties: Value) -> Change {
    let address = smsc.simulator.address();
    let mut channel = json!({
        "type": "smpp", "mo_url": null,
        "config": {"twisted_endpoint": format!("tcp:127.0.0.1:{}", address.port()), "system_id": id, "password": "s"},
    });
    channel.as_object_mut().unwrap().extend(properties.as_object().unwrap().clone());
    save(id, channel)
}

fn save(id: &str, properties: Value) -> Change {
    Change::SaveChannel(ChannelProperties { id: id.into(), properties: object(properties) })
}

fn object(value: Value) -> JsonObject {
    value.as_object().unwrap().clone()
}

fn only(channels: &[&str]) -> Assigned {
    Assigned::Only(channels.iter().map(|id| ChannelId::from(*id)).collect::<HashSet<_>>())
}

/// Who binds or goes next.
async fn moved(smsc: &mut Smsc) -> (String, bool) {
    smsc.next("a bind or its end", |event| match event {
        SimEvent::Bound { system_id, .. } => Some((system_id.clone(), true)),
        SimEvent::Unbound { system_id, .. } => Some((system_id.clone(), false)),
        _ => None,
    })
    .await
}

#[tokio::test]
async fn binds_follow_what_somebody_else_defines_and_those_that_are_the_same_do_not_drop() {
    let (maybug, mut smsc) = (Maybug::start().await, Smsc::start(SimulatorConfig::default()).await);
    let stays = maybug.smpp_channel(smsc.simulator.address(), json!({"system_id": "stays"}), json!({})).await;
    assert_eq!(moved(&mut smsc).await, ("stays".into(), true));
    elsewhere(&maybug, vec![smpp("new", &smsc, json!({}))]).await;
    assert_eq!(maybug.get("/channels/new").await.0, 404);
    maybug.server.refresh().await.unwrap();
    assert_eq!(moved(&mut smsc).await, ("new".into(), true));
    maybug.send("new", json!({"to": "+27820001001", "content": "x"})).await;
    // What it does not run on changes nothing but what is shown; what it does run on restarts it, and nobody else.
    elsewhere(&maybug, vec![smpp("new", &smsc, json!({"label": "a label"}))]).await;
    maybug.server.refresh().await.unwrap();
    assert_eq!(maybug.get("/channels/new").await.1["result"]["label"], "a label");
    elsewhere(&maybug, vec![smpp("new", &smsc, json!({"rate_limit_count": 9, "rate_limit_window": 1}))]).await;
    maybug.server.refresh().await.unwrap();
    // The new connection may be seen before the end of the old one.
    let mut restarted = [moved(&mut smsc).await, moved(&mut smsc).await];
    restarted.sort_unstable();
    assert_eq!(restarted, [("new".into(), false), ("new".into(), true)]);
    elsewhere(&maybug, vec![Change::DeleteChannel("new".into())]).await;
    maybug.server.refresh().await.unwrap();
    assert_eq!(moved(&mut smsc).await, ("new".into(), false));
    assert_eq!(maybug.get("/channels/new").await.0, 404);
    assert_eq!(maybug.get("/channels/").await.1["result"], json!([stays]));
    // Had it dropped, that would have come before.
    assert_eq!(maybug.request(Method::DELETE, &format!("/channels/{stays}"), b"").await.0, 200);
    assert_eq!(moved(&mut smsc).await, ("stays".into(), false));
}

#[tokio::test]
async fn messages_go_where_somebody_else_says_from_the_next_look_on() {
    let (maybug, mut smsc) = (Maybug::start().await, Smsc::start(SimulatorConfig::default()).await);
    let mut receiver = Receiver::start().await;
    let channel = maybug.smpp_channel(smsc.simulator.address(), json!({}), json!({})).await;
    // It has a destination of its own by the key alone; a router needs one that has none.
    let (_, shown) = maybug.get(&format!("/channels/{channel}")).await;
    smsc.bound().await;
    let mut properties = object(json!({"type": "smpp", "config": shown["result"]["config"]}));
    properties["config"]["password"] = json!("secret");
    let router = json!({"type": "from_address", "config": {"channel": channel}});
    let destination = |pattern: &str, path: &str| {
        let properties = json!({"config": {"regular_expression": pattern}, "mo_url": receiver.url(path)});
        Change::SaveDestination(DestinationProperties {
            id: "d".into(),
            router: "r".into(),
            properties: object(properties),
        })
    };
    let first = vec![
        Change::SaveChannel(ChannelProperties { id: channel.as_str().into(), properties }),
        Change::SaveRouter(RouterProperties { id: "r".into(), properties: object(router) }),
        destination("^1", "/one"),
    ];
    let second = destination("^1", "/two");
    for (changes, path) in [(first, "/one"), (vec![second], "/two")] {
        elsewhere(&maybug, changes).await;
        maybug.server.refresh().await.unwrap();
        let message = PhoneMessage { from: "27820001001".into(), to: "1".into(), text: "x".into() };
        assert_eq!(smsc.simulator.inject(&message), Ok(1));
        assert_eq!(receiver.next().await.path, path);
    }
    elsewhere(&maybug, vec![Change::DeleteRouter("r".into())]).await;
    maybug.server.refresh().await.unwrap();
    assert_eq!(maybug.get("/routers/r").await.0, 404);
    assert_eq!(maybug.get("/routers/r/destinations/d").await.0, 404);
}

#[tokio::test]
async fn credentials_count_as_somebody_else_has_left_them() {
    let (maybug, root) = guarded().await;
    let made = json!({"name": "shop", "scopes": ["read"], "password": "correct horse"});
    let made = with(&maybug.base, &root, Method::POST, "/accounts/", &made).await.body;
    let (token, password) = (bearer(made["result"]["token"].as_str().unwrap()), basic("shop", "correct horse"));
    let status =
        async |credentials: &str| with(&maybug.base, credentials, Method::GET, "/channels/", &json!(null)).await.status;
    assert_eq!([status(&token).await, status(&password).await], [200, 200]);
    let accounts = maybug.server.store().accounts().await.unwrap();
    let shop = accounts.iter().find(|account| account.name == "shop").unwrap().clone();
    let change = |account: Account| Change::SaveAccount(Arc::new(account));
    // Its token is another one's by now, and it has no password.
    let (revoked, other) = (
        change(Account { tokens: Vec::new(), password: None, ..shop.clone() }),
        change(Account { name: "other".into(), password: None, ..shop.clone() }),
    );
    elsewhere(&maybug, vec![revoked, other]).await;
    assert_eq!([status(&token).await, status(&password).await], [200, 200], "not looked yet");
    maybug.server.refresh().await.unwrap();
    assert_eq!([status(&token).await, status(&password).await], [200, 401]);
    elsewhere(&maybug, vec![Change::DeleteAccount("other".into()), change(shop)]).await;
    elsewhere(&maybug, vec![Change::DeleteAccount("root".into())]).await;
    maybug.server.refresh().await.unwrap();
    assert_eq!([status(&token).await, status(&password).await, status(&root).await], [200, 200, 401]);
    // Nobody is left: nobody is asked.
    elsewhere(&maybug, vec![Change::DeleteAccount("shop".into())]).await;
    maybug.server.refresh().await.unwrap();
    assert_eq!(ask(&maybug.base, &Method::GET, "/channels/", &[], "").await.status, 200);
}

#[tokio::test]
async fn a_channel_that_runs_elsewhere_is_shown_takes_messages_alone_and_goes_on_when_it_comes() {
    let mut smsc = Smsc::start(SimulatorConfig { no_response: 1.0, ..Default::default() }).await;
    let mut receiver = Receiver::start().await;
    let maybug = Maybug::start().await;
    let properties = json!({"status_url": receiver.url("/status")});
    let config = json!({"response_timeout": 1});
    let id = maybug.smpp_channel(smsc.simulator.address(), config, properties).await;
    receiver.told("bound").await;
    let (path, gateway) = (format!("/channels/{id}"), maybug.server.gateway());
    maybug.send(&id, json!({"to": "+27820001001", "content": "not answered"})).await;
    smsc.next("the message", |event| matches!(event, SimEvent::Message { .. }).then_some(())).await;
    soon("the channel to end", gateway.assign(only(&[]))).await.unwrap();
    assert_eq!(moved(&mut smsc).await, ("esme".into(), false));
    let (_, shown) = maybug.get(&path).await;
    assert_eq!(shown["result"]["id"], json!(id));
    for (method, path) in [
        (Method::DELETE, format!("{path}/messages/{}", MessageId::mint())),
        (Method::DELETE, format!("{path}/messages/")),
        (Method::POST, format!("{path}/restart")),
    ] {
        let (status, headers, said) = maybug.request(method.clone(), &path, b"").await;
        let error = &said["result"]["errors"][0];
        assert_eq!((status, &error["type"]), (503, &json!("ChannelElsewhere")), "{method} {path}: {said}");
        assert!(error["message"].as_str().unwrap().contains(&id) && headers["retry-after"] == "1", "{said}");
    }
    // A change takes effect when it comes.
    assert_eq!(maybug.post(&path, json!({"config": shown["result"]["config"], "label": "moved"})).await.0, 200);
    let other = maybug.channel(json!({"type": "loopback", "config": {}, "mo_url": null})).await;
    let sent = maybug.send(&other, json!({"to": "1", "content": "x"})).await;
    gateway.assign(Assigned::All).await.unwrap();
    // Its first word is none that was said before.
    receiver.told("bound").await;
    smsc.next("the message again", |event| matches!(event, SimEvent::Message { .. }).then_some(())).await;
    maybug.events(&other, &sent, 2).await;
}

/// An MO that is owed to a channel's application.
fn owed(channel: &str) -> Change {
    let message = MessageId::mint();
    let callback = Callback {
        id: message,
        kind: CallbackKind::Mo,
        channel: channel.into(),
        message,
        target: CallbackTarget::Channel,
        body: RawValue::from_string(json!({"channel": channel}).to_string()).unwrap(),
        created_at: Timestamp::now(),
    };
    let message = Inbound {
        id: message,
        channel: channel.into(),
        to: "1".into(),
        from: "2".into(),
        group: None,
        content: None,
        reply_to: None,
        session_event: None,
        channel_data: JsonObject::new(),
        transport_type: None,
        transport_metadata: JsonObject::new(),
        provider: None,
        destinations: Vec::new(),
        received_at: Timestamp::now(),
    };
    Change::Receive { message: Arc::new(message), callbacks: vec![callback], joined_from: Vec::new() }
}

#[tokio::test]
async fn callbacks_are_made_where_their_channel_runs() {
    let (maybug, mut receiver) = (Maybug::start().await, Receiver::start().await);
    let gateway = maybug.server.gateway();
    let channel = json!({"type": "loopback", "config": {}, "mo_url": receiver.url("/mo")});
    gateway.assign(only(&["here"])).await.unwrap();
    elsewhere(&maybug, vec![save("here", channel.clone()), save("there", channel)]).await;
    maybug.server.refresh().await.unwrap();
    elsewhere(&maybug, vec![owed("there")]).await;
    for _ in 0..20 {
        // Those of `there` would have come before.
        elsewhere(&maybug, vec![owed("here")]).await;
        assert_eq!(receiver.mo().await["channel"], "here");
    }
    gateway.assign(only(&["there"])).await.unwrap();
    assert_eq!(receiver.mo().await["channel"], "there");
    // Its receiver's task runs now, and ends with the next move.
    gateway.assign(only(&["here"])).await.unwrap();
    elsewhere(&maybug, vec![owed("there")]).await;
    for _ in 0..20 {
        elsewhere(&maybug, vec![owed("here")]).await;
        assert_eq!(receiver.mo().await["channel"], "here");
    }
    gateway.assign(Assigned::All).await.unwrap();
    assert_eq!(receiver.mo().await["channel"], "there");
}
