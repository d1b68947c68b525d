//! `ddgate pseudonym`: what stands in the record for a value, for whoever holds the key.

use super::context::{Context, runtime};
use crate::auth::credential::redaction;
use crate::cli::PseudonymArgs;
use crate::config::env;
use crate::error::CliError;
use crate::exit::Exit;
use crate::redact::PseudonymKey;
use crate::ui::{json, prompt};

pub(super) fn run(args: &PseudonymArgs, context: &Context) -> Result<Exit, CliError> {
    let store = context.store();
    let found = runtime(None)?.block_on(redaction::find(&store, context.redaction_key()))?;
    // Before the question: nobody should type a secret for nothing.
    let key = found.ok_or_else(|| {
        CliError::new(
            Exit::No,
            "there is no redaction key that outlives a session, so no pseudonym can be tested",
        )
        .hint("store one, for the sessions to come: ddgate keys set redaction-key")
        .hint(format!("or set {}", env::DDGATE_REDACTION_KEY))
    })?;
    let suspect = prompt::suspect("suspect")?;
    let pseudonym = PseudonymKey::derived(&key.text).pseudonym(suspect.expose());
    let text = match args.json {
        true => json::pseudonym(&pseudonym, &key.source),
        false => format!("{pseudonym}\n"),
    };
    context.printer.data(&text)?;
    Ok(Exit::Success)
}
