//! Which agent a process belongs to, as its environment says.
//!
//! Agents name themselves to what they start. The table holds what they set, each with where that
//! is known from; a variable that only users set is not in it. Nothing here is verified.

use crate::record::process::Agent;

/// A variable that an agent sets for its children, the name to record, and the variable that holds
/// the agent's own session.
struct Sign {
    variable: &'static str,
    name: &'static str,
    session: Option<&'static str>,
}

const SIGNS: &[Sign] = &[
    // Claude Code's documentation ("CLAUDECODE: set to 1 in shell environments it spawns"); the
    // session is read by many of its plug-ins.
    sign("CLAUDECODE", "claude-code", Some("CLAUDE_CODE_SESSION_ID")),
    // Codex exports both to the shells it starts (openai/codex; aws-cdk looks for them as well).
    sign("CODEX_THREAD_ID", "codex", Some("CODEX_THREAD_ID")),
    sign("CODEX_SANDBOX", "codex", None),
    sign("CODEX_SANDBOX_NETWORK_DISABLED", "codex", None),
    // google-gemini/gemini-cli, shellExecutionService.ts.
    sign("GEMINI_CLI", "gemini-cli", None),
    // vercel/detect-agent and aws-cdk.
    sign("CURSOR_AGENT", "cursor", None),
    // sst/opencode.
    sign("OPENCODE", "opencode", None),
];
/// A convention of vercel/detect-agent: the value is the name.
const NAME: &str = "AI_AGENT";
/// Of a value that somebody set so much is recorded.
const VALUE_CHARS_MAX: usize = 128;

const fn sign(variable: &'static str, name: &'static str, session: Option<&'static str>) -> Sign {
    Sign {
        variable,
        name,
        session,
    }
}

/// What an environment (`NAME=value`, each ended by a zero byte) says.
pub(super) fn says(environment: &[u8]) -> Option<Agent> {
    let value = |name: &str| {
        environment.split(|byte| *byte == 0).find_map(|entry| {
            let value = entry
                .strip_prefix(name.as_bytes())?
                .strip_prefix(b"=")
                .filter(|value| !value.is_empty())?;
            let text = String::from_utf8_lossy(value);
            Some(text.chars().take(VALUE_CHARS_MAX).collect::<String>())
        })
    };
    if let Some(sign) = SIGNS.iter().find(|sign| value(sign.variable).is_some()) {
        return Some(Agent {
            name: sign.name.to_owned(),
            session: sign.session.and_then(value),
        });
    }
    value(NAME).map(|name| Agent {
        name,
        session: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agents_are_known_by_what_they_set() {
        let said = |environment: &str| {
            says(environment.replace(' ', "\0").as_bytes())
                .map(|agent| (agent.name, agent.session.unwrap_or_default()))
        };
        let agent = |name: &str, session: &str| Some((name.to_owned(), session.to_owned()));
        assert_eq!(said("PATH=/bin CLAUDECODE=1"), agent("claude-code", ""));
        assert_eq!(
            said("CLAUDE_CODE_SESSION_ID=7f A=b CLAUDECODE=1 "),
            agent("claude-code", "7f")
        );
        assert_eq!(said("CODEX_THREAD_ID=t1"), agent("codex", "t1"));
        assert_eq!(said("GEMINI_CLI=1"), agent("gemini-cli", ""));
        assert_eq!(said("AI_AGENT=mine@2"), agent("mine@2", ""));
        assert_eq!(said("XCLAUDECODE=1 CLAUDECODE= CLAUDECODE"), None);
        let long = says(format!("AI_AGENT={}", "x".repeat(999)).as_bytes()).unwrap();
        assert_eq!(long.name.len(), 128);
    }
}
