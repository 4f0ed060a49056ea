//! The way to the SMSC cut, held and refused under load: what was accepted gets there, and no more than the window comes
//! twice each time; what phones said reaches the application.

use serde_json::json;

use crate::proxy::{Held, Proxy};
use crate::scene::{Application, Scene, WINDOW};
use crate::tally::Flow;

/// All that depends on it.
const FLOWS: [Flow; 3] = [Flow::Http, Flow::Phone, Flow::Event];
/// Cuts in a row.
const CUTS: usize = 10;
/// How often the same is sent at most before the channel binds anew (docs/smsc.md).
const COPIES: usize = 3;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_the_way_to_the_smsc_suffers_nothing_is_lost_and_at_most_a_window_is_repeated() {
    let smsc = Scene::smsc().await;
    let way = Proxy::to(smsc.address().port()).await;
    let habits = json!({"response_timeout": 0.6, "smpp_enquire_link_interval": 0.3, "smpp_bind_timeout": 0.6});
    let scene = Scene::start(&[], &smsc, way.port, habits, Application::Hooked).await;

    scene.suffers("the way to the SMSC was cut", CUTS, &FLOWS, async || way.cut()).await;
    let repeated = scene.tally.repeated(Flow::Http);
    assert!(repeated <= CUTS * WINDOW, "{repeated}");
    let mut most = repeated;
    for (held, what) in [
        (Held::Both, "the SMSC could not be reached"),
        (Held::There, "the SMSC heard nothing"),
        (Held::Back, "the SMSC was not heard"),
    ] {
        let fault = async || {
            way.hold(held);
            scene.told("smpp", "connection_lost").await;
            way.restore().await;
        };
        scene.suffers(what, 1, &FLOWS, fault).await;
        most += COPIES * WINDOW;
    }
    let refused = async || {
        way.refuse().await;
        scene.told("smpp", "connect_failed").await;
        way.restore().await;
    };
    scene.suffers("the SMSC refused connections", 1, &FLOWS, refused).await;
    let repeated = scene.end().await.repeated(Flow::Http);
    assert!(repeated <= most + WINDOW, "{repeated}");
}
