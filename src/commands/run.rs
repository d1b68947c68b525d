//! `ddgate run`: signs in, finds the keys, opens the gate, and ends as the command ended.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use http::Uri;

use super::context::{Context, host_facts, runtime, working_directory};
use super::sign_in_screen::Manner;
use super::{admit, ends, lapse, look, sign_in};
use crate::auth::credential;
use crate::cli::{
    DurabilityChoice, EgressChoice, EnforceChoice, GlobalArgs, PromptChoice, RunArgs,
};
use crate::config::{Overrides, create_private};
use crate::datadog::Site;
use crate::error::CliError;
use crate::exit::Exit;
use crate::gate::{self, GateError, Plan, Report};
use crate::journal::catalog::Catalog;
use crate::launch::{self, ChildEnd, KeyInFile};
use crate::limits;
use crate::policy::Grant;
use crate::record::{EgressRule, Enforce, Enforcement, Identity, SessionId, enforcement};
use crate::ui::escape::escape;
use crate::ui::{Printer, Talk, timeline};

/// Names the file that says where the session of a runtime directory is kept.
const SESSIONS_NOTE: &str = "sessions";
/// Files of sessions long over are removed after this time.
const RUNTIME_KEPT: Duration = Duration::from_secs(24 * 3600);
/// Calls are short and mostly wait for the network or the disk.
const WORKERS: usize = 2;

/// What is run, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// A command.
    Command,
    /// An MCP server, whose standard input and output carry the protocol.
    Server,
    /// An MCP server inside a `ddgate run`.
    NestedServer,
}

pub(super) fn run(args: RunArgs, global: &GlobalArgs, printer: &Printer) -> Result<Exit, CliError> {
    with(args, Way::Command, global, printer)
}

pub(super) fn with(
    args: RunArgs,
    way: Way,
    global: &GlobalArgs,
    printer: &Printer,
) -> Result<Exit, CliError> {
    let prompt = match way {
        Way::Command => args.prompt,
        // Standard input is not the person's.
        Way::Server | Way::NestedServer => Some(PromptChoice::Never),
    };
    let overrides = Overrides {
        flow: args.sign_in.flow(),
        prompt: prompt.map(|when| {
            match when {
                PromptChoice::Auto => "auto",
                PromptChoice::Always => "always",
                PromptChoice::Never => "never",
            }
            .to_owned()
        }),
        durability: args.durability.map(|what| {
            match what {
                DurabilityChoice::PowerLoss => "power-loss",
                DurabilityChoice::Process => "process",
            }
            .to_owned()
        }),
        read_only: args.policy.read_only,
        allow: args.policy.allow,
        deny: args.policy.deny,
        enforce: args.confine.enforce.map(|how| enforce_word(how).to_owned()),
        allow_ports: args.confine.allow_port,
        egress: args.confine.egress.map(|whom| egress_word(whom).to_owned()),
        allow_hosts: args.confine.allow_host,
        ..ends(args.ends)
    };
    let printer = match args.quiet {
        true => printer.talking(Talk::Quiet),
        false => *printer,
    };
    let context = Context::new(global, overrides, &printer).map_err(as_gate_failure)?;
    let context = context.with_manner(Manner::of(&args.sign_in));
    let runtime = runtime(Some(WORKERS))?;
    let ran = runtime.block_on(Box::pin(session(&context, args.command, way)));
    // Nothing that is still under way may keep the shell waiting.
    runtime.shutdown_background();
    let (report, _) = ran.map_err(as_gate_failure)?;
    Ok(end(&report))
}

const fn enforce_word(choice: EnforceChoice) -> &'static str {
    match choice {
        EnforceChoice::Auto => Enforce::Auto.word(),
        EnforceChoice::On => Enforce::On.word(),
        EnforceChoice::Strict => Enforce::Strict.word(),
        EnforceChoice::Off => Enforce::Off.word(),
    }
}

const fn egress_word(choice: EgressChoice) -> &'static str {
    match choice {
        EgressChoice::Any => EgressRule::Any.word(),
        EgressChoice::Listed => EgressRule::Listed.word(),
        EgressChoice::DatadogOnly => EgressRule::DatadogOnly.word(),
    }
}

/// `run` has exit codes of its own: what is neither usage nor sign-in nor about the command is 125.
pub(super) fn as_gate_failure(error: CliError) -> CliError {
    match error.exit {
        Exit::Usage | Exit::NotSignedIn | Exit::NotExecutable | Exit::NotFound => error,
        _ => error.exiting(Exit::GateFailed),
    }
}

/// Ends as the command ended: by the same signal where the shell must see it, else with its code.
pub(super) fn end(report: &Report) -> Exit {
    if let ChildEnd::Signalled(signal) = report.end
        && signal == launch::INTERRUPT
    {
        launch::die_by(signal);
    }
    report.end.exit()
}

/// One session, from the settings to the summary line.
pub(super) async fn session(
    context: &Context,
    command: Vec<OsString>,
    way: Way,
) -> Result<(Report, Identity), CliError> {
    let printer = context.printer;
    let store = context.store();
    let dialer = context.dialer()?;
    let http = context.http()?;
    admit::before_sign_in(context)?;
    let signed_in = sign_in::identify(context, &store, &http, false).await?;
    admit::check(context, &signed_in.identity)?;
    let mut keeping = lapse::keeping(context, &signed_in, &store, &http)?;
    lapse::warn_of_end(&signed_in.identity, &keeping, printer);
    let (identity, binding) = (signed_in.identity, signed_in.binding);
    let credential = match way {
        // The gate around this one knows these keys and no others.
        Way::NestedServer => credential::placeholders(&context.lookup)?,
        Way::Command | Way::Server => match admit::credential(context, &identity)? {
            Some(named) => {
                keeping.grant = Some(Grant::new(named.name.clone(), named.groups.clone()));
                named.read(&store, &context.lookup).await?
            }
            None => {
                let settings = admit::credential_settings(context);
                credential::resolve(&settings, &store, &context.lookup).await?
            }
        },
    };
    let redaction_key = credential::redaction::find(&store, context.redaction_key()).await?;
    create_private(&context.config.data_dir.value)?;
    let session = gate::fresh_session();
    sweep(context);
    let site = Site::parse(&context.config.datadog.site.value)?;
    let upstream =
        match &context.config.datadog.upstream.value {
            Some(url) => Some(url.as_str().parse::<Uri>().map_err(|e| {
                CliError::usage("the upstream address cannot be used").caused_by(&e)
            })?),
            None => None,
        };
    let plan = Plan {
        command,
        is_mcp_server: way != Way::Command,
        environment: std::env::vars_os().collect(),
        identity: identity.clone(),
        keeping,
        binding,
        credential,
        withheld: admit::withheld(context),
        redaction_key: redaction_key.map(|key| key.text),
        recording: context.config.recording.rules.clone(),
        policy: context.config.policy.rules.clone(),
        site,
        upstream,
        dialer,
        sessions: context.config.sessions(),
        runtime: runtime_of(context, &session)?,
        home: context.paths.home.clone(),
        session,
        host: host_facts(),
        durability: context.config.journal.durability.value,
        recipients: context.config.journal.recipients.value.clone(),
        enforce: context.config.enforce.mode.value,
        allow_ports: context.config.enforce.allow_ports.value.clone(),
        egress: context.config.egress.rule.value,
        allow_hosts: context.config.egress.allow_hosts.value.clone(),
        key_files: key_files(context).await,
    };
    printer.detail(&format!(
        "keys from {}; {}; record in {}",
        escape(&plan.credential.source),
        match &plan.upstream {
            Some(upstream) => format!("every call goes to {upstream}"),
            None => format!("site {}", plan.site.as_str()),
        },
        escape(&plan.sessions.join(session.to_string()).to_string_lossy()),
    ));
    if !identity.via.is_verified() {
        printer.say(&format!(
            "this session is recorded as {}, which nobody has verified",
            escape(identity.label())
        ));
    }
    if let Some(name) = &plan.credential.name {
        printer.say(&format!("credential: {}", escape(name)));
    }
    if let Some(policy) = plan.policy.in_force() {
        printer.say(&format!("policy: {}", escape(&policy.to_string())));
    }
    if let Some(text) = key_files_text(&plan.key_files) {
        printer.warn(&escape(&text));
    }
    let heard = Heard { printer };
    let report = Box::pin(gate::run(plan, &heard)).await?;
    summarise(context, &report, &identity);
    Ok((report, identity))
}

/// Real keys in files the command can read; none where looking took too long.
async fn key_files(context: &Context) -> Vec<KeyInFile> {
    let home = context.paths.home.clone();
    let Ok(directory) = working_directory() else {
        return Vec::new();
    };
    let looking = tokio::task::spawn_blocking(move || launch::key_files::find(&home, &directory));
    match tokio::time::timeout(limits::KEY_FILES_TIMEOUT, looking).await {
        Ok(Ok(found)) => found,
        _ => Vec::new(),
    }
}

/// Names the files, never what is in them.
fn key_files_text(found: &[KeyInFile]) -> Option<String> {
    let mut files: Vec<&str> = found.iter().map(|key| key.file.as_str()).collect();
    files.dedup();
    if files.is_empty() {
        return None;
    }
    let more = match files.len().saturating_sub(limits::KEY_FILES_NAMED_MAX) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    files.truncate(limits::KEY_FILES_NAMED_MAX);
    Some(format!(
        "Datadog keys are within the command's reach in {}{more}; calls with them are refused",
        files.join(", ")
    ))
}

/// Says what a session that opens has to say.
struct Heard {
    printer: Printer,
}

impl gate::Opening for Heard {
    fn warn(&self, text: &str) {
        self.printer.warn(&escape(text));
    }

    fn held(&self, enforcement: &Enforcement) {
        if let Some(line) = held_line(enforcement) {
            self.printer.say(&escape(&line));
        }
    }

    fn identity(&self, news: &gate::News<'_>) {
        lapse::tell(news, self.printer);
    }
}

/// What the command is held to, in one line; nothing where nothing was asked for.
fn held_line(enforcement: &Enforcement) -> Option<String> {
    if enforcement.asked == Enforce::Off {
        return None;
    }
    if let Some(why) = &enforcement.why {
        return Some(format!(
            "the command is not held to the gate and could go round it: {why}"
        ));
    }
    let udp = match enforcement.holds(enforcement::UDP) {
        true => "and not by UDP",
        false => "UDP is not held back",
    };
    let ports: Vec<_> = enforcement.ports.iter().map(u16::to_string).collect();
    let but = match ports.is_empty() {
        true => String::new(),
        false => format!(" (and to port {} itself)", ports.join(", ")),
    };
    Some(format!(
        "the command reaches the network by TCP only through the gate{but}, {udp}; sudo does not \
         work in it (--enforce=off lifts this)"
    ))
}

/// The one line at the end.
fn summarise(context: &Context, report: &Report, who: &Identity) {
    let printer = context.printer;
    if report.unrecorded > 0 {
        printer.warn(&format!(
            "{} refused and not sent, because the record had no room for them: is the disk full?",
            match report.unrecorded {
                1 => "1 call was".to_owned(),
                many => format!("{many} calls were"),
            }
        ));
    }
    distrusting(printer, report);
    if report.own_tokens > 0 {
        printer.warn(&format!(
            "{} to Datadog's MCP server carried a token of the agent's own (rule own-token): they \
             are on record, but the agent can do the same without ddgate; for placeholders instead, \
             give the server's configuration the headers DD_API_KEY and DD_APPLICATION_KEY",
            crate::ui::words::count(report.own_tokens, "call"),
        ));
    }
    if report.unseen > 0 {
        printer.warn(&format!(
            "{} refused (rule datadog-unseen): the gate serves Datadog only where it is asked for by \
             name",
            match report.unseen {
                1 => "1 tunnel to an address of Datadog's was".to_owned(),
                many => format!("{many} tunnels to addresses of Datadog's were"),
            }
        ));
    }
    match &report.manifest {
        Some(manifest) => {
            if let Some(trouble) = &manifest.trouble {
                printer.warn(&format!(
                    "the record could not be written to its end: {}",
                    escape(trouble)
                ));
            }
            let counts = look::counts(&manifest.counts);
            let line =
                timeline::run_summary(report.session, &counts, Some(who), printer.talk_look());
            printer.say(&(line + &context.data_dir_flag()));
        }
        None => printer.warn("the record's writer died; `ddgate replay` shows what it still wrote"),
    }
}

/// Names the hosts that some client did not trust the session's certificate for: it tried, and there is
/// no call to show for it.
fn distrusting(printer: Printer, report: &Report) {
    let connections = |count: u64| match count {
        1 => "1 connection".to_owned(),
        many => format!("{many} connections"),
    };
    for (host, tried) in &report.distrusting {
        let host = escape(host);
        if tried.refused > 0 {
            printer.warn(&format!(
                "{} to {host} did not trust the session's certificate, and nothing of them was sent",
                connections(tried.refused)
            ));
        }
        if tried.left > 0 {
            printer.warn(&format!(
                "{} to {host} ended before a request, as by a program that does not trust the \
                 session's certificate",
                connections(tried.left)
            ));
        }
    }
    if !report.distrusting.is_empty() {
        printer.warn(
            "such a program brings authorities of its own: give it the file in $SSL_CERT_FILE, or \
             the base URL in $DD_HOST",
        );
    }
}

/// Makes the directory for the session's files, and notes in it where the session
/// itself is kept: the directories of all data directories stand side by side.
fn runtime_of(context: &Context, session: &SessionId) -> Result<PathBuf, CliError> {
    let runtime = context.paths.create_session_runtime(session)?;
    let note = runtime.join(SESSIONS_NOTE);
    let sessions = context.config.sessions();
    std::fs::write(&note, sessions.as_os_str().as_encoded_bytes())
        .map_err(|source| GateError::Files { path: note, source })?;
    Ok(runtime)
}

/// Whether a process is left whose environment names the directory: a Node that is told to load a
/// file which is gone does not start. Only Linux tells; elsewhere a day has to be enough.
fn is_named_by_a_process(directory: &Path) -> bool {
    let Ok(processes) = std::fs::read_dir("/proc") else {
        return false;
    };
    let name = directory.as_os_str().as_encoded_bytes();
    processes.flatten().any(|process| {
        std::fs::read(process.path().join("environ"))
            .is_ok_and(|variables| variables.windows(name.len()).any(|window| window == name))
    })
}

/// Removes the files of sessions that ended long ago: while a session is young, a process it left
/// behind may still read them.
fn sweep(context: &Context) {
    let Ok(entries) = std::fs::read_dir(&context.paths.runtime) else {
        return;
    };
    for entry in entries.flatten() {
        let old = entry
            .metadata()
            .and_then(|meta| meta.modified())
            .ok()
            .and_then(|at| SystemTime::now().duration_since(at).ok())
            .is_some_and(|age| age > RUNTIME_KEPT);
        let name = entry.file_name();
        if old
            && let Some(id) = name.to_str().and_then(|name| name.parse().ok())
            && let Ok(sessions) = std::fs::read_to_string(entry.path().join(SESSIONS_NOTE))
            && !Catalog::new(sessions).is_running(id)
            && !is_named_by_a_process(&entry.path())
        {
            // If it cannot be removed now, a later run will.
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}
