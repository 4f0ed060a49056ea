//! Query parameters of calls that would do more than was meant if one of them were misspelt.

use super::error::ApiError;
use crate::web::route::Request;

/// Refuses a query with a parameter that is none of `names`, or that is there twice, of which one would not count.
pub(super) fn only(request: &Request, names: &[&str]) -> Result<(), ApiError> {
    let mut seen = Vec::new();
    for name in request.query_names() {
        if !names.contains(&&*name) {
            return Err(ApiError::BadQuery(format!("\"{name}\" is none of: {}", names.join(", "))));
        }
        if seen.contains(&name) {
            return Err(ApiError::BadQuery(format!("\"{name}\" is there twice")));
        }
        seen.push(name);
    }
    Ok(())
}
