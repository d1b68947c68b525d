//! `ddgate demo`: the real `run` against a provider and a Datadog of its own, then the timeline.

use std::ffi::OsString;
use std::time::Duration;

use super::context::{Context, Lookup, runtime, working_directory};
use super::look::{self, Targets};
use super::run as real;
use crate::cli::{DemoArgs, GlobalArgs};
use crate::config::{Overrides, Paths, create_private};
use crate::demo::{self, Sandbox};
use crate::error::CliError;
use crate::exit::Exit;
use crate::replay::Pace;
use crate::ui::Printer;
use crate::ui::playback;

/// How long the demo's person takes to find the page and approve.
const PERSON_NEEDS: Duration = Duration::from_millis(400);
const WORKERS: usize = 2;

pub(super) fn run(
    args: DemoArgs,
    global: &GlobalArgs,
    printer: &Printer,
) -> Result<Exit, CliError> {
    let runtime = runtime(Some(WORKERS))?;
    let sandbox = runtime
        .block_on(demo::sandbox())
        .map_err(|e| CliError::new(Exit::GateFailed, "the demo cannot be set up").caused_by(&e))?;
    let context = context(global, printer, &sandbox).map_err(real::as_gate_failure)?;
    let scripted = args.command.is_empty();
    let command = if scripted { agent()? } else { args.command };
    printer.say(
        "a sign-in provider and a small Datadog run on this machine, for this demo only; \
         the person who approves is played by the demo",
    );
    sandbox.approve_next(PERSON_NEEDS);
    let ran = runtime.block_on(Box::pin(real::session(
        &context,
        command,
        real::Way::Command,
    )));
    let (report, _) = ran.map_err(real::as_gate_failure)?;
    if scripted {
        let pass = look::pass(&context, &report.session.to_string())?;
        let (view, audit) = look::view(&pass, Targets::Unnamed)?;
        playback::play(&view, Pace::AtOnce, printer)?;
        look::report(&audit, printer);
        printer.say(&format!(
            "to look closer, for example: ddgate show {} 4{}",
            report.session.short(),
            context.data_dir_flag(),
        ));
    }
    drop(sandbox);
    runtime.shutdown_background();
    Ok(real::end(&report))
}

/// Settings of the demo: nothing of the user's, and a data directory apart.
fn context(global: &GlobalArgs, printer: &Printer, sandbox: &Sandbox) -> Result<Context, CliError> {
    let mut paths = Paths::platform()?;
    let data = match &global.data_dir {
        Some(chosen) => working_directory()?.join(chosen),
        None => paths.data.join("demo"),
    };
    create_private(&data)?;
    paths.config = data.join("no-settings");
    let api = sandbox.keys.api.clone();
    let application = sandbox.keys.application.clone();
    let lookup: Lookup = Box::new(move |name| match name {
        "DD_API_KEY" => Some(api.expose().clone()),
        "DD_APP_KEY" => Some(application.expose().clone()),
        _ => None,
    });
    let overrides = Overrides {
        upstream: Some(sandbox.upstream()),
        issuer: Some(sandbox.issuer().to_owned()),
        client_id: Some(sandbox.client_id().to_owned()),
        data_dir: Some(data.clone()),
        storage: Some("memory".into()),
        prompt: Some("always".into()),
        ..Overrides::default()
    };
    Context::with(paths, &data, lookup, &overrides, printer)
}

/// The scripted agent: this very program, as a child like any other.
fn agent() -> Result<Vec<OsString>, CliError> {
    let own = std::env::current_exe()
        .map_err(|e| CliError::new(Exit::GateFailed, "ddgate cannot find itself").caused_by(&e))?;
    Ok(vec![own.into_os_string(), "demo-agent".into()])
}

/// What the hidden verb `demo-agent` does.
pub(super) fn play_agent() -> Result<Exit, CliError> {
    let environment = demo::agent::Environment::read(|name| std::env::var(name).ok());
    let played =
        runtime(None)?.block_on(async { Box::pin(demo::agent::play(&environment?)).await });
    played.map_err(|e| CliError::of(Exit::No, &e))?;
    Ok(Exit::Success)
}
