//! A wrapped MCP server: a child like any other, whose standard input and output pass through
//! the record. Ends when the server has ended and everything it wrote was passed on.

use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::sync::Arc;

use tokio::runtime::Handle;

use crate::launch::pipe::{self, Onward};
use crate::launch::{ChildEnd, LaunchError, Piped};
use crate::limits;
use crate::proxy::{Proxy, Spoken, Wrapped};

/// Passes on what the server reads and writes, to its end.
pub(super) async fn pass(
    proxy: &Arc<Proxy>,
    command: &[OsString],
    (child, stdin, stdout): Piped,
) -> Result<ChildEnd, LaunchError> {
    let wrapped = Wrapped::new(proxy, &name_of(command));
    let (there, back) = (wrapped.clone(), wrapped);
    // The pipes are read by threads of their own; the record is written by the runtime.
    let runtime = Handle::current();
    let to_child = {
        let runtime = runtime.clone();
        move |line: Option<&[u8]>| {
            let spoken = runtime.block_on(there.said(line));
            Ok(match spoken.map_err(io::Error::other)? {
                Spoken::Passes => Onward::Passes,
                Spoken::Refused(answer) => Onward::Stays(answer),
            })
        }
    };
    let from_child = move |line: Option<&[u8]>| {
        runtime
            .block_on(back.answered(line))
            .map_err(io::Error::other)
    };
    let passage = pipe::pass(stdin, stdout, Box::new(to_child), Box::new(from_child))
        .map_err(LaunchError::Wait)?;
    let ended = child.wait().await;
    passage.drained(limits::MCP_OUTPUT_DRAIN).await;
    ended
}

/// The server's name in the record: that of the program.
fn name_of(command: &[OsString]) -> String {
    let program = command.first().map(Path::new);
    let name = program.and_then(Path::file_name).unwrap_or_default();
    name.to_string_lossy().into_owned()
}
