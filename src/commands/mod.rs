//! One verb, one file: takes what was typed, calls a room, hands the result to `ui`. Nothing
//! here is used by any other room.

mod admit;
mod bound;
mod bug;
mod checked;
mod completions;
mod context;
mod demo;
mod doctor;
mod erase;
mod export;
mod lapse;
mod login;
mod look;
mod mcp;
mod prove;
mod pseudonym;
mod replay;
mod run;
mod sessions;
mod show;
mod sign_in;
mod sign_in_screen;
mod status;
mod stream;
mod usage;
mod verify;
mod verify_proof;
mod workload;

use std::path::PathBuf;

use clap::Parser as _;

use crate::cli::{
    Cli, Command, ConfigCommand, EndsArgs, GlobalArgs, IdentityChoice, IdentityFileArgs,
};
use crate::config::Overrides;
use crate::error::CliError;
use crate::exit::Exit;
use crate::journal::Identities;
use crate::launch;
use crate::ui::{ColorWish, Printer, Talk};

use context::Context;

/// Parses the command line, runs the verb, prints what went wrong if something did.
pub fn main() -> Exit {
    bug::guarded(|| match launch::launched(std::env::args_os()) {
        None => command_line(),
        Some(error) => {
            let exit = error.exit();
            Printer::new(ColorWish::Auto, Talk::Normal).error(&error.into());
            exit
        }
    })
}

fn command_line() -> Exit {
    // Before anything is read that nobody else may see.
    launch::sandbox::shield();
    match Cli::try_parse() {
        Ok(cli) => dispatch(cli),
        Err(error) => usage::refuse(&error),
    }
}

/// Runs the verb.
pub fn dispatch(cli: Cli) -> Exit {
    let printer = printer(&cli.global);
    match run(cli, &printer) {
        Ok(exit) => exit,
        Err(error) => {
            printer.error(&error);
            error.exit
        }
    }
}

fn run(cli: Cli, printer: &Printer) -> Result<Exit, CliError> {
    let global = &cli.global;
    let context = |overrides| Context::new(global, overrides, printer);
    let plain = || context(Overrides::default());
    match cli.command {
        Command::Run(args) => run::run(args, global, printer),
        Command::Mcp(args) => mcp::run(args, global, printer),
        Command::Replay(args) => replay::run(&args, &context(reading(&args.identity)?)?),
        Command::Show(args) => show::run(&args, &context(reading(&args.identity)?)?),
        Command::Verify(args) => verify::run(&args, &context(reading(&args.identity)?)?),
        Command::Export(args) => export::run(&args, &context(reading(&args.identity)?)?),
        Command::Prove(args) => prove::run(&args, &context(reading(&args.identity)?)?),
        Command::Sessions(args) => sessions::run(&args, &context(reading(&args.identity)?)?),
        Command::Erase(args) => erase::run(&args, &plain()?),
        Command::Login(args) => login::login(args, global, printer),
        Command::Logout(args) => login::logout(&args, global, printer),
        Command::Status(args) if args.all => status::profiles(args.json, global, printer),
        Command::Status(args) => status::show(&args, &plain()?),
        Command::Doctor(args) => doctor::run(args, global, printer),
        Command::Keys(args) => status::keys_verb(&args, &plain()?),
        Command::Pseudonym(args) => pseudonym::run(&args, &plain()?),
        Command::Demo(args) => demo::run(args, global, printer),
        Command::Config(args) => match args.command {
            ConfigCommand::Show { json } => status::config(json, &plain()?),
        },
        Command::Completions(args) => completions::run(&args, printer),
        Command::DemoAgent => demo::play_agent(),
    }
}

/// What a verb that reads sessions is told about identities. A slip is told also where nothing
/// turns out to be sealed.
fn reading(args: &IdentityFileArgs) -> Result<Overrides, CliError> {
    Identities::are_there(args.age_identity.iter().map(PathBuf::as_path))?;
    Ok(Overrides {
        age_identities: args.age_identity.clone(),
        ..Overrides::default()
    })
}

/// What a verb is told of whose session it is, and which Datadog.
fn ends(args: EndsArgs) -> Overrides {
    let identity = args.identity.map(|how| match how {
        IdentityChoice::Local => "local",
        IdentityChoice::Oidc => "oidc",
    });
    Overrides {
        identity: identity.map(str::to_owned),
        upstream: args.upstream,
        site: args.site,
        issuer: args.provider.issuer,
        client_id: args.provider.client_id,
        ..Overrides::default()
    }
}

/// The printer the global flags ask for.
fn printer(global: &GlobalArgs) -> Printer {
    let talk = match global.verbose {
        0 => Talk::Normal,
        _ => Talk::Verbose,
    };
    Printer::new(global.color, talk)
}
