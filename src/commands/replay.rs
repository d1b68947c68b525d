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
    let mut view = look::view(&reader)?;
    if args.json {
        look::add_targets(&reader, &mut view)?;
        context
            .printer
            .data(&json::session(&view, &reader.contents()))?;
        return Ok(Exit::Success);
    }
    let pace = match args.speed {
        _ if args.step => Pace::Step,
        Some(speed) => Pace::Timed(speed),
        None => Pace::AtOnce,
    };
    let printer = context.printer.missing((&reader.contents()).into());
    playback::play(&view, pace, &printer)?;
    Ok(Exit::Success)
}
