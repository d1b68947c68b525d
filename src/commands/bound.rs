//! Whom the key of a session is tied to: what `verify` says as BOUND or UNBOUND.
//!
//! UNBOUND is no fault of a record. What is proven is what the identity provider signed; that the
//! provider's key is its own is not, since the record brings it along: unless somebody gives the keys.

use std::ops::ControlFlow;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::look::head_content;
use crate::auth::identity::binding::{BoundTo, PublishedKeys, check_with};
use crate::error::CliError;
use crate::journal::{Beside, Depth, Pass};
use crate::record::event::SessionOpen;
use crate::record::{BindingMethod, Contents, Event};

/// Whom a session's key is tied to, or why to nobody.
pub(super) type Bound = Result<BoundTo, String>;

/// Looks it up in the first leaf. Contents have to be open already, where that can be.
pub(super) fn of(pass: &Pass, published: Option<&PublishedKeys>) -> Result<Bound, CliError> {
    let mut bound = Err("the session has no first leaf that says so".to_owned());
    pass.read(Depth::Leaves, |leaf, beside| {
        if let Event::SessionOpen(open) = &leaf.event {
            bound = judged(open, leaf.ts, beside, &pass.contents(), published);
        }
        ControlFlow::Break(())
    })?;
    Ok(bound)
}

fn judged(
    open: &SessionOpen,
    opened: DateTime<Utc>,
    beside: &Beside<'_>,
    contents: &Contents,
    published: Option<&PublishedKeys>,
) -> Bound {
    let Some(binding) = &open.binding else {
        return Err("the session is from before sessions were bound".to_owned());
    };
    let Some(committed) = &open.bind else {
        let why = binding.why.as_deref();
        return Err(why.unwrap_or("nothing that proves it is kept").to_owned());
    };
    let Some(proof) = beside.content("bind", committed) else {
        return Err(match contents {
            Contents::Sealed => "what proves it is sealed: --age-identity FILE opens it",
            _ => "what proved it was erased",
        }
        .to_owned());
    };
    let vkey = open.vkey.as_deref().unwrap_or_default();
    let to = check_with(&proof, vkey, opened, published).map_err(|why| why.to_string())?;
    let who = head_content(open, beside).who;
    if who.is_some_and(|who| who.subject == to.subject && who.issuer == to.issuer) {
        return Ok(to);
    }
    Err("what proves it is about somebody else than the record says".to_owned())
}

/// As `verify` prints it.
pub(super) fn words(bound: &Bound) -> String {
    match bound {
        Err(why) => format!("UNBOUND, {why}"),
        Ok(to) => format!(
            "BOUND to {} by {} ({}), which signed that at {}{}",
            match &to.email {
                Some(email) => format!("{email} ({})", to.subject),
                // Access tokens often say no more.
                None => to.subject.clone(),
            },
            to.issuer,
            how(to.method),
            to.issued.format("%Y-%m-%d %H:%M:%S UTC"),
            if to.is_published {
                ", with a key of --jwks"
            } else {
                ""
            },
        ),
    }
}

/// What kind of word the provider gave.
const fn how(method: BindingMethod) -> &'static str {
    match method {
        BindingMethod::OidcCnf => "an ID token with the key in it, cnf",
        BindingMethod::DpopJkt => "an access token bound to the key, DPoP",
        BindingMethod::OidcNonce => "an ID token with the key's hash as its nonce",
        BindingMethod::None => "nothing",
    }
}

/// What that leaves open.
pub(super) fn not_checked(bound: &Bound) -> Option<String> {
    let to = bound.as_ref().ok()?;
    if to.is_published {
        return Some(format!(
            "whether `{}` is ddgate's client at {}: whoever runs another one there can have people \
             sign in to it",
            to.client_id, to.issuer
        ));
    }
    let key = match &to.key_id {
        Some(id) => format!("the key `{id}`"),
        None => "the key".to_owned(),
    };
    Some(format!(
        "whether {key} is really that of {}: the record brought it along",
        to.issuer
    ))
}

/// The same for machines.
pub(super) fn document(bound: &Bound) -> Value {
    match bound {
        Err(why) => json!({ "why": why }),
        Ok(to) => json!({
            "method": to.method,
            "issuer": to.issuer,
            "subject": to.subject,
            "client_id": to.client_id,
            "email": to.email,
            "issued": to.issued,
            "key_id": to.key_id,
            "key_published": to.is_published,
        }),
    }
}
