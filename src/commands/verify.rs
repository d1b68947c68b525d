//! `ddgate verify`: is a record what was signed?

use serde_json::{Value, json};

use super::checked::{self, mark};
use super::context::Context;
use super::{bound, look, verify_proof};
use crate::auth::identity::binding::PublishedKeys;
use crate::cli::VerifyArgs;
use crate::error::CliError;
use crate::exit::Exit;
use crate::journal::catalog::{Catalog, SessionDir};
use crate::journal::chain::{self, ChainAudit, Linked};
use crate::journal::{Expected, JournalError, Pass, Verdict, audit, reader};
use crate::record::SessionId;
use crate::record::event::ChainLink;
use crate::tlog::{SignedNote, VerifierKey};
use crate::ui::check::{self, Check, Line};
use crate::ui::json;

/// The largest checkpoint file that is read.
const NOTE_BYTES_MAX: u64 = 1 << 20;

pub(super) fn run(args: &VerifyArgs, context: &Context) -> Result<Exit, CliError> {
    if args.all {
        return all(args, context);
    }
    if let Some(dir) = &args.proof {
        let expected = expected(args)?;
        return verify_proof::run(dir, expected.key.as_ref(), args.json, &context.printer);
    }
    if let Some(dir) = &args.dir {
        return verify_proof::directory(dir, &expected(args)?, args.json, &context.printer);
    }
    let catalog = Catalog::new(context.config.sessions());
    let lines = chain::lines(catalog.path())?;
    let published = published(args)?;
    let mut worst = Verdict::Verified;
    let mut documents = Vec::new();
    for (at, selector) in args.sessions.iter().enumerate() {
        let dir = catalog.find(selector)?;
        let mut pass = Pass::open(dir.clone())?;
        let expected = Expected {
            stated: stated_by_next(&catalog, &lines, &dir),
            identities: look::identities_for(context, &pass)?,
            ..expected(args)?
        };
        let audit = audit(&dir, &expected)?;
        worst = worse(worst, audit.verdict());
        pass.unlock(&expected.identities)?;
        let bound = bound::of(&pass, published.as_ref())?;
        // Whoever brings the provider's keys asks who vouched for the person.
        if (args.require_bound || published.is_some()) && bound.is_err() {
            worst = worse(worst, Verdict::Incomplete);
        }
        if args.json {
            documents.push(checked::document(&audit, &expected, Some(&bound)));
        } else {
            if at > 0 {
                context.printer.data("\n")?;
            }
            let text = check::render(
                &checked::words(&audit, &expected, Some(&bound)),
                context.printer.data_look(),
            );
            context.printer.data(&text)?;
        }
    }
    if args.json {
        let whole = match documents.len() {
            1 => documents.remove(0),
            _ => Value::Array(documents),
        };
        context.printer.data(&json::value(&whole))?;
    }
    Ok(exit(worst))
}

/// All sessions, and whether one is missing among them.
fn all(args: &VerifyArgs, context: &Context) -> Result<Exit, CliError> {
    let catalog = Catalog::new(context.config.sessions());
    let chain_lines = chain::lines(catalog.path())?;
    let dirs = catalog.dirs()?;
    if dirs.is_empty() && chain_lines.is_empty() {
        // Nothing to check is not the same as nothing wrong: the place may be another one.
        return Err(JournalError::NoSessions(catalog.path().to_owned()).into());
    }
    let (unopened, opened): (Vec<_>, Vec<_>) = dirs
        .into_iter()
        .partition(|(_, dir)| reader::never_opened(dir));
    let unopened: Vec<SessionId> = unopened.into_iter().map(|(id, _)| id).collect();
    let linked: Vec<Linked> = opened
        .iter()
        .map(|(id, dir)| linked(*id, dir, &chain_lines))
        .collect();
    let mut worst = Verdict::Verified;
    let (mut table, mut documents) = (Vec::new(), Vec::new());
    for (id, dir) in &opened {
        let expected = Expected {
            stated: linked.iter().find_map(|after| states(after, *id, &linked)),
            ..Expected::default()
        };
        match audit(dir, &expected) {
            Ok(audit) => {
                worst = worse(worst, audit.verdict());
                if args.json {
                    documents.push(checked::document(&audit, &expected, None));
                }
                table.push(checked::line(&audit));
            }
            Err(error) => {
                worst = worse(worst, Verdict::Tampered);
                let error = CliError::from(error);
                documents.push(json!({"session": id.to_string(), "verdict": "TAMPERED", "faults": [error.message]}));
                table.push(Line {
                    session: id.short(),
                    started: None,
                    leaves: 0,
                    calls: 0,
                    mark: check::Mark::Tampered,
                    why: error.message.clone(),
                });
            }
        }
    }
    table.sort_by_key(|line| std::cmp::Reverse(line.started));
    let chained = chain::check(&chain_lines, &linked, &unopened);
    if !chained.gaps.is_empty() {
        worst = worse(worst, Verdict::Incomplete);
    }
    let words = chain_words(&chained, worst);
    let text = if args.json {
        json::value(&json!({
            "sessions": documents,
            "chain": {
                "sessions": chained.sessions,
                "installations": chained.installs,
                "never_opened": unopened.len(),
                "gaps": words.gaps,
            },
            "not_checked": words.not_checked,
            "verdict": words.mark.word(),
        }))
    } else {
        check::render_all(&table, &words, context.printer.data_look())
    };
    context.printer.data(&text)?;
    Ok(exit(worst))
}

fn chain_words(chained: &ChainAudit, worst: Verdict) -> Check {
    let sessions = crate::ui::words::count(chained.sessions, "session");
    Check {
        rows: vec![(
            "chain",
            match chained.installs {
                0 | 1 => sessions,
                more => format!("{sessions} of {more} installations"),
            },
        )],
        faults: Vec::new(),
        gaps: chained.gaps.iter().map(ToString::to_string).collect(),
        more: 0,
        not_checked: vec![
            "whether the latest sessions were deleted together with their lines in the chain: \
             that takes a copy kept elsewhere"
                .into(),
            "calls made around ddgate: compare with Datadog's own audit trail".into(),
        ],
        reach: "for all sessions together".into(),
        mark: mark(worst),
    }
}

/// A session's place in the chain: from its own first leaf, or, when that does not read, from the
/// chain's line.
fn linked(id: SessionId, dir: &SessionDir, lines: &[chain::Line]) -> Linked {
    if let Some(open) = reader::opening(dir) {
        return Linked {
            session: id,
            origin: open.origin,
            link: open.chain,
        };
    }
    let line = lines.iter().find(|line| line.session == id);
    Linked {
        session: id,
        origin: line.map(|line| line.origin.clone()).unwrap_or_default(),
        link: line.map(|line| ChainLink {
            install: line.install.clone(),
            seq: line.seq,
            prev: None,
        }),
    }
}

/// What `after` found of session `id` when it opened, if it is the one after it.
fn states(after: &Linked, id: SessionId, all: &[Linked]) -> Option<(u64, crate::tlog::Hash)> {
    let before = all.iter().find(|linked| linked.session == id)?;
    let prev = after.link.as_ref()?.prev.as_ref()?;
    let is_before = prev.origin == before.origin && prev.size > 0;
    Some((prev.size, prev.root.parse().ok()?)).filter(|_| is_before)
}

/// The same for one session, without reading all others: the chain says which one came after it.
fn stated_by_next(
    catalog: &Catalog,
    lines: &[chain::Line],
    dir: &SessionDir,
) -> Option<(u64, crate::tlog::Hash)> {
    let this = reader::opening(dir)?;
    let link = this.chain.clone()?;
    let next = lines
        .iter()
        .find(|line| line.install == link.install && line.seq == link.seq + 1)?;
    let after = linked(
        next.session,
        &SessionDir::new(catalog.path(), next.session),
        lines,
    );
    let id = this.session;
    let before = Linked {
        session: id,
        origin: this.origin,
        link: Some(link),
    };
    states(&after, id, std::slice::from_ref(&before))
}

/// What the command line says is known from elsewhere.
pub(super) fn expected(args: &VerifyArgs) -> Result<Expected, CliError> {
    let key = match &args.vkey {
        None => None,
        Some(text) => Some(vkey(text)?),
    };
    let mut checkpoints = Vec::new();
    for path in &args.trusted_checkpoint {
        let shown = path.display();
        let bytes = read_bounded(path)
            .map_err(|e| CliError::usage(format!("cannot read {shown}")).caused_by(&e))?;
        let note = SignedNote::parse(&bytes).map_err(|e| {
            CliError::usage(format!("{shown} is no signed checkpoint")).caused_by(&e)
        })?;
        checkpoints.push(note);
    }
    Ok(Expected {
        key,
        checkpoints,
        ..Expected::default()
    })
}

/// The identity provider's keys, as the command line says.
fn published(args: &VerifyArgs) -> Result<Option<PublishedKeys>, CliError> {
    let Some(path) = &args.jwks else {
        return Ok(None);
    };
    let shown = path.display();
    let bytes = read_bounded(path)
        .map_err(|e| CliError::usage(format!("cannot read {shown}")).caused_by(&e))?;
    let keys = PublishedKeys::read(&bytes).ok_or_else(|| {
        CliError::usage(format!("{shown} holds no JSON Web Key Set (RFC 7517)"))
            .hint("it is what the provider publishes at the `jwks_uri` of its discovery document")
    })?;
    Ok(Some(keys))
}

/// A key, or the name of a file that holds one.
fn vkey(text: &str) -> Result<VerifierKey, CliError> {
    let direct = text.trim().parse::<VerifierKey>();
    if direct.is_ok() || !std::path::Path::new(text).exists() {
        return direct.map_err(|e| {
            CliError::usage("--vkey: this is no verifier key, and no file that holds one")
                .caused_by(&e)
        });
    }
    let bytes = read_bounded(std::path::Path::new(text))
        .map_err(|e| CliError::usage(format!("cannot read {text}")).caused_by(&e))?;
    String::from_utf8_lossy(&bytes)
        .trim()
        .parse()
        .map_err(|e| CliError::usage(format!("{text} holds no verifier key")).caused_by(&e))
}

fn read_bounded(path: &std::path::Path) -> std::io::Result<Vec<u8>> {
    use std::io::Read;
    let mut bytes = Vec::new();
    let mut file = std::fs::File::open(path)?.take(NOTE_BYTES_MAX);
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}

const fn worse(one: Verdict, other: Verdict) -> Verdict {
    match (one, other) {
        (Verdict::Tampered, _) | (_, Verdict::Tampered) => Verdict::Tampered,
        (Verdict::Incomplete, _) | (_, Verdict::Incomplete) => Verdict::Incomplete,
        (Verdict::Verified, Verdict::Verified) => Verdict::Verified,
    }
}

/// 0 verified, 1 tampered, 2 not established.
pub(super) const fn exit(verdict: Verdict) -> Exit {
    match verdict {
        Verdict::Verified => Exit::Success,
        Verdict::Tampered => Exit::No,
        Verdict::Incomplete => Exit::Incomplete,
    }
}
