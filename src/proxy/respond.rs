//! Answers the gate gives itself, shaped like Datadog's so that an agent can read the reason.

use http::{HeaderValue, Response, StatusCode};

use super::body::PassBody;
use crate::record::CallNumber;

/// Names the call in the record.
pub const CALL_HEADER: &str = "ddgate-call";
/// Says that the gate, not Datadog, gave this answer, and in one word why.
pub const VERDICT_HEADER: &str = "ddgate-verdict";

/// `{"errors": ["ddgate: <message>"]}` with the given status.
pub(super) fn refusal(
    status: StatusCode,
    verdict: &'static str,
    message: &str,
    call: Option<CallNumber>,
) -> Response<PassBody> {
    let body = serde_json::json!({ "errors": [format!("ddgate: {message}")] }).to_string();
    let mut response = Response::new(PassBody::whole(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(
        http::header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    headers.insert(VERDICT_HEADER, HeaderValue::from_static(verdict));
    if let Some(call) = call {
        headers.insert(CALL_HEADER, HeaderValue::from(call.0));
    }
    response
}

/// An empty answer.
pub(super) fn empty(status: StatusCode) -> Response<PassBody> {
    let mut response = Response::new(PassBody::empty());
    *response.status_mut() = status;
    response
}
