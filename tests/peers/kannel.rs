//! Kannel's bearerbox and smsbox as an ESME: sendsms by HTTP, its receipt and an MO back by HTTP.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use crate::support::{SOON, Talker, free_port, program};

/// A box, killed when dropped.
struct Box(Child);

impl Box {
    fn start(name: &str, config: &Path) -> Self {
        let mut command: Command = program(name);
        let child = command.arg("-v").arg("4").arg(config).stdout(Stdio::null()).stderr(Stdio::null());
        Self(child.stdin(Stdio::null()).spawn().unwrap())
    }
}

impl Drop for Box {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The targets of requests that come to a web server of ours, each answered 200.
fn requests() -> (u16, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (sender, targets) = channel();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let mut request = Vec::new();
            let mut octets = [0; 1024];
            while !request.windows(4).any(|four| four == b"\r\n\r\n") {
                match stream.read(&mut octets) {
                    Ok(read) if read > 0 => request.extend_from_slice(&octets[..read]),
                    _ => break,
                }
            }
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            let request = String::from_utf8_lossy(&request).into_owned();
            if sender.send(request.split(' ').nth(1).unwrap_or_default().to_owned()).is_err() {
                return;
            }
        }
    });
    (port, targets)
}

fn get(port: u16, target: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    write!(stream, "GET {target} HTTP/1.0\r\nHost: localhost\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

fn next(targets: &Receiver<String>, path: &str) -> String {
    let deadline = Instant::now() + SOON;
    loop {
        match targets.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(target) if target.starts_with(path) => return target,
            Ok(_) => {}
            Err(_) => panic!("Kannel did not ask for {path} within {} s", SOON.as_secs()),
        }
    }
}

#[test]
fn bearerbox_sends_and_gets_receipts_and_messages() {
    let (mut sim, address) = Talker::sim(&["--account", "kannel:secret", "--receipt-delay", "100ms"]);
    let smsc_port = address.split_once(':').unwrap().1;
    let (admin, smsbox, sendsms) = (free_port(), free_port(), free_port());
    let (web, targets) = requests();
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("kannel.conf");
    let text = format!(
        "group = core\nadmin-port = {admin}\nadmin-password = x\nadmin-interface = 127.0.0.1\nsmsbox-port = {smsbox}\n\
         box-allow-ip = 127.0.0.1\ndlr-storage = internal\n\n\
         group = smsc\nsmsc = smpp\nsmsc-id = sim\nhost = 127.0.0.1\nport = {smsc_port}\ntransceiver-mode = true\n\
         smsc-username = kannel\nsmsc-password = secret\nsystem-type = VMA\naddress-range = \"\"\n\n\
         group = smsbox\nbearerbox-host = 127.0.0.1\nbearerbox-port = {smsbox}\nsendsms-port = {sendsms}\n\
         sendsms-interface = 127.0.0.1\n\n\
         group = sendsms-user\nusername = u\npassword = p\nmax-messages = 5\nconcatenation = true\n\n\
         group = sms-service\nkeyword = default\nget-url = \"http://127.0.0.1:{web}/mo?from=%p&to=%P&text=%a\"\n\
         max-messages = 0\n"
    );
    std::fs::write(&config, text).unwrap();
    let _bearerbox = Box::start("bearerbox", &config);
    sim.next("Kannel's bind", |event| event["event"] == "bound" && event["system_id"] == "kannel");
    let _smsbox = Box::start("smsbox", &config);

    let text = "Kannel%20says%20hello";
    let dlr = format!("http%3A%2F%2F127.0.0.1%3A{web}%2Fdlr%3Ftype%3D%25d%26id%3D%25F");
    let target = format!(
        "/cgi-bin/sendsms?username=u&password=p&from=40404&to=27820001001&text={text}&dlr-mask=31&dlr-url={dlr}"
    );
    // smsbox listens a while after it has started, and refuses to send until bearerbox has told it of the SMSC.
    let deadline = Instant::now() + SOON;
    let mut answer = get(sendsms, &target);
    while !answer.as_ref().is_ok_and(|answer| answer.contains(" 202 ")) {
        assert!(Instant::now() < deadline, "sendsms was not accepted: {answer:?}");
        std::thread::park_timeout(Duration::from_millis(50));
        answer = get(sendsms, &target);
    }
    let submit = sim.next("Kannel's message", |event| event["event"] == "message");
    assert_eq!((&submit["text"], &submit["to"]), (&"Kannel says hello".into(), &"27820001001".into()));
    // Type 8: taken by the SMSC; type 1: delivered to the phone.
    next(&targets, "/dlr?type=8");
    next(&targets, "/dlr?type=1");

    sim.say(&format!("27820001001 40404 {}", "long word ".repeat(20)));
    let mo = next(&targets, "/mo?");
    assert!(mo.starts_with("/mo?from=%2B27820001001&to=40404&text=long+word"), "{mo}");
}
