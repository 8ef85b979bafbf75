//! JSON in requests and responses, with serde and serde_json.

use hardstop::{Error, Request, Response};
use serde::{de::DeserializeOwned, Serialize};

/// Reads the request's body as JSON.
///
/// # Errors
/// 415 for another content type, 400 with the place of the mistake, and what reading a body fails
/// with: 413 if it is too large, 408 if it comes too slowly.
pub fn read_json<T: DeserializeOwned>(req: &mut Request<'_>) -> Result<T, Error> {
    let content_type = req.header("Content-Type").unwrap_or_default();
    let media_type = content_type.split(';').next().unwrap_or_default();
    if !media_type.trim().eq_ignore_ascii_case("application/json") {
        return Err(Error::new(415, "the content type is not application/json"));
    }
    // Not `from_reader(req.body())`: serde_json would report a 413 as its own error, a 400.
    let bytes = req.body().read_to_vec()?;
    serde_json::from_slice(&bytes)
        .map_err(|error| Error::new(400, format!("the body is not as expected: {error}")))
}

/// Returns a response with this value as JSON.
///
/// # Errors
/// Fails, with a 500, if the value cannot be serialized, such as a map whose keys are no strings.
pub fn json(value: &impl Serialize) -> Result<Response, Error> {
    let text = serde_json::to_string(value).map_err(Error::internal)?;
    Ok(Response::json(text))
}
