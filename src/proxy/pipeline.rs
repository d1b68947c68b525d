//! One call, from the child's socket to the record and back. This is the whole story:
//!
//! | step | where | what |
//! |---|---|---|
//! | 1 classify | `datadog` | method and path become an operation |
//! | 2 identify | `keys` | the placeholders prove that this is our child |
//! | 3 gather | `intake` | a short body is read whole; a long one will be streamed |
//! | 4 intend | `journal` | the redacted request is put on stable storage; that makes a permit |
//! | 5 arm | `keys` | placeholders become real keys |
//! | 6 send | `upstream` | spends the permit |
//! | 7 stream | `intake` | the rest of a long body, every piece on disk before it is sent |
//! | 8 relay | `relay` | the answer, to the child and to the record |
//! | 9 conclude | `relay` | how it ended |
//!
//! Runs on a task of its own, so that a child that hangs up does not take the record with it.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, EXPECT, HeaderMap, HeaderName};
use http::uri::PathAndQuery;
use http::{Request, Response, StatusCode, Uri, request};
use hyper::body::Incoming;
use tokio::sync::oneshot;

use super::body::{PassBody, discard};
use super::intake::{GatherError, Intake, slices};
use super::keys::Right;
use super::recorder::BodyRecorder;
use super::relay::Call;
use super::send_error::SendError;
use super::taps::RequestTap;
use super::tools::{Exchange, Said, is_endpoint};
use super::{Proxy, headers, respond};
use crate::datadog;
use crate::journal::{Attachment, Permit, Refused, Withheld, commit};
use crate::record::event::{CallRequest, Decision};
use crate::record::{CallNumber, Commitment, Event, Level, Operation, Secret};
use crate::redact::{self, KnownSecrets, Redacted};

/// Where the answer goes.
pub(super) type Reply = oneshot::Sender<Response<PassBody>>;

/// Why a call is refused before anything is sent.
struct Refusal {
    status: StatusCode,
    rule: &'static str,
    message: String,
}

impl Refusal {
    fn forbidden(rule: &'static str, message: impl Into<String>) -> Self {
        Self {
            status: StatusCode::FORBIDDEN,
            rule,
            message: message.into(),
        }
    }
}

/// Serves one call.
pub(super) async fn call(
    proxy: Arc<Proxy>,
    host: String,
    request: Request<Incoming>,
    reply: Reply,
) {
    let started = Instant::now();
    let (mut head, body) = request.into_parts();
    let number = proxy.journal.next_call();
    let target = target_of(&head.uri);

    let mut operation = datadog::classify(&head.method, &host, target.path());
    let exchange = Exchange::of(number, &host, &head);
    let request = Described {
        proxy: &proxy,
        number,
        host: &host,
        head: &head,
        target: &target,
        operation: &operation,
        level: level(&proxy, &operation, &host, &target),
        rule: "default",
        known: &proxy.known,
        said: None,
    };
    let right = match admit(&proxy, &host, &head, &target) {
        Ok(right) => right,
        Err(refusal) => return request.deny(refusal, body, reply).await,
    };
    let intake = match Intake::gather(body, &proxy.stopping).await {
        Ok(intake) => intake,
        Err(why) => return request.never_complete(&why, reply).await,
    };
    // What a message to an MCP server does stands in its body: here it is known, if ever.
    let said = exchange.as_ref().and_then(|it| it.said(intake.whole()?));
    if let Some(said) = &said {
        operation.effect = said.effect;
    }
    let level = level(&proxy, &operation, &host, &target);
    let exchange = exchange.map(|it| it.at(level));
    let own: Vec<_> = right.own_token().cloned().into_iter().collect();
    let known = proxy.known.and(&own);
    let request = Described {
        proxy: &proxy,
        number,
        host: &host,
        head: &head,
        target: &target,
        operation: &operation,
        level,
        rule: right.rule(),
        known: &known,
        said: exchange.as_ref().zip(said.as_ref()),
    };
    let Intended {
        permit,
        recorder,
        gone,
    } = match request.intend(&intake, own).await {
        Ok(intended) => intended,
        Err(refused) => {
            unrecordable(&proxy, &refused, reply);
            return intake.discard(&proxy.draining).await;
        }
    };
    let call = Call::new(&proxy, &permit, started, &head.method, &operation, level)
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
    host: &str,
    head: &request::Parts,
    target: &PathAndQuery,
) -> Result<Right, Refusal> {
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
            rule: "no-upgrade",
            message: "a WebSocket cannot be recorded call by call, so it is not opened".into(),
        });
    }
    Ok(right)
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
fn unrecordable(proxy: &Proxy, refused: &Refused, reply: Reply) {
    proxy.count_unrecorded();
    let message = format!("not sent, because it cannot be recorded: {refused}");
    let status = StatusCode::SERVICE_UNAVAILABLE;
    // The child may be gone; then nobody needs the answer.
    let _ = reply.send(respond::refusal(status, "unrecordable", &message, None));
}

/// A request that is on record.
struct Intended {
    permit: Permit,
    /// Of a body that is still to come.
    recorder: Option<BodyRecorder>,
    /// What was removed from it by its place, as far as it has come: the answer may repeat it.
    gone: Vec<Secret<String>>,
}

/// A request, ready to be put into words.
struct Described<'a> {
    proxy: &'a Proxy,
    number: CallNumber,
    host: &'a str,
    head: &'a request::Parts,
    target: &'a PathAndQuery,
    operation: &'a Operation,
    level: Level,
    rule: &'static str,
    /// The session's secrets, and the request's own.
    known: &'a KnownSecrets,
    /// What it says to an MCP server, where that is known.
    said: Option<(&'a Exchange, &'a Said)>,
}

impl Described<'_> {
    /// Records the request and everything of its body that is known, durably.
    ///
    /// Returns the recorder of a body that is still to come.
    async fn intend(&self, intake: &Intake, own: Vec<Secret<String>>) -> Result<Intended, Refused> {
        let journal = &self.proxy.journal;
        let mut recorder = BodyRecorder::new(
            self.proxy,
            self.known,
            self.level,
            "body",
            self.text(CONTENT_TYPE),
            self.text(CONTENT_ENCODING),
            self.operation.secret_request,
        );
        let (mut event, mut attachments) = self.event(Decision::Allow, self.rule);
        let mut gone = redact::gone_from_target(self.operation, self.target.as_str());
        gone.extend(own);
        let Some(whole) = intake.whole() else {
            event.streamed = true;
            let permit = journal.intend(event, attachments).await?;
            return Ok(Intended {
                permit,
                recorder: Some(recorder),
                gone,
            });
        };
        if !whole.is_empty() {
            for piece in slices(whole) {
                recorder.push(journal, piece).await?;
            }
            let body = recorder.finish(journal).await?;
            event.body = Some(body.commitment);
            event.unkept = body.unkept;
            event.redactions.extend(body.redactions);
            attachments.extend(body.attachment);
            gone.extend(body.gone);
        }
        let permit = match self.said {
            None => journal.intend(event, attachments).await?,
            Some((exchange, said)) => {
                let tools = exchange.leaves(self.proxy, self.known, said).await?;
                let permit = journal.intend_with(event, attachments, tools).await?;
                exchange.expect(&self.proxy.tools, said);
                permit
            }
        };
        Ok(Intended {
            permit,
            recorder: None,
            gone,
        })
    }

    /// Records a refusal and answers the child. Nothing was sent.
    async fn deny(self, refusal: Refusal, body: Incoming, reply: Reply) {
        let (mut event, attachments) = self.event(Decision::Deny, refusal.rule);
        if self.has_body() {
            event.unkept = Some("refused before the body was read".into());
        }
        let recorded = self
            .proxy
            .journal
            .note(Event::CallDenied(event), attachments)
            .await;
        let answer = respond::refusal(
            refusal.status,
            refusal.rule,
            &refusal.message,
            Some(self.number),
        );
        match recorded {
            // The child may be gone; then nobody needs the answer.
            Ok(()) => drop(reply.send(answer)),
            Err(refused) => unrecordable(self.proxy, &refused, reply),
        }
        // A child that asked first (RFC 9110, 10.1.1) has its answer and sends nothing.
        if !self.head.headers.contains_key(EXPECT) {
            discard(body, &self.proxy.draining).await;
        }
    }

    /// The child broke off before its request was whole: nothing was sent.
    async fn never_complete(self, why: &GatherError, reply: Reply) {
        let (mut event, attachments) = self.event(Decision::Deny, "incomplete");
        event.unkept = Some(why.to_string());
        // Refused or not, there is nothing to send.
        let _ = self
            .proxy
            .journal
            .note(Event::CallDenied(event), attachments)
            .await;
        let status = StatusCode::BAD_REQUEST;
        let message = why.to_string();
        let _ = reply.send(respond::refusal(
            status,
            "incomplete",
            &message,
            Some(self.number),
        ));
    }

    fn event(&self, decision: Decision, rule: &str) -> (CallRequest, Vec<Attachment>) {
        let known = self.known;
        let target = redact::target(known, self.operation, self.target.as_str());
        let headers = redact::headers(known, &self.head.headers);
        let (target, headers, attachments) = self.committed(target.into(), headers.json());
        let names = redact::names(known, self.operation, self.target.path()).into_inner();
        let event = CallRequest {
            call: self.number,
            // A method or host can be any word, a key too.
            method: known.text(self.head.method.as_str()).into_inner(),
            host: known.text(self.host).into_inner(),
            route: names.route,
            op: self.operation.id.map(str::to_owned).or_else(|| {
                let methods = self.said?.1.methods.as_deref()?;
                Some(known.text(methods).into_inner())
            }),
            access: self.operation.effect,
            res: names.resources,
            decision,
            rule: rule.to_owned(),
            level: Some(self.level).filter(|level| *level < Level::Full),
            target,
            headers,
            body: None,
            streamed: false,
            unkept: None,
            redactions: Vec::new(),
        };
        (event, attachments)
    }

    /// Commits to path and headers; keeps them, if the level says so.
    fn committed(
        &self,
        target: Redacted<Bytes>,
        headers: Redacted<Bytes>,
    ) -> (Commitment, Commitment, Vec<Attachment>) {
        if self.level >= Level::Headers {
            let (target, headers) = (commit("target", target), commit("headers", headers));
            let commitments = (target.commitment(), headers.commitment());
            return (commitments.0, commitments.1, vec![target, headers]);
        }
        let salt = self.known.key().withheld_salt();
        let withheld = |field, content: Redacted<Bytes>| {
            let mut withheld = Withheld::new(field, &salt);
            withheld.push(content.get());
            withheld.finish()
        };
        (
            withheld("target", target),
            withheld("headers", headers),
            Vec::new(),
        )
    }

    fn has_body(&self) -> bool {
        let headers = &self.head.headers;
        headers.contains_key(http::header::TRANSFER_ENCODING)
            || headers
                .get(http::header::CONTENT_LENGTH)
                .is_some_and(|length| length != "0")
    }

    fn text(&self, name: HeaderName) -> Option<&str> {
        self.head.headers.get(name)?.to_str().ok()
    }
}
