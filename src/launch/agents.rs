//! What an agent's own sandbox needs so that its commands can reach the gate: one sentence, if the
//! agent is known and its sandbox seems to be on.
//!
//! It reads settings and changes none. An agent it does not know, or settings it cannot read, are no
//! reason to say anything: whatever a sandbox keeps from the gate fails with a placeholder.

use std::ffi::OsString;
use std::path::Path;

use super::env::value;
use crate::limits::AGENT_SETTINGS_BYTES_MAX;

/// Says the one setting, if there is one to be said.
///
/// `gate_port` is the gate's; `directory` is where the agent will run.
#[must_use]
pub fn advice(
    command: &[OsString],
    environment: &[(OsString, OsString)],
    home: &Path,
    directory: &Path,
    gate_port: u16,
) -> Option<String> {
    if value(environment, "CODEX_SANDBOX_NETWORK_DISABLED").is_some_and(|value| value == "1") {
        return Some(
            "this is inside Codex's sandbox, which has no network: start ddgate around Codex, or \
             allow it network access"
                .to_owned(),
        );
    }
    let words: Vec<_> = command.iter().map(|word| word.to_string_lossy()).collect();
    let program = words
        .first()
        .and_then(|word| Path::new(&**word).file_stem())?;
    let is = |name: &str, package: &str| {
        program == name
            || (program == "npx" || program == "bunx")
                && words.iter().any(|word| word.starts_with(package))
    };
    if is("claude", "@anthropic-ai/claude-code") {
        let places = [
            home.join(".claude/settings.json"),
            directory.join(".claude/settings.json"),
            directory.join(".claude/settings.local.json"),
        ];
        return places.iter().any(|path| sandboxes_claude(path)).then(|| {
            format!(
                "Claude Code's sandbox leads its commands past the gate: start it with --settings \
                 '{{\"sandbox\":{{\"network\":{{\"httpProxyPort\":{gate_port}}}}}}}'"
            )
        });
    }
    if is("codex", "@openai/codex") {
        let opens = |text: &str| text.contains("danger-full-access") || allows_network(text);
        let is_open = words
            .iter()
            .any(|word| opens(word) || word.contains("--dangerously-bypass-approvals-and-sandbox"))
            || read(&home.join(".codex/config.toml")).is_some_and(|text| opens(&text));
        return (!is_open).then(|| {
            "Codex's sandbox has no network, so its commands cannot reach the gate: start it with \
             -c sandbox_workspace_write.network_access=true"
                .to_owned()
        });
    }
    if is("gemini", "@google/gemini-cli") {
        return Some(
            "Gemini CLI keeps keys and certificates from MCP servers: one that is not started by \
             node, python or the like needs DD_API_KEY, DD_APP_KEY and SSL_CERT_FILE in its `env`"
                .to_owned(),
        );
    }
    None
}

fn sandboxes_claude(settings: &Path) -> bool {
    let settings = read(settings).and_then(|text| serde_json::from_str(&text).ok());
    settings.is_some_and(|settings: serde_json::Value| {
        let port = &settings["sandbox"]["network"]["httpProxyPort"];
        settings["sandbox"]["enabled"] == true && port.is_null()
    })
}

fn allows_network(text: &str) -> bool {
    let spaceless: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    spaceless.contains("network_access=true")
}

fn read(path: &Path) -> Option<String> {
    use std::io::Read;
    let mut text = String::new();
    let file = std::fs::File::open(path).ok()?;
    file.take(AGENT_SETTINGS_BYTES_MAX)
        .read_to_string(&mut text)
        .ok()?;
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(home: &Path, command: &str, environment: &[(&str, &str)]) -> Option<String> {
        let command: Vec<_> = command.split(' ').map(OsString::from).collect();
        let environment: Vec<_> = environment
            .iter()
            .map(|(name, value)| ((*name).into(), (*value).into()))
            .collect();
        advice(&command, &environment, home, &home.join("work"), 4000)
    }

    fn write(home: &Path, path: &str, text: &str) {
        let path = home.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    #[test]
    fn claude_is_told_its_port_when_it_has_a_sandbox() {
        let home = tempfile::tempdir().unwrap();
        let home = home.path();
        assert_eq!(told(home, "claude", &[]), None);
        write(
            home,
            ".claude/settings.json",
            "{\"sandbox\": {\"enabled\": false}}",
        );
        assert_eq!(told(home, "claude", &[]), None);
        let on = "{\"sandbox\": {\"enabled\": true}}";
        write(home, "work/.claude/settings.local.json", on);
        for command in [
            "claude",
            "/opt/bin/claude -p",
            "npx @anthropic-ai/claude-code@2",
        ] {
            let said = told(home, command, &[]).unwrap();
            assert!(said.contains("{\"httpProxyPort\":4000}"), "{said}");
        }
        assert_eq!(told(home, "my-agent", &[]), None);
    }

    #[test]
    fn codex_is_told_unless_it_has_the_network() {
        let home = tempfile::tempdir().unwrap();
        let home = home.path();
        assert!(
            told(home, "codex exec", &[])
                .unwrap()
                .contains("network_access=true")
        );
        for command in [
            "codex -c sandbox_workspace_write.network_access=true",
            "codex --sandbox danger-full-access",
            "codex --dangerously-bypass-approvals-and-sandbox",
        ] {
            assert_eq!(told(home, command, &[]), None, "{command}");
        }
        let open = "[sandbox_workspace_write]\nnetwork_access = true\n";
        write(home, ".codex/config.toml", open);
        assert_eq!(told(home, "codex", &[]), None);
        let inside = told(home, "sh", &[("CODEX_SANDBOX_NETWORK_DISABLED", "1")]);
        assert!(inside.unwrap().contains("no network"));
    }

    #[test]
    fn gemini_is_told_of_its_filter() {
        let home = tempfile::tempdir().unwrap();
        assert!(told(home.path(), "gemini", &[]).unwrap().contains("env"));
        assert_eq!(told(home.path(), "node gemini", &[]), None);
    }
}
