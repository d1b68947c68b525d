//! Records exchanges through the library, as the gate's pipeline does: the request durably, the
//! answer behind it.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};

use ddgate::journal::catalog::SessionDir;
use ddgate::journal::{Attachment, ContentStream, Journal, Permit, commit};
use ddgate::record::event::{
    CallRequest, CallResponse, DatadogSide, Decision, Durability, SessionClose, SessionOpen, Tool,
};
use ddgate::record::{Effect, Event, Outcome, Resource, SessionId};
use ddgate::redact::{self, KnownSecrets, Redacted};

use super::Failure;
use super::traffic::Exchange;

/// Pieces a body arrives in: the gate's read buffer.
const PIECE_BYTES: usize = 32 << 10;

/// A session of this bench.
pub(crate) struct Session {
    pub(crate) dir: SessionDir,
    pub(crate) journal: Arc<Journal>,
}

/// A session's id, the same each time.
pub(crate) const fn id(byte: u8) -> SessionId {
    SessionId::from_bytes([byte; 16])
}

impl Session {
    pub(crate) fn create(
        sessions: &Path,
        byte: u8,
        durability: Durability,
    ) -> Result<Self, Failure> {
        let session = id(byte);
        let dir = SessionDir::new(sessions, session);
        let [who, cmd, host] = [
            ("who", r#"{"sub":"bench","via":"local"}"#),
            ("cmd", r#"["agent"]"#),
            ("host", "{}"),
        ]
        .map(|(field, text)| commit(field, NOTHING.with(|known| known.bytes(text.as_bytes()))));
        let open = SessionOpen {
            session,
            origin: format!("bench/ddgate/{session}"),
            who: who.commitment(),
            cmd: cmd.commitment(),
            host: host.commitment(),
            tool: Tool {
                version: "0".into(),
            },
            dd: DatadogSide {
                site: "datadoghq.com".into(),
                credential: "bench".into(),
                credential_name: None,
            },
            durability,
            policy: None,
            enforce: None,
            egress: ddgate::record::EgressRule::Any,
            binding: None,
            bind: None,
            vkey: None,
            chain: None,
        };
        let journal = Arc::new(Journal::create(&dir, open, vec![who, cmd, host])?);
        Ok(Self { dir, journal })
    }

    /// Puts the request on stable storage.
    pub(crate) async fn intend(&self, request: &Request) -> Result<Permit, Failure> {
        let target = commit("target", request.target.clone());
        let headers = commit("headers", request.headers.clone());
        let body = self.body(&request.body).await?;
        let leaf = CallRequest {
            call: self.journal.next_call(),
            method: request.method.into(),
            host: "api.datadoghq.com".into(),
            route: request.route.into(),
            op: Some(request.operation.into()),
            access: request.effect,
            res: vec![request.resource.clone()],
            decision: Decision::Allow,
            rule: "default".into(),
            by: None,
            level: None,
            target: target.commitment(),
            headers: headers.commitment(),
            body: body.as_ref().map(Attachment::commitment),
            streamed: false,
            unkept: None,
            redactions: Vec::new(),
        };
        let attachments = [target, headers].into_iter().chain(body).collect();
        Ok(self.journal.intend(leaf, attachments).await?)
    }

    /// Records the answer.
    pub(crate) async fn conclude(
        &self,
        permit: &Permit,
        exchange: &Exchange,
    ) -> Result<(), Failure> {
        let headers = commit("headers", headers(&exchange.response_headers)?);
        let body = self.body(&clean(&exchange.response_body)).await?;
        let answer = Event::CallResponse(CallResponse {
            call: permit.call(),
            re: permit.request_leaf(),
            outcome: Outcome::Answered,
            status: Some(200),
            dur_us: 184_713,
            wait_us: Some(171_320),
            headers: Some(headers.commitment()),
            body: body.as_ref().map(Attachment::commitment),
            unkept: None,
            error: None,
            redactions: Vec::new(),
        });
        let attachments = [headers].into_iter().chain(body).collect();
        Ok(self.journal.conclude(answer, attachments).await?)
    }

    /// One whole call.
    pub(crate) async fn record(&self, exchange: &Exchange) -> Result<(), Failure> {
        let permit = self.intend(&Request::of(exchange)?).await?;
        self.conclude(&permit, exchange).await
    }

    /// Closes it.
    pub(crate) fn close(self) -> Result<SessionDir, Failure> {
        let close = SessionClose {
            calls: 0,
            reason: "exit".into(),
            exit: Some(0),
        };
        let manifest = self
            .journal
            .close(close)
            .ok_or("the journal was closed before")?;
        match manifest.trouble {
            None => Ok(self.dir),
            Some(why) => Err(why.into()),
        }
    }

    async fn body(&self, body: &[Redacted<Bytes>]) -> Result<Option<Attachment>, Failure> {
        if body.is_empty() {
            return Ok(None);
        }
        let mut content = ContentStream::new("body");
        for piece in body {
            content.push(&self.journal, piece.clone()).await?;
        }
        Ok(Some(content.finish(&self.journal).await?))
    }
}

/// A request as redaction leaves it, which is not measured here.
#[derive(Clone)]
pub(crate) struct Request {
    method: &'static str,
    route: &'static str,
    operation: &'static str,
    effect: Effect,
    resource: Resource,
    target: Redacted<Bytes>,
    headers: Redacted<Bytes>,
    body: Vec<Redacted<Bytes>>,
}

impl Request {
    pub(crate) fn of(exchange: &Exchange) -> Result<Self, Failure> {
        Ok(Self {
            method: exchange.method,
            route: exchange.route,
            operation: exchange.operation,
            effect: if exchange.is_write {
                Effect::Write
            } else {
                Effect::Read
            },
            resource: Resource {
                kind: exchange.route.split('/').nth(3).unwrap_or_default().into(),
                id: resource(exchange),
            },
            target: NOTHING.with(|known| known.bytes(exchange.target.as_bytes())),
            headers: headers(&exchange.request_headers)?,
            body: clean(&exchange.request_body),
        })
    }

    /// All that it has to keep.
    pub(crate) fn content(&self) -> Vec<u8> {
        let parts = [&self.target, &self.headers].into_iter().chain(&self.body);
        parts.flat_map(|part| part.get().to_vec()).collect()
    }
}

thread_local! {
    /// Redaction that knows no secrets.
    #[expect(clippy::expect_used, reason = "a bench that cannot go on stops")]
    static NOTHING: KnownSecrets = KnownSecrets::new([]).expect("nothing is few enough");
}

fn clean(bytes: &Bytes) -> Vec<Redacted<Bytes>> {
    NOTHING.with(|known| {
        bytes
            .chunks(PIECE_BYTES)
            .map(|piece| known.bytes(piece))
            .collect()
    })
}

fn headers(pairs: &[(&'static str, String)]) -> Result<Redacted<Bytes>, Failure> {
    let mut map = HeaderMap::new();
    for (name, value) in pairs {
        map.append(HeaderName::from_static(name), HeaderValue::from_str(value)?);
    }
    Ok(NOTHING.with(|known| redact::headers(known, &map).json()))
}

fn resource(exchange: &Exchange) -> String {
    let path = exchange.target.split('?').next().unwrap_or_default();
    path.rsplit('/').next().unwrap_or_default().to_owned()
}
