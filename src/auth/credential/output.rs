//! What a credential command prints: JSON under the names people use, lines of `DD_API_KEY=…`, or
//! one of Datadog's access tokens alone.
//!
//! Password managers wrap what they keep; three wrappings are looked into: `data` (Vault), the text
//! in `SecretString` (AWS Secrets Manager), `fields` with labels (1Password). Invariant: nothing of
//! the output is ever quoted, and two values for one key are refused, not chosen among.

use serde_json::{Map, Value};

use super::environment::key_of;
use super::{Credential, CredentialError, Key, usable};

/// Wrappings within wrappings: Vault has two.
const DEPTH_MAX: u32 = 4;
/// How Datadog's personal and service access tokens begin.
const TOKENS: [&str; 2] = ["ddpat_", "ddsat_"];
/// Names of members, in lower case and without anything but letters and digits.
const NAMES: [(Key, &[&str]); 3] = [
    (Key::Api, &["apikey", "ddapikey", "datadogapikey"]),
    (
        Key::App,
        &[
            "appkey",
            "applicationkey",
            "ddappkey",
            "ddapplicationkey",
            "datadogappkey",
            "datadogapplicationkey",
        ],
    ),
    (
        Key::Bearer,
        &[
            "bearer",
            "bearertoken",
            "accesstoken",
            "personalaccesstoken",
            "pat",
            "ddaccesstoken",
            "ddbearertoken",
            "datadogbearertoken",
        ],
    ),
];

/// Reads the keys out of what `program` printed.
///
/// # Errors
/// [`CredentialError::CommandOutput`], or a value that cannot be a key.
pub(super) fn parse(output: &[u8], program: &str) -> Result<Credential, CredentialError> {
    let source = format!("command {program}");
    let mut reader = Reader {
        program,
        credential: Credential::empty(source),
    };
    let text = std::str::from_utf8(output)
        .map_err(|_| reader.unreadable("the output is not UTF-8".to_owned()))?;
    let text = text.trim_start_matches('\u{feff}').trim();
    if text.starts_with('{') {
        reader.json(text, 0)?;
    } else if is_token(text) {
        reader.put(Key::Bearer, text)?;
    } else {
        reader.lines(text)?;
    }
    if reader.credential.is_empty() {
        return Err(reader.unreadable(
            "neither JSON with api_key, app_key or bearer, nor lines such as DD_API_KEY=…"
                .to_owned(),
        ));
    }
    Ok(reader.credential)
}

struct Reader<'a> {
    program: &'a str,
    credential: Credential,
}

impl Reader<'_> {
    fn json(&mut self, text: &str, depth: u32) -> Result<(), CredentialError> {
        // The parser's own message could quote a key.
        let members: Map<String, Value> = serde_json::from_str(text)
            .map_err(|_| self.unreadable("the output is not valid JSON".to_owned()))?;
        self.members(&members, depth)
    }

    fn members(&mut self, members: &Map<String, Value>, depth: u32) -> Result<(), CredentialError> {
        if depth > DEPTH_MAX {
            return Ok(());
        }
        for (name, value) in members {
            if let Some(key) = named(name) {
                match value {
                    Value::Null => {}
                    Value::String(text) => self.put(key, text)?,
                    _ => return Err(self.unreadable(format!("`{name}` is not a string"))),
                }
                continue;
            }
            match (name.as_str(), value) {
                ("data", Value::Object(inner)) => self.members(inner, depth + 1)?,
                ("SecretString", Value::String(text)) if text.trim_start().starts_with('{') => {
                    self.json(text, depth + 1)?;
                }
                ("SecretString", Value::String(text)) if is_token(text) => {
                    self.put(Key::Bearer, text)?;
                }
                ("fields", Value::Array(fields)) => self.fields(fields)?,
                _ => {}
            }
        }
        Ok(())
    }

    /// `[{"label": "api_key", "value": "…"}]`
    fn fields(&mut self, fields: &[Value]) -> Result<(), CredentialError> {
        for field in fields {
            let label = ["label", "name", "id"]
                .into_iter()
                .find_map(|name| field.get(name)?.as_str());
            let value = field.get("value").and_then(Value::as_str);
            if let (Some(key), Some(value)) = (label.and_then(named), value) {
                self.put(key, value)?;
            }
        }
        Ok(())
    }

    fn lines(&mut self, text: &str) -> Result<(), CredentialError> {
        for (number, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (name, value) = assignment(line)
                .ok_or_else(|| self.unreadable(format!("line {} is not NAME=value", number + 1)))?;
            if let Some(key) = key_of(name) {
                self.put(key, value)?;
            }
        }
        Ok(())
    }

    fn put(&mut self, key: Key, value: &str) -> Result<(), CredentialError> {
        let value = usable(key, &self.credential.source, value)?;
        let before = self.credential.value(key);
        if before.is_some_and(|before| before.expose() != value.expose()) {
            return Err(self.unreadable(format!("it holds two values for the {key}")));
        }
        self.credential.put(key, value);
        Ok(())
    }

    fn unreadable(&self, why: String) -> CredentialError {
        CredentialError::CommandOutput {
            program: self.program.to_owned(),
            why,
        }
    }
}

fn named(name: &str) -> Option<Key> {
    let plain: String = name
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|c| c.to_ascii_lowercase())
        .collect();
    let mut all = NAMES.iter();
    all.find(|(_, names)| names.contains(&plain.as_str()))
        .map(|&(key, _)| key)
}

fn is_token(text: &str) -> bool {
    let text = text.trim();
    TOKENS.iter().any(|start| text.starts_with(start)) && !text.contains(char::is_whitespace)
}

/// Reads `NAME=value`, `export NAME=value`, and a value in quotes.
fn assignment(line: &str) -> Option<(&str, &str)> {
    let (name, value) = line.split_once('=')?;
    let name = name.trim();
    let name = name.strip_prefix("export ").unwrap_or(name).trim();
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if name.is_empty() || !name.chars().all(word) {
        return None;
    }
    let value = value.trim();
    let inner = ['"', '\'']
        .into_iter()
        .find_map(|quote| value.strip_prefix(quote)?.strip_suffix(quote));
    Some((name, inner.unwrap_or(value)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn keys(output: &str) -> [Option<String>; 3] {
        let read = parse(output.as_bytes(), "op").unwrap();
        assert_eq!(read.source, "command op");
        [read.api_key, read.app_key, read.bearer].map(|key| key.map(|key| key.expose().clone()))
    }

    fn some(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    #[test]
    fn json_and_lines() {
        assert_eq!(
            keys(r#" {"api_key":"a ","app_key":null,"bearer":"c","more":[1]} "#),
            [some("a"), None, some("c")]
        );
        let lines = "# mine\n\nexport DATADOG_API_KEY='a'\r\n DD_APP_KEY = \"b\"\nPATH=/bin\n";
        assert_eq!(keys(lines), [some("a"), some("b"), None]);
        assert_eq!(
            keys(r#"{"DD_API_KEY":"a","applicationKey":"b","access_token":"c"}"#),
            [some("a"), some("b"), some("c")]
        );
        assert_eq!(keys("ddpat_x\n"), [None, None, some("ddpat_x")]);
    }

    #[test]
    fn what_password_managers_wrap() {
        // vault kv get -format=json (versions 2 and 1 of the engine).
        let vault =
            r#"{"request_id":"r","data":{"data":{"api_key":"a","app_key":"b"},"metadata":{}}}"#;
        assert_eq!(keys(vault), [some("a"), some("b"), None]);
        assert_eq!(keys(r#"{"data":{"api_key":"a"}}"#), [some("a"), None, None]);
        // aws secretsmanager get-secret-value
        let aws = r#"{"ARN":"x","SecretString":"{\"DD_API_KEY\":\"a\",\"DD_APP_KEY\":\"b\"}"}"#;
        assert_eq!(keys(aws), [some("a"), some("b"), None]);
        assert_eq!(
            keys(r#"{"SecretString":"ddsat_x"}"#),
            [None, None, some("ddsat_x")]
        );
        // op item get NAME --format json
        let op = r#"{"id":"i","fields":[{"id":"notesPlain","label":"notes"},
            {"id":"u1","label":"API key","value":"a"},{"label":"app-key","value":"b"}]}"#;
        assert_eq!(keys(op), [some("a"), some("b"), None]);
    }

    #[test]
    fn what_is_not_understood_is_not_quoted() {
        for bad in [
            "",
            "hunter2",
            "{}",
            "{\"api_key\":\"hunter2\"",
            "{\"api_key\":[\"hunter2\"]}",
            "{\"api_key\":\"hunter2 \u{1}x\"}",
            "{\"api_key\":\"hunter2\",\"DD_API_KEY\":\"hunter3\"}",
            "{\"SecretString\":\"{hunter2\"}",
            "PATH=hunter2",
            "DD_API_KEY=hunter2\nhunter2 hunter2",
            "DD_API_KEY=",
        ] {
            let error = parse(bad.as_bytes(), "op").unwrap_err();
            let text = format!("{error} {error:?}");
            assert!(text.contains("op") && !text.contains("hunter"), "{text}");
        }
        assert!(parse(b"\xff\xfe", "op").is_err());
        let deep = format!("{}{}", "{\"data\":".repeat(9), "}".repeat(9));
        assert!(parse(deep.as_bytes(), "op").is_err());
    }

    proptest! {
        #[test]
        fn any_output_is_survived(output: Vec<u8>) {
            let _ = parse(&output, "op");
        }
    }
}
