//! Which process a call came from: the words. Who finds out is `proxy::origin`.

use serde::{Deserialize, Serialize};

/// A program as a process runs it: the content behind `process`'s `program`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Program {
    /// The executable's path; empty when it cannot be told.
    #[serde(default)]
    pub exe: String,
    /// The command line; of a very long one the first words.
    #[serde(default)]
    pub args: Vec<String>,
    /// The agent that its environment names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<Agent>,
}

impl Program {
    /// The last part of the executable's path, else of the first word.
    #[must_use]
    pub fn name(&self) -> &str {
        let path = match self.exe.as_str() {
            "" => self.args.first().map_or("", String::as_str),
            // How Linux marks a file that was replaced while it runs.
            exe => exe.strip_suffix(" (deleted)").unwrap_or(exe),
        };
        path.rsplit('/').next().unwrap_or(path)
    }
}

/// An agent, as it names itself in the environment of what it starts. Nobody verified it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Agent {
    /// For example `claude-code`.
    pub name: String,
    /// Its own session, if it says which.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_has_a_short_name() {
        let named = |exe: &str, arg: &str| {
            let program = Program {
                exe: exe.into(),
                args: vec![arg.into()],
                agent: None,
            };
            program.name().to_owned()
        };
        assert_eq!(named("/usr/bin/curl", "x"), "curl");
        assert_eq!(named("/opt/node (deleted)", "x"), "node");
        assert_eq!(named("", "./run.sh"), "run.sh");
        assert_eq!(Program::default().name(), "");
    }
}
