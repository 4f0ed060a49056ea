//! Query parameters: which there may be, where one that is misspelt would do more than was meant; how long a page is.

use std::str::FromStr;

use super::error::ApiError;
use crate::web::route::Request;

/// Refuses a query with a parameter that is none of `names`, or that is there twice, of which one would not count.
pub(super) fn only(request: &Request, names: &[&str]) -> Result<(), ApiError> {
    let mut seen = Vec::new();
    for name in request.query_names() {
        if !names.contains(&&*name) {
            let known = if names.is_empty() { "no parameters" } else { &names.join(", ") };
            return Err(ApiError::BadQuery(format!("\"{name}\" is none of: {known}")));
        }
        if seen.contains(&name) {
            return Err(ApiError::BadQuery(format!("\"{name}\" is there twice")));
        }
        seen.push(name);
    }
    Ok(())
}

/// Rows in a page that does not say it.
const USUAL: usize = 50;
/// Most rows in a page.
const MOST: usize = 500;

/// How many rows a page may have.
pub(super) fn limit(request: &Request) -> Result<usize, ApiError> {
    match request.query("limit") {
        None => Ok(USUAL),
        Some(text) => match text.parse() {
            Ok(limit @ 1..=MOST) => Ok(limit),
            _ => Err(ApiError::BadQuery(format!("\"limit\" is no number from 1 to {MOST}: '{text}'"))),
        },
    }
}

/// Where a page begins, if not at the beginning.
pub(super) fn cursor<C: FromStr>(request: &Request) -> Result<Option<C>, ApiError> {
    let cursor = request.query("cursor").map(|text| {
        text.parse().map_err(|_| ApiError::BadQuery(format!("\"cursor\" is none that was given: '{text}'")))
    });
    cursor.transpose()
}
