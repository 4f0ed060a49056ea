//! What bearerbox takes as its configuration, `maybug check --from kannel` reads to the same groups.

use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

use crate::kannel::free_port;
use crate::server::soon;

/// bearerbox has no way to check a file: it is started, and killed once it has tried to connect to each SMSC.
#[tokio::test]
async fn bearerbox_accepts_the_configuration_that_we_migrate() {
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/configs");
    let directory = tempfile::tempdir().unwrap();
    std::fs::create_dir(directory.path().join("kannel.d")).unwrap();
    let (admin, boxes) = (free_port().await, free_port().await);
    for file in ["kannel.conf", "kannel.d/two.conf", "kannel.d/three.conf"] {
        let text = std::fs::read_to_string(format!("{source}/{file}")).unwrap();
        let text = text.replace("= 13000", &format!("= {admin}")).replace("= 13001", &format!("= {boxes}"));
        // What it says of this connection would go there.
        let text = text.replace("log-file = \"/var/log/kannel/one.log\"\n", "");
        std::fs::write(directory.path().join(file), text).unwrap();
    }
    let mut bearerbox = Command::new("/usr/sbin/bearerbox");
    bearerbox.args(["-v", "0", "kannel.conf"]).current_dir(directory.path());
    let mut bearerbox = bearerbox.stderr(Stdio::piped()).stdout(Stdio::null()).kill_on_drop(true).spawn().unwrap();
    let mut lines = BufReader::new(bearerbox.stderr.take().unwrap()).lines();
    let mut tried = std::collections::BTreeSet::new();
    soon("the attempts to connect", async {
        while tried.len() < 2 {
            let line = lines.next_line().await.unwrap().expect("bearerbox ended");
            assert!(!line.contains("PANIC"), "{line}");
            for name in ["SMPP[one]", "SMPP[two]"] {
                if line.contains(name) {
                    tried.insert(name);
                }
            }
        }
    })
    .await;
    bearerbox.kill().await.unwrap();
}
