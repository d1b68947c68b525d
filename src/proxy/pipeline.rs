//! One call, from the child's socket to the record and back. This is the whole story:
//!
//! | step | where | what |
//! |---|---|---|
//! | 1 classify | `datadog` | method and path become an operation |
//! | 2 identify | `origin`, `keys`, `lapse` | the process and the placeholders prove that this is our child, and somebody still vouches for who it is for |
//! | 3 decide | `policy` | may this session do that? |
//! | 4 gather | `intake` | a short body is read whole; a long one will be streamed |
//! | 5 intend | `journal` | the redacted request is put on stable storage; that makes a permit |
//! | 6 arm | `keys` | placeholders become real keys |
//! | 7 send | `upstream` | spends the permit |
//! | 8 stream | `intake` | the rest of a long body, every piece on disk before it is sent |
//! | 9 relay | `relay` | the answer, to the child and to the record |
//! | 10 conclude | `relay` | how it ended |
//!
//! Runs on a task of its own, so that a child that hangs up does not take the record with it.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use http::header::HeaderMap;
use http::uri::PathAndQuery;
use http::{Request, Response, StatusCode, Uri, request};
use hyper::body::Incoming;
use tokio::sync::oneshot;

use super::body::PassBody;
use super::described::{Described, Intended};
use super::intake::Intake;
use super::keys::Right;
use super::lapse;
use super::origin::{self, By, Origin};
use super::relay::Call;
use super::send_error::SendError;
use super::taps::RequestTap;
use super::tools::{Exchange, Said, is_endpoint};
use super::{Proxy, headers, respond};
use crate::datadog;
use crate::journal::Refused;
use crate::limits;
use crate::policy::{self, Asked, Verdict};
use crate::record::{Level, Operation};

/// Where the answer goes.
pub(super) type Reply = oneshot::Sender<Response<PassBody>>;

/// What an agent is told whose path could be taken for another operation than the one judged.
const ODD_PATH: &str = "this path can be read in more than one way (empty or dot segments, encoded \
     slashes, too many segments), and this session may not do everything: it was not sent; write the \
     path as Datadog's documentation has it";

/// The same, where a header or a parameter asks for another method than the one judged.
const METHOD_OVERRIDE: &str = "this request asks to be taken for one with another method (a header \
     such as X-HTTP-Method-Override, or the parameter _method), and this session may not do \
     everything: it was not sent; use the method itself";

/// Why a call is refused before anything is sent.
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    /// For the record.
    pub(super) rule: Cow<'static, str>,
    /// The same in one word, for the child.
    pub(super) word: &'static str,
    pub(super) message: String,
}

impl Refusal {
    pub(super) fn forbidden(rule: &'static str, message: impl Into<String>) -> Self {
        Self {
            status: StatusCode::FORBIDDEN,
            rule: rule.into(),
            word: rule,
            message: message.into(),
        }
    }
}

/// Serves one call.
pub(super) async fn call(
    proxy: Arc<Proxy>,
    origin: Origin,
    host: String,
    request: Request<Incoming>,
    reply: Reply,
) {
    let started = Instant::now();
    let (mut head, body) = request.into_parts();
    let number = proxy.journal.next_call();
    let target = target_of(&head.uri);

    let by = origin.by(&proxy).await;
    let operation = datadog::classify(&head.method, &host, target.path());
    let exchange = Exchange::of(number, &host, &head);
    let request = Described {
        proxy: &proxy,
        number,
        host: &host,
        head: &head,
        target: &target,
        operation: &operation,
        by,
        level: level(&proxy, &operation, &host, &target),
        known: &proxy.known,
        said: None,
    };
    let right = match admit(&proxy, by, &host, &head, &target) {
        Ok(right) => right,
        Err(refusal) => return request.deny(refusal, body, reply).await,
    };
    let unverified = match lapse::standing(&proxy).await {
        Ok(unverified) => unverified,
        Err(refusal) => return request.deny(refusal, body, reply).await,
    };
    let early = match &exchange {
        _ if !proxy.policy.is_open() && !datadog::is_plain(target.path()) => {
            Err(Refusal::forbidden("odd-path", ODD_PATH))
        }
        _ if !proxy.policy.is_open() && headers::overrides_method(&head.headers, &target) => {
            Err(Refusal::forbidden("method-override", METHOD_OVERRIDE))
        }
        // What a message to an MCP server asks for stands in its body.
        Some(exchange) if exchange.is_endpoint => Ok(policy::DEFAULT.into()),
        _ => decide(&proxy, &Asked::call(head.method.as_str(), &operation)),
    };
    let mut rule = match early {
        Ok(rule) => rule,
        Err(refusal) => return request.deny(refusal, body, reply).await,
    };
    let intake = match Intake::gather(body, &proxy.stopping).await {
        Ok(intake) => intake,
        Err(why) => return request.never_complete(&why, reply).await,
    };
    // Here it is known, if ever.
    let said = exchange.as_ref().and_then(|it| it.said(intake.whole()?));
    let acting = said.as_ref().map(|said| Operation {
        effect: said.effect,
        ..operation.clone()
    });
    let operation = acting.as_ref().unwrap_or(&operation);
    let level = level(&proxy, operation, &host, &target);
    let exchange = exchange.map(|it| it.at(level));
    let own: Vec<_> = right.own_token().cloned().into_iter().collect();
    let known = proxy.known.and(&own);
    let request = Described {
        operation,
        level,
        known: &known,
        said: exchange.as_ref().zip(said.as_ref()),
        ..request
    };
    // By whatever path: the server may know its endpoint under another spelling.
    let is_message =
        |it: &Exchange| it.is_endpoint || intake.whole().is_none_or(|body| !body.is_empty());
    if exchange.as_ref().is_some_and(is_message) {
        match decide_message(&proxy, said.as_ref()) {
            Ok(decided) => rule = decided,
            Err(refusal) => {
                request.refuse(refusal, &intake, reply).await;
                return intake.discard(&proxy.draining).await;
            }
        }
    }
    let rule = unverified.or(right.rule()).map_or(rule, Cow::Borrowed);
    let Intended {
        permit,
        recorder,
        gone,
    } = match request.intend(&intake, &rule, own).await {
        Ok(intended) => intended,
        Err(refused) => {
            unrecordable(&proxy, &refused, reply);
            return intake.discard(&proxy.draining).await;
        }
    };
    let call = Call::new(&proxy, &permit, started, &head.method, operation, level)
        .knowing(&gone)
        .speaking(exchange.clone());

    let armed = match arm(&proxy, right, &mut head.headers, &host, &target) {
        Ok(uri) => uri,
        Err(e) => return call.fail(e.into(), reply).await,
    };
    let tap = exchange.map(|exchange| RequestTap::new(&proxy, exchange, known.clone()));
    let mut outgoing = Request::new(intake.send(&proxy, number, recorder, tap));
    *outgoing.method_mut() = head.method;
    *outgoing.uri_mut() = armed;
    *outgoing.headers_mut() = head.headers;

    let sent = tokio::select! {
        biased;
        () = proxy.stopping.cancelled() => Err(SendError::Stopped),
        sent = proxy.upstream.send(permit, outgoing) => sent,
    };
    match sent {
        Ok(response) => call.relay(response, reply).await,
        Err(e) => call.fail(e, reply).await,
    }
}

fn target_of(uri: &Uri) -> PathAndQuery {
    uri.path_and_query()
        .cloned()
        .unwrap_or_else(|| PathAndQuery::from_static("/"))
}

/// How much of a call is recorded. Beside its endpoint an MCP server has those where tokens are
/// given out: no level keeps their bodies.
fn level(proxy: &Proxy, operation: &Operation, host: &str, target: &PathAndQuery) -> Level {
    let level = proxy.recording.level(operation);
    if datadog::is_mcp_host(host) && !is_endpoint(target.path()) {
        return level.min(Level::Headers);
    }
    level
}

/// May this request pass at all?
fn admit(
    proxy: &Proxy,
    by: By,
    host: &str,
    head: &request::Parts,
    target: &PathAndQuery,
) -> Result<Right, Refusal> {
    if let By::Foreign(_) = by {
        return Err(Refusal::forbidden(origin::FOREIGN, origin::FOREIGN_MESSAGE));
    }
    let right = match proxy.keys.identify(&head.headers, target) {
        Ok(right) => right,
        Err(no) => {
            let own = datadog::is_mcp_host(host).then(|| proxy.keys.own(&head.headers, target));
            let refused = || Refusal::forbidden(no.rule(), no.message());
            own.flatten().ok_or_else(refused)?
        }
    };
    if right.own_token().is_some() {
        proxy.own_tokens.fetch_add(1, Ordering::Relaxed);
    }
    if headers::asks_for_websocket(&head.headers) {
        return Err(Refusal {
            status: StatusCode::NOT_IMPLEMENTED,
            rule: "no-upgrade".into(),
            word: "no-upgrade",
            message: "a WebSocket cannot be recorded call by call, so it is not opened".into(),
        });
    }
    Ok(right)
}

/// May this session do that? Gives the rule that says yes.
fn decide(proxy: &Proxy, asked: &Asked<'_>) -> Result<Cow<'static, str>, Refusal> {
    match policy::decide(&proxy.policy, asked) {
        Verdict::Allow { rule } => Ok(rule),
        // Never 429 or 5xx: clients try again after those.
        Verdict::Deny { rule, word, why } => Err(Refusal {
            status: StatusCode::FORBIDDEN,
            rule,
            word,
            message: why,
        }),
    }
}

/// The same for a message to an MCP server: each of its tool calls has to be allowed. What only
/// keeps the protocol going does nothing to the account and is.
fn decide_message(proxy: &Proxy, said: Option<&Said>) -> Result<Cow<'static, str>, Refusal> {
    match said.filter(|said| said.unread.is_none()) {
        Some(said) => {
            let mut rule = Cow::Borrowed(policy::DEFAULT);
            for asked in said.asked() {
                rule = decide(proxy, &asked)?;
            }
            Ok(rule)
        }
        // It may call any tool.
        None if !proxy.policy.is_open() => Err(Refusal::forbidden(
            "mcp-unread",
            format!(
                "this message to an MCP server was not understood, came too slowly or is longer than \
                 {} bytes, and this session may not do everything: it was not sent",
                limits::REQUEST_INLINE_BYTES_MAX
            ),
        )),
        None => Ok(policy::DEFAULT.into()),
    }
}

/// Makes a head fit for Datadog: real keys, no hop-by-hop headers, and the URI that names the host.
fn arm(
    proxy: &Proxy,
    right: Right,
    head: &mut HeaderMap,
    host: &str,
    target: &PathAndQuery,
) -> Result<Uri, http::Error> {
    headers::towards_datadog(head);
    let target = proxy.keys.arm(right, head, target)?;
    Uri::builder()
        .scheme(proxy.upstream.scheme())
        .authority(host)
        .path_and_query(target)
        .build()
}

/// Nothing was sent, because it could not be recorded.
pub(super) fn unrecordable(proxy: &Proxy, refused: &Refused, reply: Reply) {
    proxy.count_unrecorded();
    let message = format!("not sent, because it cannot be recorded: {refused}");
    let status = StatusCode::SERVICE_UNAVAILABLE;
    // The child may be gone; then nobody needs the answer.
    let _ = reply.send(respond::refusal(status, "unrecordable", &message, None));
}
