//! One call in full: what was asked, by whom, what was decided, what came back, with headers and
//! bodies as recorded. Foreign text is escaped line by line; redaction markers stay visible.

use crate::record::event::Decision;
use crate::record::{Level, Outcome};
use crate::replay::{Body, CallDetail, Message, tool_name};

use super::escape::escape;
use super::json_text;
use super::style::{Look, Missing, Tone};
use super::table::{Cell, Column, Table, fields};
use super::timeline::{effect_word, reason_text, status, tone};
use super::{caller, people, tools, words};

/// Before every line of a header or body.
const INDENT: &str = "  ";

/// How a redaction marker begins; it ends with the next bracket.
const MARKER: &str = "[REDACTED:";

/// Renders a call.
#[must_use]
pub fn render(detail: &CallDetail, look: &Look) -> String {
    let call = &detail.seen.call;
    let mut text = overview(detail, look);
    for (tool, content) in call.tools.iter().zip(&detail.tools) {
        let name = escape(tool_name(tool));
        let none = Body::Empty;
        content_of(
            &mut text,
            &format!("arguments of {name}"),
            &content.arguments,
            None,
            detail,
            look,
        );
        let result = content.result.as_ref().unwrap_or(&none);
        content_of(
            &mut text,
            &format!("result of {name}"),
            result,
            None,
            detail,
            look,
        );
    }
    if call.is_stdio {
        return text;
    }
    part(&mut text, "request", &detail.request, detail, look);
    if let Some(response) = &detail.response {
        part(&mut text, "response", response, detail, look);
    }
    text
}

fn overview(detail: &CallDetail, look: &Look) -> String {
    let call = &detail.seen.call;
    let number = look.paint(Tone::Strong, &format!("{}", call.number));
    let target = match &detail.seen.target {
        Some(target) => escape(target).into_owned(),
        None => format!(
            "{} {}",
            escape(&call.route),
            look.paint(
                Tone::Dim,
                match (without_headers(detail), look.missing) {
                    (true, _) => "(path not kept)",
                    (false, Missing::Erased) => "(path erased)",
                    (false, Missing::Sealed) => "(path sealed)",
                }
            )
        ),
    };
    let request = format!(
        "{} https://{}{target}",
        escape(&call.method),
        escape(&call.host)
    );
    let operation = detail.seen.operation();
    let operation = escape(&operation);
    let operation = format!("{operation} ({})", effect_word(call.effect));
    let at = look.moment(call.at, "%Y-%m-%d %H:%M:%S%.6f %:z");
    let mut rows = vec![
        (
            "call",
            format!("{number} of session {}", detail.session.short()),
        ),
        ("request", look.paint(tone(call), &request)),
        ("operation", operation),
    ];
    if call.is_stdio {
        let request = format!("tool of the wrapped server {}", escape(&call.host));
        rows[1] = ("request", look.paint(tone(call), &request));
    }
    for tool in &call.tools {
        rows.push(("tool", escape(&tools::line(call, tool)).into_owned()));
    }
    if !call.resources.is_empty() {
        rows.push(("resource", escape(&detail.seen.resources()).into_owned()));
    }
    rows.push(("who", people::long(detail.who.as_ref(), look)));
    if let Some(from) = detail.seen.caller.as_deref() {
        rows.push(("by", caller::words(from, usize::MAX - 1)));
        // What the command is, the session says; a process can become another program.
        if let Some(program) = from.program.as_ref().filter(|_| from.process > 1) {
            rows.push((
                "runs",
                escape(&words::command_line(&program.args)).into_owned(),
            ));
            rows.extend(program.agent.as_ref().map(|agent| {
                let session = agent.session.as_deref();
                let session = session.map_or_else(String::new, |it| format!(", session {it}"));
                (
                    "agent",
                    escape(&format!("{}{session}", agent.name)).into_owned(),
                )
            }));
        }
    }
    rows.push((
        "at",
        format!("{at}, {} into the session", words::clock(call.mono_ns)),
    ));
    let (decision, decision_tone) = match call.decision {
        Decision::Allow => ("allowed", Tone::Good),
        Decision::Deny => ("denied", Tone::Denied),
    };
    let decision = look.paint(decision_tone, decision);
    rows.push((
        "decision",
        format!("{decision} by rule {}", escape(&call.rule)),
    ));
    rows.push(("outcome", outcome(detail, look)));
    if let Some(level) = call.level {
        rows.push(("recorded", look.paint(Tone::Warn, &at_level(level))));
    }
    if !call.redactions.is_empty() {
        let each: Vec<String> = call
            .redactions
            .iter()
            .map(|redaction| format!("{} ×{}", escape(&redaction.rule), redaction.count))
            .collect();
        rows.push(("redacted", each.join(", ")));
    }
    fields(&rows, look)
}

fn at_level(level: Level) -> String {
    format!("at level {}", level.word())
}

/// Whether path and headers were never kept.
fn without_headers(detail: &CallDetail) -> bool {
    detail
        .seen
        .call
        .level
        .is_some_and(|level| level < Level::Headers)
}

fn outcome(detail: &CallDetail, look: &Look) -> String {
    let call = &detail.seen.call;
    let (word, tone) = status(call, detail.live);
    let mut text = look.paint(tone, &word);
    if let Some(took) = call
        .duration_us
        .filter(|_| call.decision == Decision::Allow)
    {
        text.push_str(&format!(" after {}", words::duration(took)));
        if let Some(wait) = detail.wait_us {
            text.push_str(&format!(" (first byte after {})", words::duration(wait)));
        }
    }
    if call.outcome == Outcome::Refused {
        text.push_str("; nothing was sent");
    } else if let Some(reason) = reason_text(call, detail.live) {
        text.push_str(": ");
        text.push_str(&escape(&reason));
    }
    text
}

fn part(text: &mut String, name: &str, message: &Message, detail: &CallDetail, look: &Look) {
    heading(text, &format!("{name} headers"), look);
    match detail.seen.call.level.filter(|_| without_headers(detail)) {
        Some(level) => {
            let why = format!("not kept: {}", level.reason());
            text.push_str(&format!("{INDENT}{}\n", look.paint(Tone::Warn, &why)));
        }
        None => text.push_str(&headers(message, look)),
    }
    let kind = message.header("content-type");
    content_of(
        text,
        &format!("{name} body"),
        &message.body,
        kind,
        detail,
        look,
    );
}

/// One body, or what stands in its place; `kind` is its media type.
fn content_of(
    text: &mut String,
    title: &str,
    content: &Body,
    kind: Option<&str>,
    detail: &CallDetail,
    look: &Look,
) {
    match content {
        Body::Kept {
            content,
            complete,
            why,
        } => {
            let size = words::bytes(u64::try_from(content.len()).unwrap_or(u64::MAX));
            let kind = match kind {
                Some(kind) => format!(", {}", escape(kind)),
                None => String::new(),
            };
            heading(text, &format!("{title} ({size}{kind})"), look);
            let side = title.split(' ').next().unwrap_or_default();
            text.push_str(&body(content, side, detail, look));
            if !complete {
                let why = match why {
                    Some(why) => format!(": {}", escape(why)),
                    None => String::new(),
                };
                let cut = format!("{INDENT}the record ends before the body does{why}");
                text.push_str(&look.paint(Tone::Warn, &cut));
                text.push('\n');
            }
        }
        Body::Empty => {
            heading(text, title, look);
            text.push_str(&format!("{INDENT}{}\n", look.paint(Tone::Dim, "none")));
        }
        Body::NotKept { why, bytes } => {
            let size = bytes.map_or_else(String::new, |n| format!(" ({})", words::bytes(n)));
            heading(text, &format!("{title}{size}"), look);
            let why = format!("not kept: {}", escape(why));
            text.push_str(&format!("{INDENT}{}\n", look.paint(Tone::Warn, &why)));
        }
        Body::Erased { bytes } => {
            heading(text, title, look);
            let was = format!("{} ({})", gone(look), words::bytes(*bytes));
            text.push_str(&format!("{INDENT}{}\n", look.paint(Tone::Dim, &was)));
        }
    }
}

/// What became of content that is not there.
const fn gone(look: &Look) -> &'static str {
    match look.missing {
        Missing::Erased => "erased since",
        Missing::Sealed => "sealed: readable by the session's recipients",
    }
}

fn heading(text: &mut String, title: &str, look: &Look) {
    text.push_str(&format!("\n{}\n", look.paint(Tone::Strong, title)));
}

fn headers(message: &Message, look: &Look) -> String {
    let Some(headers) = &message.headers else {
        return format!("{INDENT}{}\n", look.paint(Tone::Dim, gone(look)));
    };
    if headers.is_empty() {
        return format!("{INDENT}{}\n", look.paint(Tone::Dim, "none on record"));
    }
    let mut table = Table::new(&[Column::text(""), Column::text("")]);
    for (name, value) in headers {
        table.row(vec![Cell::new(Tone::Dim, name), Cell::plain(value)]);
    }
    // Values are shown whole, whatever the width: this is the view that hides nothing.
    let whole = Look {
        width: None,
        ..*look
    };
    let (_, rows) = table.lines(&whole);
    rows.iter().map(|row| format!("{INDENT}{row}")).collect()
}

fn body(content: &[u8], name: &str, detail: &CallDetail, look: &Look) -> String {
    let text = match std::str::from_utf8(content) {
        Ok(text) if !text.contains('\0') => text,
        _ => {
            let (id, number) = (detail.session.short(), detail.seen.call.number);
            return format!(
                "{INDENT}not text; to get the bytes: ddgate show {id} {number} --body {name}\n"
            );
        }
    };
    let pretty = json_text::pretty(text);
    let mut lines = String::new();
    for line in pretty.as_deref().unwrap_or(text).lines() {
        // Tabs are layout, not danger.
        let line = line.replace('\t', "    ");
        let line = format!("{INDENT}{}", escape(&line));
        lines.push_str(&mark_redactions(line.trim_end(), look));
        lines.push('\n');
    }
    lines
}

/// Puts `[REDACTED:…]` in a tone of its own: what is missing should meet the eye. The text is
/// escaped already.
fn mark_redactions(text: &str, look: &Look) -> String {
    let mut marked = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(MARKER) {
        let (rule, tail) = after.split_once(']').unwrap_or((after, ""));
        let closing = if after.len() == rule.len() { "" } else { "]" };
        marked.push_str(before);
        marked.push_str(&look.paint(Tone::Denied, &format!("{MARKER}{rule}{closing}")));
        rest = tail;
    }
    marked + rest
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::style::test_look;
    use super::*;
    use crate::record::CallNumber;
    use crate::replay::sample::{self, alice};

    pub(in super::super) fn detail(number: u64) -> CallDetail {
        let view = sample::session();
        let mut seen = view.call(CallNumber(number)).unwrap().clone();
        seen.target = Some("/api/v1/monitor?api_key=[REDACTED:dd-api-key]&x=\x1b[2J".into());
        CallDetail {
            session: view.head.id,
            who: Some(alice()),
            live: false,
            seen,
            request: Message {
                headers: Some(vec![
                    ("content-type".into(), "application/json".into()),
                    ("user-agent".into(), "curl/8\x07".into()),
                ]),
                body: Body::Kept {
                    content:
                        br#"{"name":"cpu","query":"avg(last_5m)","key":"[REDACTED:dd-api-key]"}"#
                            .into(),
                    complete: true,
                    why: None,
                },
            },
            response: Some(Message {
                headers: Some(Vec::new()),
                body: Body::NotKept {
                    bytes: None,
                    why: "larger than 1 GiB decoded".into(),
                },
            }),
            wait_us: Some(12_000),
            tools: Vec::new(),
        }
    }

    #[test]
    fn a_call_is_shown_in_full() {
        insta::assert_snapshot!(render(&detail(2), &test_look()), @r#"
        call       2 of session 3f2a9c1e
        request    POST https://api.datadoghq.eu/api/v1/monitor?api_key=[REDACTED:dd-api-key]&x=\u{1b}[2J
        operation  CreateMonitor (write)
        resource   monitor
        who        alice@example.com, verified by https://idp.example; groups: eng, oncall
        at         2027-01-15 10:00:00.300000 +02:00, 0:00.300 into the session
        decision   allowed by rule default
        outcome    200 after 24.6 ms (first byte after 12.0 ms)
        redacted   dd-api-key ×1

        request headers
          content-type  application/json
          user-agent    curl/8\u{7}

        request body (67 B, application/json)
          {
            "name": "cpu",
            "query": "avg(last_5m)",
            "key": "[REDACTED:dd-api-key]"
          }

        response headers
          none on record

        response body
          not kept: larger than 1 GiB decoded
        "#);
    }

    #[test]
    fn a_refusal_has_no_response() {
        let mut detail = detail(4);
        detail.response = None;
        detail.wait_us = None;
        detail.request = Message {
            headers: None,
            body: Body::Erased { bytes: 2048 },
        };
        insta::assert_snapshot!(render(&detail, &test_look()), @r"
        call       4 of session 3f2a9c1e
        request    DELETE https://api.datadoghq.eu/api/v1/monitor?api_key=[REDACTED:dd-api-key]&x=\u{1b}[2J
        operation  DeleteMonitor (delete)
        resource   monitor:123
        who        alice@example.com, verified by https://idp.example; groups: eng, oncall
        at         2027-01-15 10:00:00.700000 +02:00, 0:00.700 into the session
        decision   denied by rule read-only
        outcome    denied; nothing was sent
        redacted   dd-api-key ×1

        request headers
          erased since

        request body
          erased since (2.0 KiB)
        ");
    }

    #[test]
    fn what_is_sealed_says_so() {
        let mut detail = detail(4);
        detail.seen.target = None;
        detail.who = None;
        detail.response = None;
        detail.request = Message {
            headers: None,
            body: Body::Erased { bytes: 2048 },
        };
        let look = Look {
            missing: Missing::Sealed,
            ..test_look()
        };
        let text = render(&detail, &look);
        assert!(!text.contains("erased"), "{text}");
        assert!(text.contains("(path sealed)") && text.contains("who        (sealed)"));
        assert_eq!(text.matches("sealed: readable by").count(), 2, "{text}");
    }

    #[test]
    fn text_and_bytes_are_told_apart() {
        let mut detail = detail(6);
        detail.request.body = Body::Kept {
            content: b"a\tb\x1b[2J\nforged".into(),
            complete: false,
            why: None,
        };
        detail.response = Some(Message {
            body: Body::Kept {
                content: vec![0xff; 3000],
                complete: true,
                why: None,
            },
            ..Message::default()
        });
        insta::assert_snapshot!(render(&detail, &test_look()), @r"
        call       6 of session 3f2a9c1e
        request    GET https://api.datadoghq.eu/api/v1/monitor?api_key=[REDACTED:dd-api-key]&x=\u{1b}[2J
        operation  GetMonitor (read)
        resource   monitor
        who        alice@example.com, verified by https://idp.example; groups: eng, oncall
        at         2027-01-15 10:00:01.000000 +02:00, 0:01.000 into the session
        decision   allowed by rule default
        outcome    failed after 74.0 ms (first byte after 12.0 ms): the connection was reset by \u{1b}[31mupstream
        redacted   dd-api-key ×1

        request headers
          content-type  application/json
          user-agent    curl/8\u{7}

        request body (14 B, application/json)
          a    b\u{1b}[2J
          forged
          the record ends before the body does

        response headers
          erased since

        response body (2.9 KiB)
          not text; to get the bytes: ddgate show 3f2a9c1e 6 --body response
        ");
    }

    #[test]
    fn redaction_markers_meet_the_eye() {
        let look = Look {
            color: true,
            ..test_look()
        };
        assert_eq!(
            mark_redactions("a [REDACTED:x] b [REDACTED:y", &look),
            "a \x1b[1;35m[REDACTED:x]\x1b[0m b \x1b[1;35m[REDACTED:y\x1b[0m"
        );
        let text = "[\"[REDACTED:x]\", \"[REDACTED:y]\"]";
        assert_eq!(mark_redactions(text, &test_look()), text);
    }

    #[test]
    fn what_was_not_kept_says_so() {
        let mut detail = detail(2);
        detail.seen.call.level = Some(Level::Metadata);
        detail.seen.target = None;
        detail.request = Message {
            headers: None,
            body: Body::NotKept {
                why: Level::Metadata.reason(),
                bytes: Some(7),
            },
        };
        detail.response = Some(Message {
            headers: None,
            body: Body::Kept {
                content: b"abc".to_vec(),
                complete: false,
                why: Some("cut after 3 of 9 bytes".into()),
            },
        });
        let text = render(&detail, &test_look());
        for part in [
            "(path not kept)",
            "recorded   at level metadata",
            "request headers\n  not kept: recorded at level metadata\n",
            "request body (7 B)\n  not kept: recorded at level metadata\n",
            "the record ends before the body does: cut after 3 of 9 bytes",
        ] {
            assert!(text.contains(part), "{part} is not in {text}");
        }
    }

    #[test]
    fn nothing_foreign_moves_the_cursor() {
        for number in 1..=8 {
            let text = render(&detail(number), &test_look());
            assert!(
                !text.contains(|c: char| c.is_control() && c != '\n'),
                "{text:?}"
            );
        }
    }
}
