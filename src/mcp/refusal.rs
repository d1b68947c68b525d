//! What whoever calls a tool is answered where the call does not reach its server: a JSON-RPC error,
//! which agents show.

use serde_json::{Value, json};

use super::Message;

/// A code of JSON-RPC that is free for whoever implements a server (JSON-RPC 2.0, section 5.1).
const REFUSED: i32 = -32_000;

/// The answer to one message with this id; null for one that was not understood.
#[must_use]
pub fn refusal(id: Value, why: &str) -> Value {
    json!({
        "jsonrpc": "2.0",
        "id": id,
        "error": { "code": REFUSED, "message": format!("ddgate: {why}") },
    })
}

/// The answer to a line of messages that were not passed on, as JSON text; none where none of them wants
/// one. No messages: the line was not understood.
#[must_use]
pub fn refusals(messages: &[Message<'_>], is_batch: bool, why: &str) -> Option<String> {
    if messages.is_empty() {
        return Some(refusal(Value::Null, why).to_string());
    }
    let asked = messages.iter().filter(|message| message.is_request());
    let ids = asked.filter_map(|message| serde_json::from_str(message.id.as_ref()?.as_str()).ok());
    let mut answers: Vec<Value> = ids.map(|id| refusal(id, why)).collect();
    match is_batch {
        _ if answers.is_empty() => None,
        true => Some(Value::Array(answers).to_string()),
        false => answers.pop().map(|answer| answer.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;

    fn answered(text: &str) -> Option<String> {
        let messages = parse(text.as_bytes()).unwrap_or_default();
        refusals(&messages, text.starts_with('['), "no")
    }

    #[test]
    fn whoever_wants_an_answer_gets_one() {
        let call = r#"{"jsonrpc":"2.0","id":"a\"1","method":"tools/call","params":{"name":"x"}}"#;
        let answer =
            r#"{"error":{"code":-32000,"message":"ddgate: no"},"id":"a\"1","jsonrpc":"2.0"}"#;
        assert_eq!(answered(call).unwrap(), answer);
        let note = r#"{"jsonrpc":"2.0","method":"tools/call","params":{"name":"x"}}"#;
        assert_eq!(answered(note), None);
        let result = r#"{"jsonrpc":"2.0","id":7,"result":{}}"#;
        let batch = format!("[{call},{note},{result}]");
        assert_eq!(answered(&batch).unwrap(), format!("[{answer}]"));
        assert_eq!(
            answered("what?").unwrap(),
            r#"{"error":{"code":-32000,"message":"ddgate: no"},"id":null,"jsonrpc":"2.0"}"#
        );
    }
}
