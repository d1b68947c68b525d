//! `ddgate doctor`: looks at everything a run stands on, all at once, and says what to do next.
//!
//! It does what a run would do up to the point where the command starts: reads the settings, signs
//! in with what is stored, finds the credential, asks Datadog whether it takes it. Invariant: it
//! asks nobody, every check has a limit, and no secret is shown. It opens no session: its own two
//! calls to Datadog change nothing, and are nobody's.

mod disk;
mod keys;
mod machine;
mod people;

use std::time::Duration;

use super::context::{Context, runtime, working_directory};
use super::ends;
use crate::cli::{DoctorArgs, GlobalArgs};
use crate::config::{self, Overrides, Paths};
use crate::error::CliError;
use crate::exit::Exit;
use crate::launch;
use crate::limits::DOCTOR_CHECK_TIMEOUT;
use crate::ui::doctor::{self, Finding, Mark};
use crate::ui::{Printer, Talk, json};

const CONFIGURATION: &str = "configuration";
const PROVIDER: &str = "identity provider";
const CLOCK: &str = "clock";
const SIGN_IN: &str = "sign-in";
const REQUIREMENTS: &str = "requirements";
const SECRET_STORE: &str = "secret store";
const CREDENTIAL: &str = "credential";
const DATADOG: &str = "Datadog";
const DATA_DIRECTORY: &str = "data directory";
const PROXY: &str = "proxy";
const CERTIFICATES: &str = "certificates";
const SANDBOX: &str = "sandbox";

/// The order they are shown in, whichever ends first.
const ORDER: [&str; 12] = [
    CONFIGURATION,
    PROVIDER,
    CLOCK,
    SIGN_IN,
    REQUIREMENTS,
    SECRET_STORE,
    CREDENTIAL,
    DATADOG,
    DATA_DIRECTORY,
    PROXY,
    CERTIFICATES,
    SANDBOX,
];

pub(super) fn run(
    args: DoctorArgs,
    global: &GlobalArgs,
    printer: &Printer,
) -> Result<Exit, CliError> {
    // Before the first key is read.
    launch::sandbox::shield();
    let overrides = Overrides {
        prompt: Some("never".to_owned()),
        ..ends(args.ends)
    };
    let mut findings = configuration(global)?;
    // What the checks themselves would say is said by their findings.
    let context = Context::new(global, overrides, &printer.talking(Talk::Quiet));
    let runtime = runtime(None)?;
    findings.extend(match &context {
        Ok(context) => runtime.block_on(Box::pin(all(context))),
        Err(error) => without_settings(global, error, &findings),
    });
    // What did not answer in time may still hang.
    runtime.shutdown_background();
    let place = |finding: &Finding| ORDER.iter().position(|check| *check == finding.check);
    findings.sort_by_key(place);
    let ok = !findings.iter().any(|finding| finding.state == Mark::Fail);
    let text = match args.json {
        true => json::doctor(&findings, ok),
        false => doctor::render(&findings, printer.data_look()),
    };
    printer.data(&text)?;
    Ok(if ok { Exit::Success } else { Exit::No })
}

/// Each configuration file by itself.
fn configuration(global: &GlobalArgs) -> Result<Vec<Finding>, CliError> {
    let (paths, directory) = (Paths::platform()?, working_directory()?);
    let files = config::files(&Context::lookup(global), &paths, &directory);
    if files.is_empty() {
        let file = paths.user_file();
        return Ok(vec![Finding::ok(
            CONFIGURATION,
            format!("no file; yours would be {}", file.display()),
        )]);
    }
    let finding = |file: config::FileFound| match file.settings {
        Ok(settings) => {
            let whose = if file.is_project {
                "project file"
            } else {
                "file"
            };
            let count = crate::ui::words::count(settings as u64, "setting");
            Finding::ok(
                CONFIGURATION,
                format!("{whose} {}: {count}", file.path.display()),
            )
        }
        Err(error) => failed(CONFIGURATION, &error.into()),
    };
    Ok(files.into_iter().map(finding).collect())
}

/// Everything that needs the settings, each with its limit.
async fn all(context: &Context) -> Vec<Finding> {
    let people = Box::pin(people::checks(context));
    let machine = machine::checks(context);
    let (mut findings, machine) = tokio::join!(people, machine);
    findings.extend(machine);
    findings
}

/// What can be looked at without settings.
fn without_settings(global: &GlobalArgs, error: &CliError, before: &[Finding]) -> Vec<Finding> {
    let mut findings = machine::without_settings(&Context::lookup(global));
    // A variable or a flag, and not one of the files.
    if before.iter().all(|finding| finding.state != Mark::Fail) {
        findings.push(failed(CONFIGURATION, error));
    }
    let why = "the configuration has to be mended first";
    for check in [SIGN_IN, CREDENTIAL, DATADOG, DATA_DIRECTORY] {
        findings.push(Finding::not_checked(check, why));
    }
    findings
}

/// One check, if it ends in time.
async fn limited<T>(check: impl Future<Output = T>, too_slow: impl FnOnce(Duration) -> T) -> T {
    match tokio::time::timeout(DOCTOR_CHECK_TIMEOUT, check).await {
        Ok(done) => done,
        Err(_) => too_slow(DOCTOR_CHECK_TIMEOUT),
    }
}

/// What a check says that did not end.
fn silent(check: &'static str) -> impl FnOnce(Duration) -> Finding {
    move |limit| {
        Finding::fail(
            check,
            format!("no answer within {limit:?}"),
            "look for what hangs: the network, a file system, a password manager that asks",
        )
    }
}

/// An error with its causes, and its first hint as the next step.
fn failed(check: &'static str, error: &CliError) -> Finding {
    let words: Vec<&str> = std::iter::once(&error.message)
        .chain(&error.causes)
        .map(String::as_str)
        .collect();
    let next = match error.hints.is_empty() {
        true => "mend that".to_owned(),
        false => error.hints.join("; "),
    };
    Finding::fail(check, words.join(": "), next)
}
