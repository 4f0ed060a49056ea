//! enquire_link and its response (§4.11): no mandatory parameters.

use super::body;

body! {
    /// Asks whether the peer is alive (§4.11.1).
    EnquireLink {}
}

body! {
    /// It is (§4.11.2).
    EnquireLinkResp {}
}
