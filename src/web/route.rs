//! Routes as rows: method, pattern, handler. Which paths exist and which methods each has follow from them.
//!
//! Every path is served with and without its final slash.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;

use hyper::Method;

use super::Response;
use super::body::Asked;

/// A request whose path has been taken apart.
#[derive(Debug)]
pub struct Request {
    /// The request itself.
    pub inner: hyper::Request<Asked>,
    /// The path's variable parts in order, percent-decoded.
    pub params: Vec<String>,
}

impl Request {
    /// The first value of a query parameter.
    #[must_use]
    pub fn query(&self, name: &str) -> Option<String> {
        let query = self.inner.uri().query()?;
        form_urlencoded::parse(query.as_bytes()).find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
    }

    /// The names of the query's parameters.
    pub fn query_names(&self) -> impl Iterator<Item = Cow<'_, str>> {
        let query = self.inner.uri().query().unwrap_or_default();
        form_urlencoded::parse(query.as_bytes()).map(|(key, _)| key)
    }

    /// A variable part of the path; empty when the pattern has fewer.
    #[must_use]
    pub fn param(&self, index: usize) -> &str {
        self.params.get(index).map_or("", String::as_str)
    }
}

/// What answers a request.
pub type Answer = Pin<Box<dyn Future<Output = Response> + Send>>;

/// What a route is for, which decides who may call it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Anybody.
    Open,
    /// Anybody; the details are for whoever may look.
    Glance,
    /// Whoever may look.
    Read,
    /// Whoever may send.
    Send,
    /// Whoever may change the configuration.
    Admin,
}

/// Where a route is answered, if several nodes are one service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum On {
    /// On any node: it reads what all of them read, or sees by itself to what others have.
    Any,
    /// On the one that leads.
    Leader,
    /// On the one that works for the channel which the first part of the path names.
    Channel,
    /// On the one that works for the channel of the callback which the first part of the path names.
    Callback,
    /// On the one that reads the AMQP queue of the channel or the destination which the path names.
    Queue,
}

/// One row: what answers `method` on `pattern` (matchit's syntax, without a final slash).
pub struct Route<S> {
    /// The method.
    pub method: Method,
    /// The path.
    pub pattern: &'static str,
    /// Who may call it.
    pub scope: Scope,
    /// Where it is answered.
    pub on: On,
    /// The handler.
    pub handler: fn(S, Request) -> Answer,
}

/// What the rows say about a path.
pub enum Found<'a, S> {
    /// This row answers, with these path parts.
    Row(&'a Route<S>, Vec<String>),
    /// The path exists; these are its methods, for `Allow`.
    WrongMethod(String),
    /// No such path.
    NoPath,
}

/// All rows, ready for look-ups.
pub struct Routes<S> {
    paths: matchit::Router<Path<S>>,
}

/// The rows of one pattern.
type Path<S> = Arc<Vec<Route<S>>>;

impl<S> Routes<S> {
    /// Makes the table.
    ///
    /// # Panics
    /// When two patterns contradict each other; the rows are part of the program.
    #[must_use]
    pub fn new(rows: Vec<Route<S>>) -> Self {
        let mut by_pattern: BTreeMap<&'static str, Vec<Route<S>>> = BTreeMap::new();
        for row in rows {
            by_pattern.entry(row.pattern).or_default().push(row);
        }
        let mut paths = matchit::Router::new();
        for (pattern, rows) in by_pattern {
            let rows = Arc::new(rows);
            let slashed = format!("{pattern}/");
            for spelling in [pattern, &slashed] {
                paths.insert(spelling, rows.clone()).expect("the rows are consistent");
            }
        }
        Self { paths }
    }

    /// Looks a request up. HEAD is GET without a body.
    #[must_use]
    pub fn find(&self, method: &Method, path: &str) -> Found<'_, S> {
        let Ok(found) = self.paths.at(path) else { return Found::NoPath };
        let method = if *method == Method::HEAD { &Method::GET } else { method };
        match found.value.iter().find(|row| row.method == *method) {
            Some(row) => Found::Row(row, found.params.iter().map(|(_, value)| decode(value)).collect()),
            None => {
                let mut allowed: Vec<&str> = found.value.iter().map(|row| row.method.as_str()).collect();
                if allowed.contains(&"GET") {
                    allowed.push("HEAD");
                }
                Found::WrongMethod(allowed.join(", "))
            }
        }
    }
}

fn decode(part: &str) -> String {
    percent_encoding::percent_decode_str(part).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn handler((): (), request: Request) -> Answer {
        Box::pin(async move {
            let _ = request;
            Response::default()
        })
    }

    #[test]
    fn both_spellings_are_found_and_methods_are_known() {
        let routes = Routes::new(vec![
            Route { method: Method::GET, pattern: "/channels", scope: Scope::Read, on: On::Any, handler },
            Route { method: Method::GET, pattern: "/channels/{id}", scope: Scope::Read, on: On::Any, handler },
            Route { method: Method::DELETE, pattern: "/channels/{id}", scope: Scope::Read, on: On::Any, handler },
        ]);
        for path in ["/channels", "/channels/"] {
            assert!(matches!(routes.find(&Method::HEAD, path), Found::Row(..)), "{path}");
        }
        let Found::Row(_, params) = routes.find(&Method::DELETE, "/channels/a%20b/") else { panic!() };
        assert_eq!(params, ["a b"]);
        let Found::WrongMethod(allowed) = routes.find(&Method::PUT, "/channels/x") else { panic!() };
        assert_eq!(allowed, "GET, DELETE, HEAD");
        assert!(matches!(routes.find(&Method::GET, "/nowhere"), Found::NoPath));
    }
}
