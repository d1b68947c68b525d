//! A request in words: what the record says of it, and of its refusal. Everything in it is redacted
//! here; what may be sent is decided elsewhere ([`super::pipeline`]).

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, EXPECT, HeaderName};
use http::uri::PathAndQuery;
use http::{StatusCode, request};
use hyper::body::Incoming;

use super::body::discard;
use super::intake::{GatherError, Intake};
use super::origin::By;
use super::pipeline::{Refusal, Reply, unrecordable};
use super::recorder::BodyRecorder;
use super::tools::{Exchange, Said};
use super::{Proxy, respond};
use crate::journal::{Attachment, Permit, Refused, Withheld, commit};
use crate::record::event::{CallRequest, Decision};
use crate::record::{CallNumber, Commitment, Event, Level, Operation, Secret};
use crate::redact::{self, KnownSecrets, Redacted};

/// A request that is on record.
pub(super) struct Intended {
    pub(super) permit: Permit,
    /// Of a body that is still to come.
    pub(super) recorder: Option<BodyRecorder>,
    /// What was removed from it by its place, as far as it has come: the answer may repeat it.
    pub(super) gone: Vec<Secret<String>>,
}

/// A request, ready to be put into words.
#[derive(Clone, Copy)]
pub(super) struct Described<'a> {
    pub(super) proxy: &'a Proxy,
    pub(super) number: CallNumber,
    pub(super) host: &'a str,
    pub(super) head: &'a request::Parts,
    pub(super) target: &'a PathAndQuery,
    pub(super) operation: &'a Operation,
    pub(super) by: By,
    pub(super) level: Level,
    /// The session's secrets, and the request's own.
    pub(super) known: &'a KnownSecrets,
    /// What it says to an MCP server, where that is known.
    pub(super) said: Option<(&'a Exchange, &'a Said)>,
}

impl Described<'_> {
    /// Records the request and everything of its body that is known, durably.
    ///
    /// Returns the recorder of a body that is still to come.
    pub(super) async fn intend(
        &self,
        intake: &Intake,
        rule: &str,
        own: Vec<Secret<String>>,
    ) -> Result<Intended, Refused> {
        let journal = &self.proxy.journal;
        let (mut event, mut attachments) = self.event(Decision::Allow, rule);
        let mut gone = redact::gone_from_target(self.operation, self.target.as_str());
        gone.extend(own);
        let Some(whole) = intake.whole() else {
            event.streamed = true;
            let permit = journal.intend(event, attachments).await?;
            return Ok(Intended {
                permit,
                recorder: Some(self.recorder()),
                gone,
            });
        };
        gone.extend(self.embody(whole, &mut event, &mut attachments).await?);
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

    fn recorder(&self) -> BodyRecorder {
        BodyRecorder::new(
            self.proxy,
            self.known,
            self.level,
            "body",
            self.text(CONTENT_TYPE),
            self.text(CONTENT_ENCODING),
            self.operation.secret_request,
        )
    }

    /// Puts a whole body into the request's event; gives what was removed from it by its place.
    async fn embody(
        &self,
        whole: &Bytes,
        event: &mut CallRequest,
        attachments: &mut Vec<Attachment>,
    ) -> Result<Vec<Secret<String>>, Refused> {
        if whole.is_empty() {
            return Ok(Vec::new());
        }
        let journal = &self.proxy.journal;
        let mut recorder = self.recorder();
        recorder.push(journal, whole.clone()).await?;
        let body = recorder.finish(journal).await?;
        event.body = Some(body.commitment);
        event.unkept = body.unkept;
        event.redactions.extend(body.redactions);
        attachments.extend(body.attachment);
        Ok(body.gone)
    }

    /// Records a refusal and answers the child, whose body nobody has looked at. Nothing was sent.
    pub(super) async fn deny(self, refusal: Refusal, body: Incoming, reply: Reply) {
        let (mut event, attachments) = self.event(Decision::Deny, &refusal.rule);
        if self.has_body() {
            event.unkept = Some("refused before the body was read".into());
        }
        self.denied(refusal, event, attachments, reply).await;
        // A child that asked first (RFC 9110, 10.1.1) has its answer and sends nothing.
        if !self.head.headers.contains_key(EXPECT) {
            discard(body, &self.proxy.draining).await;
        }
    }

    /// The same when the body was looked at: it is what the refusal is about.
    pub(super) async fn refuse(self, refusal: Refusal, intake: &Intake, reply: Reply) {
        let (mut event, mut attachments) = self.event(Decision::Deny, &refusal.rule);
        match intake.whole() {
            None => event.unkept = Some("refused before the body was whole".into()),
            Some(whole) => match self.embody(whole, &mut event, &mut attachments).await {
                Ok(_) => {}
                Err(refused) => return unrecordable(self.proxy, &refused, reply),
            },
        }
        self.denied(refusal, event, attachments, reply).await;
    }

    async fn denied(
        &self,
        refusal: Refusal,
        event: CallRequest,
        attachments: Vec<Attachment>,
        reply: Reply,
    ) {
        let journal = &self.proxy.journal;
        let recorded = journal.note(Event::CallDenied(event), attachments).await;
        let (status, word) = (refusal.status, refusal.word);
        let answer = respond::refusal(status, word, &refusal.message, Some(self.number));
        match recorded {
            // The child may be gone; then nobody needs the answer.
            Ok(()) => drop(reply.send(answer)),
            Err(refused) => unrecordable(self.proxy, &refused, reply),
        }
    }

    /// The child broke off before its request was whole: nothing was sent.
    pub(super) async fn never_complete(self, why: &GatherError, reply: Reply) {
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
            by: self.by.number(),
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
