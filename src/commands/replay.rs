//! `ddgate replay`: a session as a timeline.

use super::context::Context;
use super::look;
use crate::cli::ReplayArgs;
use crate::error::CliError;
use crate::exit::Exit;
use crate::replay::Pace;
use crate::ui::{json, playback};

pub(super) fn run(args: &ReplayArgs, context: &Context) -> Result<Exit, CliError> {
    let reader = look::open(context, &args.session)?;
    let (mut view, audit) = look::view(&reader)?;
    if args.json {
        look::add_targets(&reader, &mut view)?;
        context.printer.data(&json::session(&view))?;
        return Ok(look::report(&reader, audit, &context.printer));
    }
    let pace = match args.speed {
        _ if args.step => Pace::Step,
        Some(speed) => Pace::Timed(speed),
        None => Pace::AtOnce,
    };
    playback::play(&view, pace, &context.printer)?;
    Ok(look::report(&reader, audit, &context.printer))
}
