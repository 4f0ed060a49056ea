//! What a provider's request says: who asks, and its parameters, from the query and from a form in its body.

use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, WWW_AUTHENTICATE};
use hyper::http::request::Parts;
use hyper::{HeaderMap, StatusCode};
use percent_encoding::percent_decode;
use sha2::{Digest, Sha256};

use super::response;
use crate::web::Response;
use crate::web::body::{self, BodyError};

/// Longest request body in octets.
const MAX_BODY: usize = 256 * 1024;
/// How long a body may take to arrive.
const BODY_TIME: Duration = Duration::from_secs(10);

/// A request, read whole.
pub(crate) struct Whole {
    pub(crate) head: Parts,
    pub(crate) body: Bytes,
}

/// Something in a request's parameters is no UTF-8.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the parameters are not UTF-8")]
pub(crate) struct BadEncoding;

/// A name and a password that a provider must know; only what they hash to is kept.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Credentials([u8; 32]);

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Credentials")
    }
}

impl Whole {
    /// Reads a request.
    ///
    /// # Errors
    /// What to answer: the body is too long, too slow, or cut off.
    pub(crate) async fn read(request: hyper::Request<Incoming>) -> Result<Self, Response> {
        let (head, body) = request.into_parts();
        let body = body::read(body, MAX_BODY, BODY_TIME).await.map_err(|error| {
            let status = match error {
                BodyError::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
                BodyError::TooSlow(_) => StatusCode::REQUEST_TIMEOUT,
                BodyError::Broken => StatusCode::BAD_REQUEST,
            };
            response(status, "text/plain", error.to_string())
        })?;
        Ok(Self { head, body })
    }

    /// Its parameters in their order: those of the query, then those of a form in the body.
    ///
    /// # Errors
    /// [`BadEncoding`].
    pub(crate) fn parameters(&self) -> Result<Vec<(String, String)>, BadEncoding> {
        let kind = self.head.headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let is_form = kind.starts_with("application/x-www-form-urlencoded");
        let form = if is_form { &self.body[..] } else { b"" };
        let query = self.head.uri.query().unwrap_or_default().as_bytes();
        let pairs = query.split(|octet| *octet == b'&').chain(form.split(|octet| *octet == b'&'));
        pairs.filter(|pair| !pair.is_empty()).map(parameter).collect()
    }
}

fn parameter(pair: &[u8]) -> Result<(String, String), BadEncoding> {
    let (name, value) = match pair.iter().position(|octet| *octet == b'=') {
        Some(at) => (&pair[..at], &pair[at + 1..]),
        None => (pair, &b""[..]),
    };
    let text = |octets: &[u8]| {
        let spaced: Vec<u8> = octets.iter().map(|octet| if *octet == b'+' { b' ' } else { *octet }).collect();
        percent_decode(&spaced).decode_utf8().map(|text| text.into_owned()).map_err(|_| BadEncoding)
    };
    Ok((text(name)?, text(value)?))
}

impl Credentials {
    pub(crate) fn new(username: &str, password: &str) -> Self {
        Self::of(format!("{username}:{password}").as_bytes())
    }

    /// Whether a request has them (RFC 7617). Hashes are compared, so that time tells nothing.
    pub(crate) fn are_in(&self, headers: &HeaderMap) -> bool {
        let given = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()?.split_once(' '));
        let decoded = given.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("basic"));
        let decoded = decoded.and_then(|(_, encoded)| BASE64_STANDARD.decode(encoded.trim()).ok());
        decoded.is_some_and(|pair| Self::of(&pair) == *self)
    }

    fn of(pair: &[u8]) -> Self {
        Self(Sha256::digest(pair).into())
    }
}

/// That a request must say who asks.
pub(crate) fn unauthorised() -> Response {
    let mut response = response(StatusCode::UNAUTHORIZED, "text/plain", "Unauthorized");
    response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"channel\""));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(query: &str, form: &'static str) -> Whole {
        let request = hyper::Request::get(format!("/p?{query}"))
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded; charset=utf-8")
            .body(())
            .unwrap();
        Whole { head: request.into_parts().0, body: Bytes::from_static(form.as_bytes()) }
    }

    #[test]
    fn parameters_come_from_the_query_and_the_form_and_must_be_utf_8() {
        let read = whole("a=1+2%2B&b&c=%E2%82%AC&&a=%3D=", "d=x%26").parameters().unwrap();
        let expected = [("a", "1 2+"), ("b", ""), ("c", "€"), ("a", "=="), ("d", "x&")];
        assert_eq!(read, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
        assert_eq!(whole("a=%FF", "").parameters(), Err(BadEncoding));
    }

    #[test]
    fn credentials_are_found_whatever_the_case_of_the_scheme() {
        let known = Credentials::new("me", "p:w");
        let given = |text: &str| HeaderMap::from_iter([(AUTHORIZATION, HeaderValue::from_str(text).unwrap())]);
        let encoded = BASE64_STANDARD.encode("me:p:w");
        assert!(known.are_in(&given(&format!("Basic {encoded}"))) && known.are_in(&given(&format!("basic {encoded}"))));
        for wrong in
            [format!("Bearer {encoded}"), "Basic bWU6cA==".to_owned(), "Basic".to_owned(), "Basic %".to_owned()]
        {
            assert!(!known.are_in(&given(&wrong)), "{wrong}");
        }
        assert!(!known.are_in(&HeaderMap::new()));
    }
}
