//! Kannel's bearerbox bound to `maybug sim`, its smsbox used over HTTP.

use std::net::SocketAddr;
use std::sync::Arc;

use maybug::web::Response;
use maybug::web::client::{Allowed, Client};
use maybug::web::server::{Handler, Limits, serve};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::process::{Process, simulator};
use crate::server::{DEADLINE, soon};

/// Keeps the paths of requests.
struct Recorder(mpsc::UnboundedSender<String>);

impl Handler for Recorder {
    async fn call(self: Arc<Self>, _: SocketAddr, request: hyper::Request<hyper::body::Incoming>) -> Response {
        self.0.send(request.uri().to_string()).unwrap();
        Response::default()
    }
}

/// A port that was free a moment ago.
pub(crate) async fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port()
}

fn configuration(smsc: u16, admin: u16, boxes: u16, sendsms: u16, webhook: u16) -> String {
    format!(
        "group = core\nadmin-port = {admin}\nadmin-password = x\nadmin-interface = 127.0.0.1\nsmsbox-port = {boxes}\n\
         smsbox-interface = 127.0.0.1\nbox-allow-ip = 127.0.0.1\nlog-level = 2\n\n\
         group = smsc\nsmsc = smpp\nsmsc-id = sim\nhost = 127.0.0.1\nport = {smsc}\nsmsc-username = kannel\n\
         smsc-password = secret\nsystem-type = VMA\ntransceiver-mode = true\nenquire-link-interval = 5\n\n\
         group = smsbox\nbearerbox-host = 127.0.0.1\nbearerbox-port = {boxes}\nsendsms-port = {sendsms}\n\
         sendsms-interface = 127.0.0.1\nlog-level = 2\n\n\
         group = sendsms-user\nusername = u\npassword = p\nmax-messages = 5\nconcatenation = true\n\n\
         group = sms-service\nkeyword = default\ncatch-all = yes\nmax-messages = 0\n\
         get-url = \"http://127.0.0.1:{webhook}/mo?from=%p&to=%P&text=%a\"\n"
    )
}

#[tokio::test]
async fn bearerbox_binds_to_the_simulator_sends_and_receives() {
    let (mut smsc, smsc_port) = simulator(&["--account", "kannel:secret", "--mo-every", "1"]).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let webhook = listener.local_addr().unwrap().port();
    let (sender, mut requests) = mpsc::unbounded_channel();
    tokio::spawn(serve(listener, Arc::new(Recorder(sender)), Limits::default(), CancellationToken::new()));

    let directory = tempfile::tempdir().unwrap();
    let (admin, boxes, sendsms) = (free_port().await, free_port().await, free_port().await);
    let path = directory.path().join("kannel.conf");
    std::fs::write(&path, configuration(smsc_port, admin, boxes, sendsms, webhook)).unwrap();
    let _bearerbox = Process::start(Command::new("/usr/sbin/bearerbox").arg(&path).current_dir(directory.path()));
    let bound = smsc.next("Kannel's bind", |line| line.contains("\"bound\"").then(|| line.to_owned())).await;
    assert!(bound.contains("kannel"));
    let _smsbox = Process::start(Command::new("/usr/sbin/smsbox").arg(&path).current_dir(directory.path()));
    soon("smsbox", async {
        while TcpStream::connect(("127.0.0.1", sendsms)).await.is_err() {
            tokio::task::yield_now().await;
        }
    })
    .await;

    let client = Client::new(Allowed { networks: vec!["127.0.0.0/8".parse().unwrap()] });
    let dlr = format!("http%3A%2F%2F127.0.0.1%3A{webhook}%2Fdlr%3Fstate%3D%25d");
    let text = "Hello%20from%20Kannel%20%40%20%7B1%7D";
    let url = format!(
        "http://127.0.0.1:{sendsms}/cgi-bin/sendsms?username=u&password=p&to=27820001001&from=40404&text={text}\
         &dlr-mask=31&dlr-url={dlr}"
    );
    let url = url.parse().unwrap();
    let answer = client.request(hyper::Method::GET, &url, Default::default(), Default::default(), DEADLINE);
    assert_eq!(answer.await.unwrap().status, 202);
    assert_eq!(smsc.message().await["text"], "Hello from Kannel @ {1}");
    let (mut delivered, mut received) = (false, false);
    while !(delivered && received) {
        let request = soon("Kannel's requests", requests.recv()).await.unwrap();
        delivered |= request == "/dlr?state=1";
        received |= request == "/mo?from=%2B27820001001&to=40404&text=Hello+from+a+phone";
    }
}
