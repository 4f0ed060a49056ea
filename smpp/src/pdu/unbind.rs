//! unbind and its response (§4.2): no mandatory parameters.

use super::body;

body! {
    /// Ends the session (§4.2.1).
    Unbind {}
}

body! {
    /// Agrees (§4.2.2).
    UnbindResp {}
}
