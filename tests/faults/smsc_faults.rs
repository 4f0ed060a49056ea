//! The way to the SMSC cut, held and refused under load: what was accepted gets there, and no more than the window comes
//! twice each time; what phones said reaches the application.

use serde_json::json;

use crate::proxy::{Held, Proxy};
use crate::scene::{Application, Scene, WINDOW};
use crate::tally::Flow;

/// All that depends on it, and how much may come twice each time: what had no answer. The SMSC's own window is 100.
const FLOWS: [(Flow, usize); 3] = [(Flow::Http, WINDOW), (Flow::Phone, 100), (Flow::Event, 100)];
/// Where what is not answered is sent again meanwhile: three times at most before the channel binds anew (docs/smsc.md).
const HELD: [(Flow, usize); 3] = [(Flow::Http, 3 * WINDOW), (Flow::Phone, 100), (Flow::Event, 100)];
/// Cuts in a row.
const CUTS: usize = 10;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_the_way_to_the_smsc_suffers_nothing_is_lost_and_at_most_a_window_is_repeated() {
    let smsc = Scene::smsc().await;
    let way = Proxy::to(smsc.address().port()).await;
    let habits = json!({"response_timeout": 0.6, "smpp_enquire_link_interval": 0.3, "smpp_bind_timeout": 0.6});
    let mut scene = Scene::start(&[], &smsc, way.port, habits, Application::Hooked).await;

    scene.suffers("the way to the SMSC was cut", CUTS, &FLOWS, async |_| way.cut()).await;
    for (held, what) in [
        (Held::Both, "the SMSC could not be reached"),
        (Held::There, "the SMSC heard nothing"),
        (Held::Back, "the SMSC was not heard"),
    ] {
        let fault = async |scene: &Scene| {
            way.hold(held);
            scene.is_down("smpp").await;
            way.restore().await;
        };
        scene.suffers(what, 1, &HELD, fault).await;
    }
    let refused = async |scene: &Scene| {
        way.refuse().await;
        scene.is_down("smpp").await;
        way.restore().await;
    };
    scene.suffers("the SMSC refused connections", 1, &FLOWS, refused).await;
    assert_eq!(scene.end().await.refusals(), 0, "sends over HTTP are accepted all the time");
}
