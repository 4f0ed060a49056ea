//! `maybug check --nginx`: a real nginx accepts what is written, and passes requests on to a channel's port.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use hyper::{HeaderMap, Method};
use maybug::server::Server;
use maybug::web::Response;
use maybug::web::client::{Allowed, Client};
use maybug::web::server::{Handler, Limits, serve};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio_util::sync::CancellationToken;

use crate::daemon::{self, free_port};
use crate::server::{DEADLINE, config, soon};

/// Answers with the path and the host that it was asked for, as a channel's listener sees them.
struct Echo;

impl Handler for Echo {
    async fn call(
        self: Arc<Self>,
        _: std::net::SocketAddr,
        request: hyper::Request<hyper::body::Incoming>,
    ) -> Response {
        let host = request.headers()["host"].to_str().unwrap();
        Response::new(Bytes::from(format!("{} {host}", request.uri())).into())
    }
}

/// Runs `maybug check --nginx` on a file of this directory.
async fn check(directory: &Path, more: &[&str]) -> (bool, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_maybug"));
    command.args(["check", "--nginx", "maybug.yaml"]).args(more).current_dir(directory);
    let output = soon("check", command.output()).await.unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(said).unwrap())
}

async fn get(port: u16, path: &str) -> (u16, String) {
    let client = Client::new(Allowed { networks: vec!["127.0.0.0/8".parse().unwrap()] });
    let url = format!("http://127.0.0.1:{port}{path}").parse().unwrap();
    let answer = client.request(Method::GET, &url, HeaderMap::new(), Bytes::new(), DEADLINE).await.unwrap();
    (answer.status.as_u16(), String::from_utf8(answer.body.to_vec()).unwrap())
}

#[tokio::test]
async fn nginx_passes_requests_on_to_a_channel() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let web_port = listener.local_addr().unwrap().port();
    tokio::spawn(serve(listener, Arc::new(Echo), Limits::default(), CancellationToken::new()));

    let server = Server::start(&config(directory.path())).await.unwrap();
    let create = async |properties: Value| {
        let created = server.gateway().create_channel(properties.as_object().unwrap().clone()).await;
        created.unwrap().id.clone()
    };
    let public = json!({"web_path": "ussd/in", "web_port": web_port});
    let open = create(json!({"type": "loopback", "config": {}, "public_http": public})).await;
    let hidden = json!({"web_path": "/hidden", "web_port": web_port, "enabled": false});
    create(json!({"type": "loopback", "config": {}, "public_http": hidden})).await;

    let plugin = json!({"type": "junebug.plugins.nginx.NginxPlugin", "server_name": "sms.example",
        "vhost_file": path("vhost.conf"), "locations_dir": path("locations")});
    std::fs::write(path("maybug.yaml"), json!({"plugins": [plugin], "data": path("data")}).to_string()).unwrap();
    let api = format!("http://{}", server.addresses()[0]);
    let (succeeded, said) = check(directory.path(), &["--api", &api]).await;
    assert!(succeeded && said.contains("server_name sms.example;") && !said.contains("hidden"), "{said}");
    assert!(!path("vhost.conf").exists(), "shown is not written");
    let (succeeded, said) = check(directory.path(), &["--api", &api, "--write"]).await;
    assert!(succeeded && said.contains(&format!("{open}.conf: written")), "{said}");

    // The port of a test is not that of a web server.
    let port = free_port().await;
    let vhost = std::fs::read_to_string(path("vhost.conf")).unwrap();
    let vhost = vhost.replace("listen 80;", &format!("listen 127.0.0.1:{port};"));
    std::fs::write(path("private.conf"), vhost).unwrap();
    let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
    let temporary: String = temporary.iter().map(|kind| format!("{kind}_temp_path {kind};")).collect();
    let main = format!(
        "daemon off; master_process off; pid nginx.pid; error_log /dev/stdout notice; events {{}}\n\
         http {{ access_log off; {temporary} include private.conf; }}\n"
    );
    std::fs::write(path("nginx.conf"), main).unwrap();
    let nginx = || {
        let mut command = Command::new("/usr/sbin/nginx");
        command.arg("-p").arg(directory.path()).arg("-c").arg(path("nginx.conf"));
        command
    };
    let tested = nginx().arg("-t").output().await.unwrap();
    assert!(tested.status.success(), "{tested:?}");
    let _nginx = daemon::start(&mut nginx(), directory.path(), "OS: Linux").await;
    let (status, body) = get(port, "/ussd/in?msisdn=1").await;
    assert_eq!((status, body), (200, "/ussd/in?msisdn=1 127.0.0.1".to_owned()));
    assert_eq!(get(port, "/hidden").await.0, 404);

    // What is there stays, what is gone goes, and what is somebody else's is left alone.
    std::fs::write(path("locations/own.conf"), "# mine\n").unwrap();
    server.gateway().delete_channel(&open).await.unwrap();
    server.stop().await;
    let (succeeded, said) = check(directory.path(), &["--write"]).await;
    assert!(succeeded && said.contains("vhost.conf: unchanged"), "{said}");
    assert!(said.contains(&format!("{open}.conf: removed")) && path("locations/own.conf").exists(), "{said}");
}

#[tokio::test]
async fn templates_of_ones_own_are_filled_in() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    let server = Server::start(&config(directory.path())).await.unwrap();
    let channel = json!({"type": "loopback", "config": {}, "public_http": {"web_path": "/a", "web_port": 9}});
    server.gateway().put_channel(&"c".into(), channel.as_object().unwrap().clone()).await.unwrap();
    server.stop().await;
    std::fs::write(path("vhost"), "V %(server_name)s %(includes)s 100%%\n").unwrap();
    std::fs::write(path("location"), "L %(external_path)s %(internal_url)s\n").unwrap();
    let plugin = json!({"type": "junebug.plugins.nginx.NginxPlugin", "server_name": "s", "vhost_template": "vhost",
        "location_template": "location", "locations_dir": "l"});
    let write = |plugin: &Value| {
        std::fs::write(path("maybug.yaml"), json!({"plugins": [plugin], "data": "data"}).to_string()).unwrap();
    };
    write(&plugin);
    let (succeeded, said) = check(directory.path(), &[]).await;
    assert!(succeeded && said.contains(&format!("V s {}/l/*.conf 100%", directory.path().display())), "{said}");
    assert!(said.contains("# written by maybug for channel c\nL /a http://localhost:9/a\n"), "{said}");
    std::fs::write(path("location"), "L %(path)s\n").unwrap();
    let (succeeded, said) = check(directory.path(), &[]).await;
    assert!(!succeeded && said.contains("'%(path)s'; known are external_path and internal_url"), "{said}");
    std::fs::write(path("maybug.yaml"), "data: data\n").unwrap();
    let (succeeded, said) = check(directory.path(), &[]).await;
    assert!(!succeeded && said.contains("has no plugin junebug.plugins.nginx.NginxPlugin"), "{said}");
}
