//! Tool calls in words: what stands beneath a call in the timeline, and in the head of `show`.
//!
//! A tool that was called alone and answered well needs no remark: its name is in the call's line.

use crate::record::{Call, Outcome, ToolCall, ToolOutcome};
use crate::replay::tool_name;

use super::style::Tone;
use super::timeline::effect_word;
use super::words;

/// Whether a call without a status of its own went wrong in its tool.
pub(super) fn is_error(call: &Call) -> bool {
    let failed = |tool: &ToolCall| tool.outcome.is_some_and(|it| it != ToolOutcome::Ok);
    call.is_stdio && call.tools.iter().any(failed)
}

/// What is to be said of a call's tools beyond their names: plain words, not escaped.
pub(super) fn remarks(call: &Call) -> Vec<(String, Tone)> {
    let mut remarks: Vec<(String, Tone)> = Vec::new();
    let is_batch = call.tools.len() > 1;
    for tool in &call.tools {
        let is_lost = tool.outcome.is_none() && call.outcome == Outcome::Answered;
        let is_plain = matches!(tool.outcome, None | Some(ToolOutcome::Ok));
        if is_batch || is_lost || !is_plain || tool.came_in.is_some() {
            let tone = if is_plain { Tone::Dim } else { Tone::Destroy };
            let prefix = match is_batch {
                true => format!("{}: ", tool_name(tool)),
                false => String::new(),
            };
            remarks.push((prefix + &went(tool), tone));
        }
    }
    let unread = call.unread.iter();
    remarks.extend(unread.map(|why| (format!("not understood as MCP: {why}"), Tone::Warn)));
    remarks
}

/// How a tool call went.
fn went(tool: &ToolCall) -> String {
    let mut text = match tool.outcome {
        None => return "no result on record".into(),
        Some(ToolOutcome::Ok) => "answered".to_owned(),
        Some(ToolOutcome::ToolError) => "the tool says that it failed".to_owned(),
        Some(ToolOutcome::RpcError) => "the server refused it".to_owned(),
    };
    if let Some(took) = tool.duration_us {
        text.push_str(&format!(" after {}", words::duration(took)));
    }
    if let Some(other) = tool.came_in {
        text.push_str(&format!(", in call {other}"));
    }
    text
}

/// A tool call in one line, for the head of a call: plain words, not escaped.
pub(super) fn line(call: &Call, tool: &ToolCall) -> String {
    let effect = effect_word(tool.effect);
    let went = match call.outcome {
        Outcome::Refused => "refused by the gate".to_owned(),
        _ => went(tool),
    };
    let (name, server) = (tool_name(tool), &tool.server);
    let id = match tool.id.as_str() {
        "" => "no id".to_owned(),
        id => format!("id {id}"),
    };
    format!("{name} ({effect}) of {server}, {id}: {went}")
}
