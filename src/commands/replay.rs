//! `ddgate replay`: a session as a timeline.

use super::context::Context;
use super::look::{self, Targets};
use super::stream;
use crate::cli::ReplayArgs;
use crate::error::CliError;
use crate::exit::Exit;
use crate::replay::Pace;
use crate::ui::{json, playback};

pub(super) fn run(args: &ReplayArgs, context: &Context) -> Result<Exit, CliError> {
    let pass = look::pass(context, &args.session)?;
    let printer = context.printer.missing((&pass.contents()).into());
    let pace = match args.speed {
        _ if args.step => Pace::Step,
        Some(speed) => Pace::Timed(speed),
        None => Pace::AtOnce,
    };
    match (args.follow, args.json, stream::is_long(&pass)) {
        (true, as_json, _) => stream::follow(&pass, as_json, context),
        (false, true, true) => stream::long_json(&pass, context),
        (false, false, true) => stream::long(&pass, pace, context),
        (false, true, false) => {
            let (view, audit) = look::view(&pass, Targets::All)?;
            context
                .printer
                .data(&json::session(&view, &pass.contents()))?;
            Ok(look::report(&audit, &context.printer))
        }
        (false, false, false) => {
            let (view, audit) = look::view(&pass, Targets::Unnamed)?;
            playback::play(&view, pace, &printer)?;
            Ok(look::report(&audit, &context.printer))
        }
    }
}
