//! The secrets of one session: placeholders made, real keys gathered from where they stand, and what
//! finds and replaces them. Nothing is stored, and nothing is shown.

use std::ffi::OsString;

use super::GateError;
use crate::auth::credential::Credential;
use crate::launch::{self, KeyInFile, Placeholders, Replacement, Scrubber};
use crate::proxy::{Keys, Slot};
use crate::record::Secret;
use crate::redact::{self, KnownSecrets, PseudonymKey, Replacer};

pub(super) fn fresh_keys(credential: &Credential, files: &[KeyInFile]) -> Keys {
    let slot = |hex_digits: usize, real: &Option<Secret<String>>| Slot {
        placeholder: Secret::new(random_hex(hex_digits)),
        real: real.clone(),
    };
    Keys {
        api: slot(32, &credential.api_key),
        app: slot(40, &credential.app_key),
        bearer: Slot {
            placeholder: Secret::new(token_placeholder(credential.bearer.as_ref())),
            real: credential.bearer.clone(),
        },
        elsewhere: files
            .iter()
            .map(|key| (key.value.clone(), key.file.clone()))
            .collect(),
    }
}

/// How Datadog's own access tokens begin, personal and of a service.
const TOKEN_STARTS: [&str; 2] = ["ddpat_", "ddsat_"];
/// Random digits of a placeholder that begins like a token.
const TOKEN_DIGITS_MIN: usize = 32;

/// A placeholder of the token's own shape: some clients look at how it begins.
fn token_placeholder(real: Option<&Secret<String>>) -> String {
    let real = real.map(|real| real.expose().as_str()).unwrap_or_default();
    let Some(start) = TOKEN_STARTS.iter().find(|start| real.starts_with(**start)) else {
        return random_hex(40);
    };
    let digits = (real.len() - start.len()).max(TOKEN_DIGITS_MIN);
    let mut shaped = format!("{start}{}", random_hex(digits.next_multiple_of(2)));
    shaped.truncate(start.len() + digits);
    shaped
}

fn random_hex(digits: usize) -> String {
    let mut bytes = vec![0; digits / 2];
    #[expect(clippy::expect_used, reason = "no way on without randomness")]
    getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Keys in ddgate's own environment that are not the ones it uses: the child gets none of them.
pub(super) fn stray_keys(
    environment: &[(OsString, OsString)],
    keys: &Keys,
) -> Vec<(&'static str, Secret<String>)> {
    let used: Vec<&str> = keys
        .reals()
        .map(|(_, real, _)| real.expose().as_str())
        .collect();
    launch::env::credentials(environment)
        .filter(|(_, value)| !used.contains(value))
        .map(|(name, value)| (name, Secret::new(value.to_owned())))
        .collect()
}

/// Values of other credentials that are not, by chance, the ones the gate uses.
pub(super) fn withheld(
    others: &[(&'static str, Secret<String>)],
    keys: &Keys,
) -> Vec<(&'static str, Secret<String>)> {
    let is_used = |value: &str| keys.reals().any(|(_, real, _)| real.expose() == value);
    let others = others.iter();
    others
        .filter(|(_, value)| !is_used(value.expose()))
        .cloned()
        .collect()
}

/// Keys in files that are not the ones the gate uses: none of them may be recorded, either.
pub(super) fn keys_in_files(
    files: &[KeyInFile],
    keys: &Keys,
) -> Vec<(&'static str, Secret<String>)> {
    let is_used = |value: &str| keys.reals().any(|(_, real, _)| real.expose() == value);
    files
        .iter()
        .filter(|key| !is_used(key.value.expose()))
        .map(|key| (key.kind, key.value.clone()))
        .collect()
}

pub(super) fn placeholders(keys: &Keys) -> Placeholders {
    Placeholders {
        api_key: keys.api.placeholder.expose().clone(),
        app_key: keys.app.placeholder.expose().clone(),
        bearer: keys.bearer.placeholder.expose().clone(),
        offers_token: keys.bearer.real.is_some() && keys.app.real.is_none(),
    }
}

/// The command without real keys: a shell expands `-H "DD-API-KEY: $DD_API_KEY"` before it gets here.
pub(super) fn scrubbed(command: &[OsString], scrubber: &Scrubber) -> Vec<OsString> {
    let clean = |word: &OsString| scrubber.scrub(word).unwrap_or_else(|| word.clone());
    command.iter().map(clean).collect()
}

pub(super) fn scrubber(keys: &Keys, strays: Vec<(&'static str, Secret<String>)>) -> Scrubber {
    let placeholder = |name: &str| {
        let slot = keys.named().find(|(known, _)| *known == name);
        slot.map_or(&keys.api, |(_, slot)| slot)
            .placeholder
            .expose()
            .clone()
    };
    let reals = keys
        .reals()
        .map(|(name, real, _)| (name, real.clone()))
        .chain(strays);
    Scrubber::new(reals.map(|(name, secret)| Replacement {
        secret,
        placeholder: placeholder(name),
    }))
}

pub(super) fn known_secrets(
    redaction_key: Option<&Secret<String>>,
    keys: &Keys,
    strays: &[(&'static str, Secret<String>)],
) -> Result<KnownSecrets, GateError> {
    let reals = keys
        .reals()
        .map(|(name, real, _)| (name, real))
        .chain(strays.iter().map(|(name, stray)| (*name, stray)))
        .map(|(name, real)| (name.to_owned(), real.clone()));
    let placeholders = keys
        .named()
        .map(|(name, slot)| (format!("{name}-placeholder"), slot.placeholder.clone()));
    let key = redaction_key.map_or_else(PseudonymKey::fresh, PseudonymKey::derived);
    KnownSecrets::keyed(key, reals.chain(placeholders))
        .map_err(|e| GateError::Redactor(e.to_string()))
}

/// What turns real keys into placeholders in what the child sees, and whether lengths survive it.
pub(super) fn swap(keys: &Keys) -> Result<(Replacer, bool), GateError> {
    let pairs: Vec<_> = keys
        .reals()
        .flat_map(|(_, real, placeholder)| redact::swaps(real, placeholder.expose()))
        .collect();
    let keeps_length = pairs.iter().all(|(old, new)| old.len() == new.len());
    let swap = Replacer::new(pairs).map_err(|e| GateError::Redactor(e.to_string()))?;
    Ok((swap, keeps_length))
}
