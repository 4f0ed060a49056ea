//! Query parameters of calls that would do more than was meant if one of them were misspelt.

use super::error::ApiError;
use crate::web::route::Request;

/// Refuses a query with a parameter that is none of `names`.
pub(super) fn only(request: &Request, names: &[&str]) -> Result<(), ApiError> {
    match request.query_beyond(names) {
        None => Ok(()),
        Some(unknown) => Err(ApiError::BadQuery(format!("\"{unknown}\" is none of: {}", names.join(", ")))),
    }
}
