//! Who may use the API: credentials, scopes, limits to channels and addresses, and starts that would let everybody in.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use hyper::header::{AUTHORIZATION, HOST, HeaderName, HeaderValue, ORIGIN};
use hyper::{HeaderMap, Method};
use maybug::api::routes;
use maybug::config::Config;
use maybug::server::Server;
use maybug::web::route::Scope;
use serde_json::{Value, json};
use url::Url;

use crate::support::{DEADLINE, Maybug, Process, client};

/// An answer: status, headers, body.
pub(crate) struct Said {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

/// Asks with headers of one's own.
pub(crate) async fn ask(base: &str, method: &Method, path: &str, headers: &[(HeaderName, &str)], body: &str) -> Said {
    let url = Url::parse(&format!("{base}{path}")).unwrap();
    let headers = headers.iter().map(|(name, value)| (name.clone(), HeaderValue::from_str(value).unwrap())).collect();
    let body = Bytes::copy_from_slice(body.as_bytes());
    let answer = client().request(method.clone(), &url, headers, body, DEADLINE).await.unwrap();
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let said = Said { status: answer.status.as_u16(), headers: answer.headers, body };
    // Documents and exports are as they are.
    let bare = path.starts_with("/openapi.json") || path.contains("/export");
    if bare && said.status == 200 {
        return said;
    }
    assert_eq!(said.body["status"], said.status, "{path}: an envelope");
    assert_eq!(said.body.as_object().unwrap().len(), 4, "{path}: an envelope");
    said
}

pub(crate) async fn with(base: &str, authorization: &str, method: Method, path: &str, body: &Value) -> Said {
    ask(base, &method, path, &[(AUTHORIZATION, authorization)], &body.to_string()).await
}

pub(crate) fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

pub(crate) fn basic(name: &str, password: &str) -> String {
    format!("Basic {}", BASE64_STANDARD.encode(format!("{name}:{password}")))
}

/// A server with the account `root`, and how to be it.
pub(crate) async fn guarded() -> (Maybug, String) {
    guarded_with(|_| {}).await
}

pub(crate) async fn guarded_with(change: impl FnOnce(&mut Config)) -> (Maybug, String) {
    let maybug = Maybug::with(change).await;
    let (status, made) = maybug.post("/accounts/", json!({"name": "root", "scopes": ["admin"]})).await;
    assert_eq!(status, 201, "{made}");
    let root = bearer(made["result"]["token"].as_str().unwrap());
    (maybug, root)
}

/// Makes an account; how to be it.
pub(crate) async fn account(maybug: &Maybug, root: &str, body: Value) -> String {
    let made = with(&maybug.base, root, Method::POST, "/accounts/", &body).await;
    assert_eq!(made.status, 201, "{}", made.body);
    bearer(made.body["result"]["token"].as_str().unwrap())
}

/// A path of a pattern; each part of it that varies is `part`.
fn path(pattern: &str, part: &str) -> String {
    let parts = pattern.split('/').map(|piece| if piece.starts_with('{') { part } else { piece });
    parts.collect::<Vec<_>>().join("/")
}

#[tokio::test]
async fn every_route_asks_for_its_scope() {
    let (maybug, root) = guarded().await;
    let mut callers = vec![(None, "Bearer mb_wrong".to_owned()), (None, basic("root", "wrong-password"))];
    for scopes in [&["read"][..], &["send"], &["read", "send"], &["admin"]] {
        let body = json!({"name": scopes.join("-"), "scopes": scopes});
        callers.push((Some(scopes), account(&maybug, &root, body).await));
    }
    for row in routes() {
        let (needed, path) = match row.scope {
            Scope::Open | Scope::Glance => (None, path(row.pattern, "nope")),
            Scope::Read => (Some("read"), path(row.pattern, "nope")),
            Scope::Send => (Some("send"), path(row.pattern, "nope")),
            Scope::Admin => (Some("admin"), path(row.pattern, "nope")),
        };
        let at = format!("{} {path}", row.method);
        let anybody = ask(&maybug.base, &row.method, &path, &[], "{").await;
        match needed {
            None => assert_eq!(anybody.status, 200, "{at}"),
            Some(_) => {
                assert_eq!(anybody.status, 401, "{at}");
                assert_eq!(anybody.body["result"]["errors"][0]["type"], "Unauthorized", "{at}");
                let schemes: Vec<_> = anybody.headers.get_all("www-authenticate").iter().collect();
                assert_eq!(schemes, ["Bearer realm=\"maybug\"", "Basic realm=\"maybug\", charset=\"UTF-8\""], "{at}");
            }
        }
        for (scopes, authorization) in &callers {
            // Not JSON, so that nothing happens where a body is read.
            let said = ask(&maybug.base, &row.method, &path, &[(AUTHORIZATION, authorization)], "{").await;
            let Some(needed) = needed else {
                assert_eq!(said.status, 200, "{at}: nobody is asked");
                continue;
            };
            match scopes {
                None => assert_eq!(said.status, 401, "{at}"),
                Some(scopes) if scopes.contains(&needed) || scopes.contains(&"admin") => {
                    assert!(![401, 403].contains(&said.status), "{at} as {scopes:?}: {}", said.body);
                }
                Some(scopes) => {
                    assert_eq!(said.status, 403, "{at} as {scopes:?}: {}", said.body);
                    let error = &said.body["result"]["errors"][0];
                    let message = format!("the account '{}' lacks the scope '{needed}'", scopes.join("-"));
                    assert_eq!(*error, json!({"type": "Forbidden", "message": message}), "{at}");
                }
            }
        }
    }
}

#[tokio::test]
async fn an_account_of_some_channels_sees_nothing_else() {
    let (maybug, root) = guarded().await;
    let mut channels = Vec::new();
    for _ in 0..2 {
        let body = json!({"type": "loopback", "config": {}, "mo_url": null});
        let made = with(&maybug.base, &root, Method::POST, "/channels/", &body).await;
        channels.push(made.body["result"]["id"].as_str().unwrap().to_owned());
    }
    let [mine, other] = &channels[..] else { panic!() };
    let limited = json!({"name": "limited", "scopes": ["admin"], "channels": [mine, "mine"]});
    let limited = account(&maybug, &root, limited).await;
    for row in routes() {
        let own = row.pattern == "/channels/{channel}" || row.pattern.starts_with("/channels/{channel}/");
        let listed = row.method == Method::GET && row.pattern == "/channels";
        for (part, of_us) in [("mine", true), (other, false)] {
            let path = path(row.pattern, part);
            let said = ask(&maybug.base, &row.method, &path, &[(AUTHORIZATION, &limited)], "{").await;
            let may = matches!(row.scope, Scope::Open | Scope::Glance) || listed || own && of_us;
            assert_eq!(said.status != 403, may, "{} {path}: {}", row.method, said.body);
            if own && !of_us {
                let message = format!("the account 'limited' is limited to channels, and '{other}' is none of them");
                assert_eq!(said.body["result"]["errors"][0]["message"], message);
            }
        }
    }
    let list = with(&maybug.base, &limited, Method::GET, "/channels/", &json!({})).await;
    assert_eq!(list.body["result"], json!([mine]));
    let all = with(&maybug.base, &root, Method::GET, "/channels/", &json!({})).await;
    assert_eq!(all.body["result"].as_array().unwrap().len(), 2);
    let message = json!({"to": "+27820001001", "content": "Hello"});
    let sent = with(&maybug.base, &limited, Method::POST, &format!("/channels/{mine}/messages/"), &message).await;
    assert_eq!(sent.status, 201, "{}", sent.body);
    // A queue may be another channel's.
    for (change, status) in [(json!({"amqp_queue": "theirs"}), 403), (json!({"label": "mine"}), 200)] {
        let said = with(&maybug.base, &limited, Method::POST, &format!("/channels/{mine}"), &change).await;
        assert_eq!(said.status, status, "{change}");
    }
    // The path is decoded before it is compared.
    let escaped = format!("/channels/{}/messages/", other.replace('-', "%2d"));
    assert_eq!(with(&maybug.base, &limited, Method::POST, &escaped, &message).await.status, 403);
}

#[tokio::test]
async fn bearer_token_and_basic_are_the_same_account() {
    let (maybug, root) = guarded().await;
    let token = root.strip_prefix("Bearer ").unwrap();
    let account = json!({"name": "shop", "scopes": ["read"], "password": "pass:wörd", "token": null});
    let made = with(&maybug.base, &root, Method::POST, "/accounts/", &account).await;
    assert_eq!((made.status, made.body["result"].get("token")), (201, None), "none was wanted");
    assert_eq!(made.body["result"]["has_password"], true);
    for (authorization, status) in [
        (format!("Bearer {token}"), 200),
        (format!("bearer  {token}"), 200),
        (format!("Token {token}"), 200),
        (basic("root", token), 200),
        (basic("shop", "pass:wörd"), 200),
        (basic("shop", "pass:wörd"), 200),
        (basic("shop", token), 401),
        (basic("shop", "pass:word"), 401),
        (basic("root", ""), 401),
        (basic("nobody", "pass:wörd"), 401),
        ("Basic x".to_owned(), 401),
        (format!("Basic {}", BASE64_STANDARD.encode("no colon")), 401),
        ("Bearer".to_owned(), 401),
        (format!("Digest {token}"), 401),
        (token.to_owned(), 401),
        (format!("Bearer {}", &token[..token.len() - 1]), 401),
        (format!("Bearer {token}x"), 401),
    ] {
        let said = with(&maybug.base, &authorization, Method::GET, "/channels/", &json!({})).await;
        assert_eq!(said.status, status, "{authorization}: {}", said.body);
    }
    // A new password is the only one at once, although the old one has been remembered.
    let changes = json!({"password": "another one"});
    assert_eq!(with(&maybug.base, &root, Method::POST, "/accounts/shop", &changes).await.status, 200);
    for (password, status) in [("pass:wörd", 401), ("another one", 200)] {
        let said = with(&maybug.base, &basic("shop", password), Method::GET, "/channels/", &json!({})).await;
        assert_eq!(said.status, status);
    }
}

#[tokio::test]
async fn tokens_are_rotated_and_end_at_once() {
    let (maybug, root) = guarded().await;
    let first = account(&maybug, &root, json!({"name": "shop", "scopes": ["read"]})).await;
    let reads = async |authorization: &str| {
        with(&maybug.base, authorization, Method::GET, "/channels/", &json!({})).await.status
    };
    let body = json!({"label": "since spring", "expires_in": 3600});
    let made = with(&maybug.base, &root, Method::POST, "/accounts/shop/tokens/", &body).await;
    assert_eq!(made.status, 201);
    let second = bearer(made.body["result"]["token"].as_str().unwrap());
    assert!(second.starts_with("Bearer mb_") && second.len() == "Bearer mb_".len() + 43, "{second}");
    assert_eq!((reads(&first).await, reads(&second).await), (200, 200));

    let shown = with(&maybug.base, &root, Method::GET, "/accounts/shop", &json!({})).await.body["result"].clone();
    let tokens = shown["tokens"].as_array().unwrap();
    assert_eq!(tokens.len(), 2);
    assert_eq!((&tokens[0]["expires_at"], &tokens[1]["label"]), (&json!(null), &json!("since spring")));
    assert!(tokens[1]["expires_at"].as_str() > tokens[1]["created_at"].as_str());
    assert!(!shown.to_string().contains("mb_") && !shown.to_string().contains("hash"), "{shown}");
    let path = format!("/accounts/shop/tokens/{}", tokens[0]["id"].as_str().unwrap());
    assert_eq!(with(&maybug.base, &root, Method::DELETE, &path, &json!({})).await.status, 200);
    assert_eq!((reads(&first).await, reads(&second).await), (401, 200));
    let again = with(&maybug.base, &root, Method::DELETE, &path, &json!({})).await;
    assert_eq!((again.status, &again.body["result"]["errors"][0]["type"]), (404, &json!("TokenNotFound")));

    // One whose time is over says so to whoever has it.
    let made = with(&maybug.base, &root, Method::POST, "/accounts/shop/tokens/", &json!({"expires_in": 1})).await;
    let third = bearer(made.body["result"]["token"].as_str().unwrap());
    let expired = crate::support::soon("the end of a token", async {
        loop {
            let said = with(&maybug.base, &third, Method::GET, "/channels/", &json!({})).await;
            if said.status != 200 {
                return said;
            }
        }
    })
    .await;
    let message = expired.body["result"]["errors"][0]["message"].as_str().unwrap();
    assert!(expired.status == 401 && message.starts_with("the token expired at 20"), "{message}");

    for (disabled, status) in [(true, 401), (false, 200)] {
        let changes = json!({"disabled": disabled});
        assert_eq!(with(&maybug.base, &root, Method::POST, "/accounts/shop", &changes).await.status, 200);
        assert_eq!(reads(&second).await, status);
    }
    assert_eq!(with(&maybug.base, &root, Method::DELETE, "/accounts/shop", &json!({})).await.status, 200);
    assert_eq!(reads(&second).await, 401);
    let gone = with(&maybug.base, &root, Method::GET, "/accounts/shop", &json!({})).await;
    assert_eq!((gone.status, &gone.body["result"]["errors"][0]["type"]), (404, &json!("AccountNotFound")));
}

#[tokio::test]
async fn accounts_outlive_a_restart_and_are_used_from_their_networks_only() {
    let (maybug, root) = guarded().await;
    let near = json!({"name": "near", "scopes": ["read"], "sources": ["127.0.0.0/8"]});
    let far = json!({"name": "far", "scopes": ["read"], "sources": ["10.0.0.0/8", "2001:db8::/32"]});
    let (near, far) = (account(&maybug, &root, near).await, account(&maybug, &root, far).await);
    let Maybug { server, directory, .. } = maybug;
    server.stop().await;
    let maybug = Maybug::at(directory, |_| {}).await;
    let status = async |who: &str| with(&maybug.base, who, Method::GET, "/channels/", &json!({})).await.status;
    assert_eq!((status(&near).await, status(&far).await), (200, 403));
    let names = with(&maybug.base, &root, Method::GET, "/accounts/", &json!({})).await;
    assert_eq!(names.body["result"], json!(["far", "near", "root"]));
}

#[tokio::test]
async fn bad_accounts_are_refused_and_nobody_locks_themselves_out() {
    let maybug = Maybug::start().await;
    let (status, first) = maybug.post("/accounts/", json!({"name": "shop", "scopes": ["send"]})).await;
    assert_eq!((status, &first["result"]["errors"][0]["type"]), (409, &json!("NoAdmin")), "it could not be undone");
    assert_eq!(maybug.get("/accounts/").await.0, 200, "nobody is asked");
    let (_, made) = maybug.post("/accounts/", json!({"name": "root", "scopes": ["admin"]})).await;
    let root = bearer(made["result"]["token"].as_str().unwrap());
    assert_eq!(maybug.get("/accounts/").await.0, 401, "now everybody is");
    for (method, path, body, status, message) in [
        (
            Method::POST,
            "/accounts/",
            json!({"name": "root", "scopes": ["admin"]}),
            409,
            "there is an account 'root' already",
        ),
        (Method::POST, "/accounts/", json!({"name": "a:b", "scopes": ["admin"]}), 400, "\"name\": expected 1 to 64"),
        (Method::POST, "/accounts/", json!({"name": "a"}), 400, "'scopes' is a required property"),
        (Method::POST, "/accounts/", json!({"name": "a", "scopes": []}), 400, "\"scopes\": at least one of"),
        (
            Method::POST,
            "/accounts/",
            json!({"name": "a", "scopes": ["root"]}),
            400,
            "\"scopes[0]\": unknown variant `root`",
        ),
        (
            Method::POST,
            "/accounts/",
            json!({"name": "a", "scopes": ["send"], "colour": 1}),
            400,
            "Additional properties",
        ),
        (Method::POST, "/accounts/root", json!({"sources": ["10.0.0.0/33"]}), 400, "\"sources[0]\": invalid IP"),
        (Method::POST, "/accounts/root", json!({"sources": null}), 400, "None is not of type 'array'"),
        (Method::POST, "/accounts/root", json!({"disabled": 1}), 400, "1 is not of type 'boolean'"),
        (Method::POST, "/accounts/root", json!({"password": "short"}), 400, "\"password\": 8 to 1024 characters"),
        (
            Method::POST,
            "/accounts/root",
            json!({"password": "mb_0123456789"}),
            400,
            "\"password\": what begins with mb_",
        ),
        (Method::POST, "/accounts/root/tokens/", json!({"expires_in": 0}), 400, "\"expires_in\": expected 1 second"),
        (Method::POST, "/accounts/root", json!({"scopes": ["send"]}), 409, "this would leave no account"),
        (Method::POST, "/accounts/root", json!({"disabled": true}), 409, "this would leave no account"),
        (Method::POST, "/accounts/root", json!({"channels": ["x"]}), 409, "this would leave no account"),
    ] {
        let said = with(&maybug.base, &root, method, path, &body).await;
        assert_eq!(said.status, status, "{body}: {}", said.body);
        let text = said.body["result"]["errors"][0]["message"].as_str().unwrap();
        assert!(text.starts_with(message), "{body}: {text}");
    }
    let shop = account(&maybug, &root, json!({"name": "shop", "scopes": ["send"]})).await;
    assert_eq!(with(&maybug.base, &root, Method::DELETE, "/accounts/root", &json!({})).await.status, 409);
    assert_eq!(with(&maybug.base, &root, Method::DELETE, "/accounts/shop", &json!({})).await.status, 200);
    assert_eq!(with(&maybug.base, &root, Method::DELETE, "/accounts/root", &json!({})).await.status, 200);
    let said = with(&maybug.base, &shop, Method::GET, "/channels/", &json!({})).await;
    assert_eq!(said.status, 200, "without accounts nobody is asked, and what they say does not matter");
}

#[tokio::test]
async fn off_loopback_the_server_starts_only_with_authentication_or_when_that_is_meant() {
    const REFUSED: Option<&str> = Some("can be reached from elsewhere");
    for (interface, auth, open, refusal) in [
        ("127.0.0.1", None, false, None),
        ("127.0.0.1", Some(true), false, None),
        ("127.0.0.1", Some(false), false, None),
        ("localhost", None, true, None),
        ("0.0.0.0", None, false, REFUSED),
        ("0.0.0.0", Some(false), false, REFUSED),
        ("0.0.0.0", Some(true), false, None),
        ("0.0.0.0", None, true, None),
        ("0.0.0.0", Some(false), true, None),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let config = Config {
            interface: interface.into(),
            port: 0,
            data: directory.path().join("data"),
            logging_path: directory.path().join("logs"),
            min_free: 0,
            auth,
            open,
            ..Config::default()
        };
        let at = format!("{interface} auth {auth:?} open {open}");
        match (Server::start(&config).await, refusal) {
            (Ok(server), None) => {
                let base = format!("http://127.0.0.1:{}", server.addresses()[0].port());
                let said = ask(&base, &Method::GET, "/channels/", &[], "").await;
                assert_eq!(said.status, if auth == Some(true) { 401 } else { 200 }, "{at}");
                let said = ask(&base, &Method::GET, "/channels/", &[(AUTHORIZATION, "Basic eDp5")], "").await;
                assert_eq!(said.status, if auth == Some(true) { 401 } else { 200 }, "{at}: ignored while nobody asks");
                server.stop().await;
            }
            (Err(error), Some(refusal)) => {
                let error = error.to_string();
                assert!(
                    error.contains(refusal) && error.contains("auth: true") && error.contains("open: true"),
                    "{at}"
                );
            }
            (Ok(_), Some(_)) => panic!("{at} was started"),
            (Err(error), None) => panic!("{at}: {error:#}"),
        }
    }
}

#[tokio::test]
async fn an_open_server_says_so_in_its_log() {
    let directory = tempfile::tempdir().unwrap();
    let log = Process::on("0.0.0.0", directory.path(), &["--open"]).await.kill().await;
    assert!(log.contains("the API is open: anybody who reaches it may do anything"), "{log}");
    let log = Process::on("0.0.0.0", directory.path(), &["--auth"]).await.kill().await;
    assert!(!log.contains("the API is open") && log.contains("there is no account"), "{log}");
}

#[tokio::test]
async fn pages_of_other_hosts_do_not_reach_an_open_api_on_loopback() {
    let maybug = Maybug::with(|config| config.api_hosts = vec!["maybug.test".into()]).await;
    let port = maybug.base.rsplit(':').next().unwrap().to_owned();
    let asked = async |path: &str, host: &str| ask(&maybug.base, &Method::GET, path, &[(HOST, host)], "").await;
    for host in ["localhost", "127.0.0.1", "[::1]", "127.0.0.1:1", "Maybug.Test", &format!("maybug.test:{port}")] {
        assert_eq!(asked("/channels/", host).await.status, 200, "{host}");
    }
    for host in ["evil.example", "evil.example:8080", "10.0.0.1", "localhost.evil.example", "maybug.test.evil"] {
        let said = asked("/channels/", host).await;
        let message = said.body["result"]["errors"][0]["message"].as_str().unwrap().to_owned();
        assert!(said.status == 403 && message.contains("api_hosts"), "{host}: {message}");
        assert_eq!(asked("/health/", host).await.status, 200, "whoever balances load names whatever it likes");
    }
    let (guarded, root) = guarded().await;
    let headers = [(HOST, "evil.example"), (AUTHORIZATION, &*root)];
    let said = ask(&guarded.base, &Method::GET, "/channels/", &headers, "").await;
    assert_eq!(said.status, 200, "credentials are proof enough");
}

#[tokio::test]
async fn a_page_from_elsewhere_changes_nothing_in_an_open_api_on_loopback() {
    let maybug = Maybug::with(|config| config.api_hosts = vec!["maybug.test".into()]).await;
    let site = HeaderName::from_static("sec-fetch-site");
    // Enough to shut everybody else out, had it been heeded.
    let body = json!({"name": "evil", "scopes": ["admin"]}).to_string();
    let posted =
        async |headers: &[(HeaderName, &str)]| ask(&maybug.base, &Method::POST, "/accounts/", headers, &body).await;
    for headers in [
        vec![(site.clone(), "cross-site")],
        vec![(site.clone(), "same-site")],
        vec![(ORIGIN, "https://evil.example")],
        vec![(ORIGIN, "null")],
        // What else is served on this machine.
        vec![(ORIGIN, "http://127.0.0.1:1")],
        vec![(ORIGIN, "http://localhost:1")],
        vec![(ORIGIN, "http://localhost"), (HOST, "localhost:1")],
    ] {
        let said = posted(&headers).await;
        let message = said.body["result"]["errors"][0]["message"].to_string();
        assert!(said.status == 403 && message.contains("browser"), "{headers:?}: {message}");
    }
    assert_eq!(maybug.get("/accounts/").await.1["result"], json!([]));
    assert_eq!(posted(&[(site, "same-origin"), (ORIGIN, &maybug.base)]).await.status, 201);
    let proxied = Maybug::with(|config| config.api_hosts = vec!["maybug.test".into()]).await;
    let said = ask(&proxied.base, &Method::POST, "/accounts/", &[(ORIGIN, "https://Maybug.Test")], &body).await;
    assert_eq!(said.status, 201, "the proxy names us as it likes");
}

#[tokio::test]
async fn changes_are_in_the_log_and_no_secret_is_in_any() {
    let directory = tempfile::tempdir().unwrap();
    let process = Process::start(directory.path(), &["--log-level", "trace"]).await;
    let base = &process.base;
    let password = "planted-password-4711";
    let body = json!({"name": "root", "scopes": ["admin"], "password": password}).to_string();
    let made = ask(base, &Method::POST, "/accounts/", &[], &body).await;
    let token = made.body["result"]["token"].as_str().unwrap().to_owned();
    let root = bearer(&token);
    let made = with(base, &root, Method::POST, "/accounts/root/tokens/", &json!({"label": "second"})).await;
    let second = made.body["result"]["token"].as_str().unwrap().to_owned();
    let id = made.body["result"]["id"].as_str().unwrap().to_owned();
    let channel = json!({"type": "loopback", "config": {}, "mo_url": null});
    let made = with(base, &basic("root", password), Method::POST, "/channels/", &channel).await;
    assert_eq!(made.status, 201, "{}", made.body);
    let wrong = ["planted-wrong-1", "mb_planted-wrong-2"];
    for authorization in [basic("root", wrong[0]), bearer(wrong[1]), basic(wrong[0], wrong[1])] {
        assert_eq!(with(base, &authorization, Method::GET, "/channels/", &json!({})).await.status, 401);
    }
    let path = format!("/accounts/root/tokens/{id}");
    assert_eq!(with(base, &root, Method::DELETE, &path, &json!({})).await.status, 200);
    let files = directory.path().to_owned();
    let log = process.kill().await;
    let change = |who: &str, method: &str, path: &str| {
        let found = log.lines().any(|line| {
            let says = |part: &str| line.contains(part);
            says("audit: a change was made")
                && says(&format!("who=\"{who}\""))
                && says("from=127.0.0.1")
                && says(&format!("method={method}"))
                && says(&format!("path=\"{path}\""))
        });
        assert!(found, "{who} {method} {path}: {log}");
    };
    change("anybody", "POST", "/accounts/");
    change("root", "POST", "/accounts/root/tokens/");
    change("root", "POST", "/channels/");
    change("root", "DELETE", &path);
    assert!(log.contains("credentials were refused, the last ones because the credentials are wrong"), "{log}");
    let logs = std::fs::read_dir(files.join("logs")).unwrap();
    let logs: String = logs.map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap()).collect();
    let basics = [basic("root", password), basic("root", wrong[0])].map(|basic| basic["Basic ".len()..].to_owned());
    for secret in
        [password, &token, &second, &token["mb_".len()..], "argon2id", &basics[0], &basics[1], wrong[0], wrong[1]]
    {
        assert!(!log.contains(secret) && !logs.contains(secret), "{secret}: {log}");
    }
    // On disk a password is a hash, and a token too.
    let mut stored = Vec::new();
    for file in walk(&files.join("data")) {
        stored.extend(std::fs::read(file).unwrap());
    }
    assert!(memchr::memmem::find(&stored, b"$argon2id$").is_some(), "the test looks where accounts are");
    for secret in [password, &token, &second] {
        assert!(memchr::memmem::find(&stored, secret.as_bytes()).is_none(), "{secret}");
    }
}

fn walk(directory: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files.extend(walk(&path)) } else { files.push(path) }
    }
    files
}
