//! What is answered to those who never get to a handler: too many connections, and heads that are none or too long.
//!
//! Hyper answers the latter by itself, with nothing but a status; whoever reads envelopes everywhere else gets one here.

use hyper::StatusCode;

/// A whole answer in the envelope, after which the connection is closed.
pub(super) fn answer(status: StatusCode, description: &str, kind: &str, message: &str, retry: Option<u32>) -> String {
    let (number, reason) = (status.as_u16(), status.canonical_reason().unwrap_or_default());
    let error = serde_json::json!({"type": kind, "message": message});
    let body = serde_json::json!({
        "status": number, "code": reason, "description": description, "result": {"errors": [error]},
    });
    let body = body.to_string();
    let retry = retry.map(|seconds| format!("Retry-After: {seconds}\r\n")).unwrap_or_default();
    format!(
        "HTTP/1.1 {number} {reason}\r\n{retry}Connection: close\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// What to write instead of octets that end in an answer of hyper's own; `None` for all others.
pub(super) fn dressed(octets: &[u8]) -> Option<Vec<u8>> {
    // Answers of handlers end with their body, which is never empty where the status is an error.
    if !octets.ends_with(b"\r\n\r\n") {
        return None;
    }
    let begin = memchr::memmem::rfind(octets, b"HTTP/1.1 4")?;
    let (before, bare) = octets.split_at_checked(begin)?;
    memchr::memmem::find(bare, b"\r\ncontent-length: 0\r\n")?;
    let status = StatusCode::from_bytes(bare.get(b"HTTP/1.1 ".len()..)?.get(..3)?).ok()?;
    let message = match status {
        StatusCode::BAD_REQUEST => "this is no HTTP request",
        StatusCode::URI_TOO_LONG => "the URL is too long",
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => "the request's headers are too many or too long",
        _ => return None,
    };
    let answer = answer(status, message, status.canonical_reason().unwrap_or_default(), message, None);
    Some([before, answer.as_bytes()].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_answers_without_a_body_are_dressed() {
        let bare = "HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
        let before = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";
        let dressed_up = String::from_utf8(dressed(format!("{before}{bare}").as_bytes()).unwrap()).unwrap();
        let answer = dressed_up.strip_prefix(before).unwrap();
        assert!(answer.starts_with("HTTP/1.1 431 ") && answer.ends_with("\"status\":431}"), "{answer}");
        let head = "HTTP/1.1 404 Not Found\r\ncontent-length: 17\r\n\r\n";
        for other in [before, head, "HTTP/1.1 100 Continue\r\n\r\n", "\r\n\r\n", "x"] {
            assert_eq!(dressed(other.as_bytes()), None, "{other}");
        }
    }
}
