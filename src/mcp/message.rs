//! JSON-RPC 2.0 messages, one or a batch of them.
//!
//! Invariant: a message is understood only if every reader takes it for the same. Servers differ in
//! what they make of a member that stands twice, or in other letters (`Method`): such messages are
//! refused here, whatever they seem to say. Content is given back as the bytes that were sent.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::tools::{self, Server};
use crate::limits::{MCP_BATCH_MAX, MCP_MEMBERS_MAX};
use crate::record::Effect;

/// Methods that serve the protocol and leave nothing behind in anybody's account.
const PROTOCOL: [&str; 16] = [
    "completion/complete",
    "initialize",
    "logging/setLevel",
    "notifications/cancelled",
    "notifications/initialized",
    "notifications/progress",
    "notifications/roots/list_changed",
    "ping",
    "prompts/get",
    "prompts/list",
    "resources/list",
    "resources/read",
    "resources/subscribe",
    "resources/templates/list",
    "resources/unsubscribe",
    "tools/list",
];
/// The method that calls a tool.
const CALL: &str = "tools/call";

/// Why a text is no message, or none that everybody reads in the same way.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotUnderstood {
    /// It is not UTF-8.
    #[error("it is not UTF-8")]
    NotUtf8,
    /// It is not one JSON text, or has too many members.
    #[error("it is not JSON as JSON-RPC has it")]
    NotJson,
    /// JSON, but no message: an empty batch, a number.
    #[error("it is no JSON-RPC message")]
    NotAMessage,
    /// A member stands twice, or in other letters.
    #[error("a member of it is ambiguous")]
    Ambiguous,
}

/// What a response is matched by: the JSON text of a string or number, written in one way.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Id(String);

impl Id {
    /// As JSON text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// None for null and for what JSON-RPC does not allow.
    fn of(raw: &RawValue) -> Option<Self> {
        match serde_json::from_str(raw.get()).ok()? {
            serde_json::Value::String(text) => serde_json::to_string(&text).ok().map(Self),
            serde_json::Value::Number(number) => Some(Self(number.to_string())),
            _ => None,
        }
    }
}

/// One message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// What a response refers to; none for a notification.
    pub id: Option<Id>,
    /// What it is.
    pub kind: Kind<'a>,
}

impl Message<'_> {
    /// Whether it wants an answer.
    #[must_use]
    pub const fn is_request(&self) -> bool {
        self.id.is_some() && !matches!(self.kind, Kind::Answer { .. })
    }

    /// Whether it may leave something behind in somebody's account: it calls a tool, or it is a request
    /// or notification with a method that is not the protocol's.
    #[must_use]
    pub fn may_act(&self) -> bool {
        match &self.kind {
            Kind::Call { .. } => true,
            Kind::Method(method) => !PROTOCOL.contains(&method.as_str()),
            Kind::Answer { .. } => false,
        }
    }
}

/// What a message is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind<'a> {
    /// `tools/call`.
    Call {
        /// The tool.
        tool: String,
        /// The JSON text of the arguments, as sent; none when there are none.
        arguments: Option<&'a str>,
    },
    /// Any other request or notification.
    Method(String),
    /// An answer.
    Answer {
        /// The JSON text of `result`, or of `error`.
        content: &'a str,
        /// How the call went.
        went: Went,
    },
}

/// How a call went, as its answer says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Went {
    /// It has a result.
    Well,
    /// It has a result that says `isError`.
    ToolError,
    /// It has an error in place of a result.
    RpcError,
}

/// Reads a message, or a batch of them.
///
/// # Errors
/// [`NotUnderstood`]; then nothing may be believed of it.
pub fn parse(bytes: &[u8]) -> Result<Vec<Message<'_>>, NotUnderstood> {
    let text = std::str::from_utf8(bytes).map_err(|_| NotUnderstood::NotUtf8)?;
    let raw: &RawValue = serde_json::from_str(text).map_err(|_| NotUnderstood::NotJson)?;
    if raw.get().starts_with('[') {
        let Items(batch) = read(raw)?;
        if batch.is_empty() {
            return Err(NotUnderstood::NotAMessage);
        }
        return batch.into_iter().map(message).collect();
    }
    Ok(vec![message(raw)?])
}

/// What a text of messages does at most to the account; [`Effect::Unknown`] where it calls a tool
/// that is not in the table of this server, or a method that is not the protocol's. An answer does
/// nothing: what it answers was judged when it was asked.
#[must_use]
pub fn effect(messages: &[Message<'_>], server: Server) -> Effect {
    let each = messages.iter().map(|message| match &message.kind {
        Kind::Call { tool, .. } => tools::effect(tool, server),
        Kind::Method(_) if message.may_act() => Effect::Unknown,
        Kind::Method(_) | Kind::Answer { .. } => Effect::Read,
    });
    let gravity = |effect: &Effect| match effect {
        Effect::Read => 0,
        Effect::Write => 1,
        Effect::Unknown => 2,
        Effect::Destroy => 3,
    };
    each.max_by_key(gravity).unwrap_or(Effect::Unknown)
}

/// Names what a text of messages is, in a few words: its methods, each once; none where one of
/// them has a name that is not a plain word.
#[must_use]
pub fn summary(messages: &[Message<'_>]) -> Option<String> {
    let mut words: Vec<&str> = Vec::new();
    for message in messages {
        let word = match &message.kind {
            Kind::Call { .. } => CALL,
            Kind::Method(method) => method.as_str(),
            Kind::Answer { .. } => "response",
        };
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/_.-$".contains(&byte);
        if word.is_empty() || word.len() > 64 || !word.bytes().all(plain) {
            return None;
        }
        if !words.contains(&word) {
            words.push(word);
        }
    }
    (words.len() <= 4).then(|| words.join(", "))
}

fn message(raw: &RawValue) -> Result<Message<'_>, NotUnderstood> {
    let names = ["jsonrpc", "id", "method", "params", "result", "error"];
    let [version, id, method, params, result, error] = members(raw, names)?;
    if version.is_none_or(|version| version.get() != "\"2.0\"") {
        return Err(NotUnderstood::NotAMessage);
    }
    let id = id.and_then(Id::of);
    let kind = match (method, result, error) {
        (Some(method), None, None) => method_of(method, params)?,
        (None, Some(result), None) => Kind::Answer {
            content: result.get(),
            went: went(result)?,
        },
        (None, None, Some(error)) => Kind::Answer {
            content: error.get(),
            went: Went::RpcError,
        },
        _ => return Err(NotUnderstood::NotAMessage),
    };
    Ok(Message { id, kind })
}

fn method_of<'a>(
    method: &'a RawValue,
    params: Option<&'a RawValue>,
) -> Result<Kind<'a>, NotUnderstood> {
    let text = |raw: &RawValue| serde_json::from_str::<String>(raw.get());
    let method = text(method).map_err(|_| NotUnderstood::NotAMessage)?;
    if method != CALL {
        return Ok(Kind::Method(method));
    }
    let params = params.ok_or(NotUnderstood::NotAMessage)?;
    let [name, arguments] = members(params, ["name", "arguments"])?;
    let name = name.ok_or(NotUnderstood::NotAMessage)?;
    Ok(Kind::Call {
        tool: text(name).map_err(|_| NotUnderstood::NotAMessage)?,
        arguments: arguments.map(RawValue::get),
    })
}

fn went(result: &RawValue) -> Result<Went, NotUnderstood> {
    if !result.get().starts_with('{') {
        return Ok(Went::Well);
    }
    let [is_error] = members(result, ["isError"])?;
    Ok(match is_error.map(RawValue::get) {
        Some("true") => Went::ToolError,
        _ => Went::Well,
    })
}

/// The members of these names, each of which may stand once and in these letters only.
fn members<'a, const N: usize>(
    raw: &'a RawValue,
    names: [&str; N],
) -> Result<[Option<&'a RawValue>; N], NotUnderstood> {
    let Members(all) = read(raw)?;
    let mut found = [None; N];
    for (name, value) in all {
        let folded = folded(&name);
        let at = names.iter().position(|wanted| folded_is(&folded, wanted));
        let Some((wanted, place)) = at.and_then(|at| Some((names.get(at)?, found.get_mut(at)?)))
        else {
            continue;
        };
        if name != *wanted || place.is_some() {
            return Err(NotUnderstood::Ambiguous);
        }
        *place = Some(value);
    }
    Ok(found)
}

/// A name as a reader sees it that cares for no case (Go's does not), with the two letters beyond
/// ASCII that fold into it.
fn folded(name: &str) -> String {
    let fold = |c: char| match c {
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        other => other.to_ascii_lowercase(),
    };
    name.chars().map(fold).collect()
}

fn folded_is(folded: &str, wanted: &str) -> bool {
    folded.eq_ignore_ascii_case(wanted)
}

fn read<'a, T: Deserialize<'a>>(raw: &'a RawValue) -> Result<T, NotUnderstood> {
    serde_json::from_str(raw.get()).map_err(|_| NotUnderstood::NotJson)
}

/// The members of an object, values unread.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reads;
        impl<'de> Visitor<'de> for Reads {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    if members.len() == MCP_MEMBERS_MAX {
                        return Err(A::Error::custom("too many members"));
                    }
                    members.push(entry);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Reads)
    }
}

/// The items of an array, unread.
struct Items<'a>(Vec<&'a RawValue>);

impl<'de: 'a, 'a> Deserialize<'de> for Items<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reads;
        impl<'de> Visitor<'de> for Reads {
            type Value = Items<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = seq.next_element()? {
                    if items.len() == MCP_BATCH_MAX {
                        return Err(A::Error::custom("too long a batch"));
                    }
                    items.push(item);
                }
                Ok(Items(items))
            }
        }
        deserializer.deserialize_seq(Reads)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn one(text: &str) -> Message<'_> {
        let mut messages = parse(text.as_bytes()).unwrap();
        assert_eq!(messages.len(), 1, "{text}");
        messages.remove(0)
    }

    fn id(text: &str) -> Option<Id> {
        Some(Id(text.to_owned()))
    }

    #[test]
    fn a_tool_call_gives_its_arguments_as_they_were_sent() {
        let text = r#" {"jsonrpc":"2.0","id":7,"method":"tools/call","params":
            {"name":"search_datadog_logs","arguments":{ "b":1.50, "a":"\u00e9" },"_meta":{}}} "#;
        let message = one(text);
        assert_eq!(message.id, id("7"));
        let Kind::Call { tool, arguments } = &message.kind else {
            panic!("{message:?}")
        };
        assert_eq!(tool, "search_datadog_logs");
        assert_eq!(*arguments, Some(r#"{ "b":1.50, "a":"\u00e9" }"#));
        let messages = [message];
        assert_eq!(effect(&messages, Server::Datadog), Effect::Read);
        // The same word of another server says nothing.
        assert_eq!(effect(&messages, Server::Other), Effect::Unknown);
        assert_eq!(summary(&messages).as_deref(), Some("tools/call"));
    }

    #[test]
    fn answers_say_how_it_went() {
        for (text, went) in [
            (r#""result":{"content":[]}"#, Went::Well),
            (r#""result":{"isError":true,"content":[]}"#, Went::ToolError),
            (r#""result":{"isError":false}"#, Went::Well),
            (r#""result":null"#, Went::Well),
            (r#""error":{"code":-32602}"#, Went::RpcError),
        ] {
            let text = format!(r#"{{"jsonrpc":"2.0","id":"a\u0062",{text}}}"#);
            let message = one(&text);
            assert_eq!(message.id, id("\"ab\""));
            match message.kind {
                Kind::Answer { went: found, .. } => assert_eq!(found, went, "{text}"),
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn a_batch_does_what_the_gravest_of_it_does() {
        let call = |tool: &str| {
            format!(
                r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"{tool}"}}}}"#
            )
        };
        let batch = format!(
            "[{},{}]",
            call("search_datadog_logs"),
            call("delete_datadog_dashboard")
        );
        let messages = parse(batch.as_bytes()).unwrap();
        assert_eq!(effect(&messages, Server::Datadog), Effect::Destroy);
        assert_eq!(summary(&messages).as_deref(), Some("tools/call"));
        let listing = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;
        let messages = parse(listing.as_bytes()).unwrap();
        assert_eq!(effect(&messages, Server::Datadog), Effect::Read);
        let other = r#"{"jsonrpc":"2.0","id":1,"method":"account/delete"}"#;
        let messages = parse(other.as_bytes()).unwrap();
        assert_eq!(effect(&messages, Server::Datadog), Effect::Unknown);
    }

    /// Each of these is a call of a tool to some reader, and something else to another.
    #[test]
    fn what_could_be_read_in_two_ways_is_not_understood() {
        for text in [
            r#"{"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/call","params":{"name":"x"}}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"ping","Method":"tools/call","params":{"name":"x"}}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","NAME":"b"}}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a"},"param\u017f":{"name":"b"}}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","\u006eame":"b"}}"#,
        ] {
            assert_eq!(
                parse(text.as_bytes()),
                Err(NotUnderstood::Ambiguous),
                "{text}"
            );
        }
        for text in [
            "",
            "[]",
            "7",
            "{}",
            "[[]]",
            r#"{"jsonrpc":"1.0","id":1,"method":"ping"}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call"}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":7}}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"ping","result":{}}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"ping"} {}"#,
            "\u{feff}{\"jsonrpc\":\"2.0\",\"method\":\"ping\"}",
        ] {
            assert!(parse(text.as_bytes()).is_err(), "{text}");
        }
        assert_eq!(parse(b"\"\xff\""), Err(NotUnderstood::NotUtf8));
        let crowd = "[".to_owned() + &"{},".repeat(MCP_BATCH_MAX) + "{}]";
        assert_eq!(parse(crowd.as_bytes()), Err(NotUnderstood::NotJson));
        let deep = "[".repeat(100_000) + &"]".repeat(100_000);
        assert!(parse(deep.as_bytes()).is_err());
    }

    #[test]
    fn a_name_that_is_no_word_names_nothing() {
        let text = r#"{"jsonrpc":"2.0","method":"a\u001b[2J"}"#;
        assert_eq!(summary(&parse(text.as_bytes()).unwrap()), None);
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = parse(&bytes).map(|messages| summary(&messages));
        }

        /// Texts that are nearly messages.
        #[test]
        fn nor_does_what_is_nearly_a_message(
            words in proptest::collection::vec(
                prop_oneof![
                    Just("{"), Just("}"), Just("["), Just("]"), Just(":"), Just(","), Just("null"),
                    Just("\"jsonrpc\""), Just("\"2.0\""), Just("\"id\""), Just("1"),
                    Just("\"method\""), Just("\"tools/call\""), Just("\"params\""),
                    Just("\"name\""), Just("\"result\""), Just("\"error\""), Just("\"isError\""),
                    Just("true"), Just("\"x\""),
                ],
                0..40,
            )
        ) {
            let text = words.concat();
            let _ = parse(text.as_bytes()).map(|messages| effect(&messages, Server::Datadog));
        }

        #[test]
        fn a_written_call_is_read_back(
            tool in "\\PC{1,30}", value in any::<i64>(), text in "\\PC{0,60}", number in any::<bool>()
        ) {
            let arguments = serde_json::json!({ "v": value, "text": text }).to_string();
            let id = if number { value.to_string() } else { serde_json::to_string(&text).unwrap() };
            let name = serde_json::to_string(&tool).unwrap();
            let written = format!(
                r#"{{"params":{{"arguments":{arguments},"name":{name}}},"method":"tools/call","id":{id},"jsonrpc":"2.0"}}"#
            );
            let read = one(&written);
            prop_assert_eq!(read.id.as_ref().map(Id::as_str), Some(id.as_str()));
            prop_assert_eq!(read.kind, Kind::Call { tool, arguments: Some(&arguments) });
        }
    }
}
