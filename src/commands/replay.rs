//! `ddgate replay`: a session as a timeline.

use super::context::Context;
use super::look::{self, Targets};
use crate::cli::ReplayArgs;
use crate::error::CliError;
use crate::exit::Exit;
use crate::replay::Pace;
use crate::ui::{json, playback};

pub(super) fn run(args: &ReplayArgs, context: &Context) -> Result<Exit, CliError> {
    let reader = look::open(context, &args.session)?;
    if args.json {
        let view = look::view(&reader, Targets::All)?;
        context.printer.data(&json::session(&view))?;
        return Ok(Exit::Success);
    }
    let view = look::view(&reader, Targets::Unnamed)?;
    let pace = match args.speed {
        _ if args.step => Pace::Step,
        Some(speed) => Pace::Timed(speed),
        None => Pace::AtOnce,
    };
    playback::play(&view, pace, &context.printer)?;
    Ok(Exit::Success)
}
