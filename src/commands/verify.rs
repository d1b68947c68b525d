//! `ddgate verify`: is a record what was signed?

use std::io::Read as _;
use std::path::Path;

use super::verify_proof;
use crate::cli::VerifyArgs;
use crate::error::CliError;
use crate::exit::Exit;
use crate::journal::Expected;
use crate::limits;
use crate::tlog::{SignedNote, VerifierKey};
use crate::ui::Printer;

pub(super) fn run(args: &VerifyArgs, printer: &Printer) -> Result<Exit, CliError> {
    let expected = expected(args)?;
    if let Some(dir) = &args.proof {
        return verify_proof::run(dir, expected.key.as_ref(), args.json, printer);
    }
    let dir = args.dir.as_deref().unwrap_or(Path::new("."));
    verify_proof::directory(dir, &expected, args.json, printer)
}

/// What the command line says is known from elsewhere.
fn expected(args: &VerifyArgs) -> Result<Expected, CliError> {
    let key = args.vkey.as_deref().map(vkey).transpose()?;
    let mut checkpoints = Vec::new();
    for path in &args.trusted_checkpoint {
        let shown = path.display();
        let note = SignedNote::parse(&read(path)?).map_err(|e| {
            CliError::usage(format!("{shown} is no signed checkpoint")).caused_by(&e)
        })?;
        checkpoints.push(note);
    }
    Ok(Expected { key, checkpoints })
}

/// A key, or the name of a file that holds one.
fn vkey(text: &str) -> Result<VerifierKey, CliError> {
    let direct = text.trim().parse::<VerifierKey>();
    if direct.is_ok() || !Path::new(text).exists() {
        return direct.map_err(|e| {
            CliError::usage("--vkey: this is no verifier key, and no file that holds one")
                .caused_by(&e)
        });
    }
    let held = String::from_utf8_lossy(&read(Path::new(text))?).into_owned();
    held.trim()
        .parse()
        .map_err(|e| CliError::usage(format!("{text} holds no verifier key")).caused_by(&e))
}

fn read(path: &Path) -> Result<Vec<u8>, CliError> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| {
            file.take(limits::NOTE_BYTES_MAX as u64)
                .read_to_end(&mut bytes)
        })
        .map_err(|e| CliError::usage(format!("cannot read {}", path.display())).caused_by(&e))?;
    Ok(bytes)
}
