//! The same views for machines: stable field names, RFC 3339 times in UTC, durations in whole
//! microseconds, `null` for what was erased or is not known yet. One object, or one array, a
//! command. Fields may be added; none is renamed or removed within a major version.
//!
//! Characters that could move a cursor are written as `\u` escapes, so that the same text is
//! safe on a terminal.

mod identity;
mod outside;
mod shapes;

use std::fmt::Write as _;

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::record::Contents;
use crate::replay::{CallDetail, Seen, SessionView, State, Summary};

use super::doctor::Finding;
use super::escape::is_unsafe;
use super::status::{ConfigEntry, KeyView, ProfileView, StatusView};
use identity::IdentityJson;
use outside::{DistrustingJson, TunnelJson};
use shapes::{
    CallJson, ContentsJson, CountsJson, DetailJson, MessageJson, SessionJson, StateJson,
    StatusJson, SummaryJson, ToolContentsJson, WhoJson, time,
};

/// `ddgate replay --json`: one object.
///
/// ```json
/// {
///   "session": "<32 hex>", "started": "<time>", "ended": "<time>" | null, "duration_us": 1,
///   "who": {"label", "verified", "via", "issuer", "subject", "name", "email",
///           "email_verified", "groups": [], "groups_incomplete", "expires",
///           "workload": {"kind": "ci" | "service", "system", "repository"?, "commit"?, "ref"?,
///                        "workflow"?, "run"?, "job"?, "environment"?, "actor"?,
///                        "unverified"?: ["actor"], "verified_at", "renewable"}?} | null,
///   "command": ["sh"] | null, "host": {"name", "os", "cwd"} | null,
///   "sealed": false, "erased": {"at": "<time>", "by", "contents": 1} | null,
///   "site", "credential", "credential_name" (where the settings list several), "ddgate_version",
///   "policy": {"read_only": true, "allow": [["tag:Monitors"]], "deny": ["Delete*"]} | null,
///   "enforcement": {"asked": "auto", "held": ["tcp"], "open": ["udp"], "ports": [5432], "why"} | null,
///   "egress": "any" | "listed" | "datadog-only",
///   "state": "running" | "closed" | "not_closed", "reason": "exit" | null, "exit": 0 | null,
///   "counts": {"calls", "reads", "writes", "deletes", "unclassified", "denied",
///              "error_answers", "failed", "under_way", "in_doubt"},
///   "calls": [ … as in `show --json`, without `request` and `response` … ],
///   "tunnels": [{"ended", "host", "sent", "received", "duration_us", "error", "rule", "by": … | null}],
///   "distrusted": [{"host", "refused", "left", "by": […]}],
///   "identity": [{"at", "verified", "via", "expires", "changed": ["groups"], "why", "calls"}],
///   "contradictions": ["…"]
/// }
/// ```
/// `distrusted`, absent when empty: programs that did not trust the session's certificate, by host;
/// nothing of them was sent. `left` counts those that closed without a word. Where `sealed` is true, every null above is content that an age identity opens. `"erasing": true`
/// stands beside it while an erasure is not finished.
#[must_use]
pub fn session(view: &SessionView, contents: &Contents) -> String {
    let head = &view.head;
    let live = head.state == State::Running;
    let mut contradictions: Vec<String> = view.oddities.iter().map(ToString::to_string).collect();
    if view.more_oddities > 0 {
        contradictions.push(format!("and {} more", view.more_oddities));
    }
    document(&SessionJson {
        session: head.id.to_string(),
        started: time(head.started),
        ended: view.ended().map(time),
        duration_us: view.length_ns / 1_000,
        who: head.who.as_ref().map(WhoJson::of),
        command: head.command.as_deref(),
        host: head.host.as_ref(),
        contents: ContentsJson::of(contents),
        site: &head.site,
        credential: &head.credential,
        credential_name: head.credential_name.as_deref(),
        ddgate_version: &head.tool_version,
        policy: head.policy.as_ref(),
        enforcement: head.enforce.as_ref(),
        egress: head.egress.word(),
        state: StateJson::of(&head.state),
        counts: CountsJson::of(&view.counts()),
        calls: view
            .calls
            .iter()
            .map(|seen| CallJson::of(seen, live))
            .collect(),
        tunnels: view.tunnels.iter().map(TunnelJson::of).collect(),
        distrusted: view.distrusted.iter().map(DistrustingJson::of).collect(),
        identity: view
            .identity
            .iter()
            .map(|(at, change)| IdentityJson::of(*at, change))
            .collect(),
        contradictions,
    })
}

/// The same for a session whose calls are written while they are read: what stands before them,
/// and what stands after. Between the two, [`call_item`] by [`call_item`].
#[must_use]
pub fn session_around(view: &SessionView, contents: &Contents) -> (String, String) {
    let whole = session(view, contents);
    let calls = "\"calls\": [";
    // The calls were given away: the list is empty, and the word stands in no other place, for
    // inside strings its quotes are escaped. The counts have one more such key, with a number.
    match whole.split_once(&format!("{calls}]")) {
        Some((before, after)) => (format!("{before}{calls}"), format!("\n  ]{after}")),
        None => (whole, String::new()),
    }
}

/// One call of a session's list, with the comma that is due before it.
#[must_use]
pub fn call_item(seen: &Seen, live: bool, is_first: bool) -> String {
    let comma = if is_first { "" } else { "," };
    let text = line(&CallJson::of(seen, live));
    format!("{comma}\n    {}", text.trim_end())
}

/// One call on one line, as `ddgate replay --follow --json` writes it when the call has ended.
#[must_use]
pub fn call_line(seen: &Seen, live: bool) -> String {
    line(&CallJson::of(seen, live))
}

/// `ddgate show --json`: one object.
///
/// ```json
/// {
///   "session": "<32 hex>", "who", "sealed", "erased": … as in `replay --json` …, "number": 1, "at": "<time>",
///   "offset_us": 1, "method", "host", "route", "target": "/path?query" | null,
///   "operation": "CreateMonitor" | null, "label", "effect": "read" | "write" | "destroy" |
///   "unknown", "resources": [{"type", "id"}], "decision": "allow" | "deny", "rule",
///   "by": {"process": 2, "pid": 812, "exe", "command": ["curl"], "agent": {"name", "session"} | null,
///          "parents": [{"process", "pid", "exe"}]} | null,
///   "level": "metadata" | "headers" | "full", "outcome": "answered" | "refused" | "failed" | "in_doubt" | "under_way",
///   "status": 200 | null, "duration_us": 1 | null, "error": null,
///   "redactions": [{"rule", "count"}],
///   "wait_us": 1 | null,
///   "request": {"headers": [["name", "value"]] | null, "body": BODY}, "response": … | null
/// }
/// ```
/// where BODY is `{"state": "empty" | "kept" | "not_kept" | "erased" | "sealed", "bytes", "complete", "why",
/// "text" | "base64"}`; keys that do not apply are absent.
///
/// A call of tools of an MCP server has `"tools": [{"tool": … | null, "server", "id": … | null,
/// "effect", "outcome": "ok" | "tool_error" | "rpc_error" | null, "duration_us", "result_in": 7 |
/// null}]`, where `result_in` is the call that brought the result, if it was another one; here also
/// `"tool_contents": [{"arguments": BODY, "result": BODY | null}]`, in the same order. What was not
/// understood as MCP stands in `"not_understood": ["why"]`. A tool of a wrapped server has the
/// method `MCP` and the server as its host.
#[must_use]
pub fn call(detail: &CallDetail, contents: &Contents) -> String {
    document(&DetailJson {
        session: detail.session.to_string(),
        who: detail.who.as_ref().map(WhoJson::of),
        contents: ContentsJson::of(contents),
        call: CallJson::of(&detail.seen, detail.live),
        wait_us: detail.wait_us,
        request: MessageJson::of(&detail.request, contents),
        response: detail
            .response
            .as_ref()
            .map(|it| MessageJson::of(it, contents)),
        tool_contents: detail
            .tools
            .iter()
            .map(|tool| ToolContentsJson::of(tool, contents))
            .collect(),
    })
}

/// Any other document, for verbs whose shape stands with them.
#[must_use]
pub fn value(value: &serde_json::Value) -> String {
    document(value)
}

/// `ddgate sessions --json`: an array, the latest first, of
/// `{"session", "started", "duration_us", "who", "command", "sealed", "erased", "site", "state", "reason", "exit",
/// "counts"}`, each as in `replay --json`.
#[must_use]
pub fn sessions(list: &[(Summary, Contents)]) -> String {
    let list: Vec<_> = list
        .iter()
        .map(|(summary, contents)| SummaryJson {
            session: summary.id.to_string(),
            started: time(summary.started),
            duration_us: summary.length_us,
            who: summary.who.as_ref().map(WhoJson::of),
            command: summary.command.as_deref(),
            contents: ContentsJson::of(contents),
            site: &summary.site,
            state: StateJson::of(&summary.state),
            counts: CountsJson::of(&summary.counts),
        })
        .collect();
    document(&list)
}

/// `ddgate status --json`: one object: `{"signed_in": {"issuer", "subject", "name", "email",
/// "email_verified", "groups": [], "groups_incomplete", "by_userinfo", "kept_in", "renewed", "expires",
/// "next_refresh"} | null, "workload": {"system", "known": {"label", "issuer", "subject", "workload",
/// "audience", "pins": [["claim", "value"]], "groups", "expires", "renewable"} | null, "unknown":
/// {"message", "causes": [], "hints": []} | null} | null, "profile", "identity_mode", "issuer", "site", "upstream", "keys":
/// [{"name", "source"}], "data_dir", "config_files": [], "sessions"}`.
#[must_use]
pub fn status(view: &StatusView) -> String {
    document(&StatusJson {
        signed_in: view.sign_in.as_ref(),
        workload: view.workload.as_ref(),
        profile: view.profile.as_deref(),
        identity_mode: &view.identity_mode,
        issuer: view.issuer.as_deref(),
        site: &view.site,
        upstream: view.upstream.as_deref(),
        keys: &view.keys,
        data_dir: &view.data_dir,
        config_files: &view.config_files,
        sessions: view.sessions,
    })
}

/// `ddgate keys list --json`: an array of `{"name", "source"}`; `source` is null when not set. Where
/// the settings list credentials, each key of one also has `"credential"` and its `"groups"`, if any.
#[must_use]
pub fn keys(keys: &[KeyView]) -> String {
    document(keys)
}

/// `ddgate status --all --json`: an array of `{"profile", "issuer", "site", "signed_in"}`, the last as
/// in `ddgate status --json`; the first has no profile.
#[must_use]
pub fn profiles(profiles: &[ProfileView]) -> String {
    document(profiles)
}

/// `ddgate pseudonym --json`: one object, `{"pseudonym", "key"}`; `key` says where the key is from.
#[must_use]
pub fn pseudonym(pseudonym: &str, key: &str) -> String {
    document(&shapes::PseudonymJson { pseudonym, key })
}

/// `ddgate doctor --json`: one object, `{"ok", "checks": [{"check", "state": "ok" | "warn" | "fail" |
/// "not_checked", "found", "next": "…" | null}]}`; `ok` is false when a run would stop.
#[must_use]
pub fn doctor(checks: &[Finding], ok: bool) -> String {
    document(&shapes::DoctorJson { ok, checks })
}

/// `ddgate config show --json`: an array of `{"key", "value", "source"}`; `value` is null when
/// not set.
#[must_use]
pub fn config(entries: &[ConfigEntry]) -> String {
    document(entries)
}

/// Writes a time as all of `--json` does.
pub(super) fn serialize_time<S: serde::Serializer>(
    at: &DateTime<Utc>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&time(*at))
}

/// The same for a moment that need not be there.
pub(super) fn serialize_optional_time<S: serde::Serializer>(
    at: &Option<DateTime<Utc>>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match at {
        Some(at) => serialize_time(at, serializer),
        None => serializer.serialize_none(),
    }
}

/// Writes one value, indented, with a newline at its end.
fn document<T: Serialize + ?Sized>(value: &T) -> String {
    finish(serde_json::to_string_pretty(value))
}

/// Writes one value on one line.
pub(super) fn line<T: Serialize + ?Sized>(value: &T) -> String {
    finish(serde_json::to_string(value))
}

fn finish(written: serde_json::Result<String>) -> String {
    // serde_json fails for maps with keys that are no strings, and for broken `Serialize`: the
    // types above have neither. The object that says so is still JSON.
    let text = written.unwrap_or_else(|error| format!("{{\"error\": \"{error}\"}}"));
    let mut safe = String::with_capacity(text.len() + 1);
    for character in text.chars() {
        if character == '\n' || !is_unsafe(character) {
            safe.push(character);
            continue;
        }
        // Such characters stand inside strings only, where an escape means the same.
        for unit in character.encode_utf16(&mut [0; 2]) {
            // Writing to a `String` does not fail.
            let _ = write!(safe, "\\u{unit:04x}");
        }
    }
    safe.push('\n');
    safe
}

#[cfg(test)]
mod tests {
    use super::super::call::tests::detail;
    use super::*;
    use crate::replay::{Body, sample};

    const OPEN: Contents = Contents::Open;

    fn parsed(text: &str) -> serde_json::Value {
        assert!(text.ends_with("\n"));
        assert!(
            !text.contains(|c: char| c != '\n' && is_unsafe(c)),
            "{text:?}"
        );
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn a_session_has_the_documented_shape() {
        let mut view = sample::session();
        view.calls.truncate(1);
        insta::assert_snapshot!(session(&view, &OPEN), @r#"
        {
          "session": "3f2a9c1e000000000000000000000000",
          "started": "2027-01-15T08:00:00.000000Z",
          "ended": "2027-01-15T08:01:06.500000Z",
          "duration_us": 66500000,
          "who": {
            "label": "alice@example.com",
            "verified": true,
            "via": "device",
            "issuer": "https://idp.example",
            "subject": "u-1",
            "name": "Alice",
            "email": "alice@example.com",
            "email_verified": true,
            "groups": [
              "eng",
              "oncall"
            ],
            "groups_incomplete": false,
            "expires": "2027-01-15T09:00:00.000000Z"
          },
          "command": [
            "claude",
            "-p",
            "tidy the monitors"
          ],
          "host": {
            "name": "laptop",
            "os": "linux x86_64",
            "cwd": "/home/alice/app"
          },
          "sealed": false,
          "erased": null,
          "site": "datadoghq.eu",
          "credential": "keyring",
          "ddgate_version": "0.1.0",
          "policy": null,
          "enforcement": null,
          "egress": "any",
          "state": "not_closed",
          "reason": null,
          "exit": null,
          "counts": {
            "calls": 1,
            "reads": 1,
            "writes": 0,
            "deletes": 0,
            "unclassified": 0,
            "denied": 0,
            "error_answers": 0,
            "failed": 0,
            "under_way": 0,
            "in_doubt": 0
          },
          "calls": [
            {
              "number": 1,
              "at": "2027-01-15T08:00:00.100000Z",
              "offset_us": 100000,
              "method": "GET",
              "host": "api.datadoghq.eu",
              "route": "/api/v1/monitor",
              "target": null,
              "operation": "ListMonitors",
              "label": "ListMonitors",
              "effect": "read",
              "resources": [
                {
                  "type": "monitor"
                }
              ],
              "decision": "allow",
              "rule": "default",
              "by": null,
              "level": "full",
              "outcome": "answered",
              "status": 200,
              "duration_us": 12340,
              "error": null,
              "redactions": [
                {
                  "count": 1,
                  "rule": "dd-api-key"
                }
              ]
            }
          ],
          "tunnels": [
            {
              "ended": "2027-01-15T08:00:01.400000Z",
              "host": "registry.example:443",
              "sent": 2000,
              "received": 3000000,
              "duration_us": 1500000,
              "error": null,
              "rule": null,
              "by": null
            }
          ],
          "identity": [],
          "contradictions": []
        }
        "#);
    }

    #[test]
    fn a_call_has_the_documented_shape() {
        insta::assert_snapshot!(call(&detail(2), &OPEN), @r#"
        {
          "session": "3f2a9c1e000000000000000000000000",
          "who": {
            "label": "alice@example.com",
            "verified": true,
            "via": "device",
            "issuer": "https://idp.example",
            "subject": "u-1",
            "name": "Alice",
            "email": "alice@example.com",
            "email_verified": true,
            "groups": [
              "eng",
              "oncall"
            ],
            "groups_incomplete": false,
            "expires": "2027-01-15T09:00:00.000000Z"
          },
          "sealed": false,
          "erased": null,
          "number": 2,
          "at": "2027-01-15T08:00:00.300000Z",
          "offset_us": 300000,
          "method": "POST",
          "host": "api.datadoghq.eu",
          "route": "/api/v1/monitor",
          "target": "/api/v1/monitor?api_key=[REDACTED:dd-api-key]&x=\u001b[2J",
          "operation": "CreateMonitor",
          "label": "CreateMonitor",
          "effect": "write",
          "resources": [
            {
              "type": "monitor"
            }
          ],
          "decision": "allow",
          "rule": "default",
          "by": null,
          "level": "full",
          "outcome": "answered",
          "status": 200,
          "duration_us": 24680,
          "error": null,
          "redactions": [
            {
              "count": 1,
              "rule": "dd-api-key"
            }
          ],
          "wait_us": 12000,
          "request": {
            "headers": [
              [
                "content-type",
                "application/json"
              ],
              [
                "user-agent",
                "curl/8\u0007"
              ]
            ],
            "body": {
              "state": "kept",
              "bytes": 67,
              "complete": true,
              "text": "{\"name\":\"cpu\",\"query\":\"avg(last_5m)\",\"key\":\"[REDACTED:dd-api-key]\"}"
            }
          },
          "response": {
            "headers": [],
            "body": {
              "state": "not_kept",
              "why": "larger than 1 GiB decoded"
            }
          }
        }
        "#);
    }

    #[test]
    fn every_outcome_has_its_word() {
        let value = parsed(&session(&sample::session(), &OPEN));
        let calls = value["calls"].as_array().unwrap();
        let word = |at: usize, key: &str| calls[at][key].as_str().unwrap().to_owned();
        assert_eq!(word(3, "outcome"), "refused");
        assert_eq!(word(5, "outcome"), "failed");
        assert_eq!(word(7, "outcome"), "in_doubt");
        assert_eq!(word(6, "label"), "POST /api/v9/監視/\u{1b}[2Jnew");
        assert_eq!(value["state"], "not_closed");
        assert_eq!(value["exit"], serde_json::Value::Null);
        let mut view = sample::session();
        view.head.state = State::Running;
        let value = parsed(&session(&view, &OPEN));
        assert_eq!(value["calls"][7]["outcome"], "under_way");
        assert_eq!(value["ended"], serde_json::Value::Null);
    }

    #[test]
    fn text_that_could_move_a_cursor_is_escaped_and_means_the_same() {
        let hostile = "a\u{9b}2J\u{202e}\u{e0001}\n";
        let value = parsed(&line(hostile));
        assert_eq!(value, hostile);
    }

    #[test]
    fn what_cannot_be_seen_says_why() {
        let value = parsed(&session(&sample::session(), &Contents::Sealed));
        assert_eq!(
            (&value["sealed"], &value["erased"]),
            (&true.into(), &().into())
        );
        let mut detail = detail(2);
        detail.request.body = Body::Erased { bytes: 7 };
        let value = parsed(&call(&detail, &Contents::Sealed));
        let sealed = serde_json::json!({"state": "sealed", "bytes": 7});
        assert_eq!(value["request"]["body"], sealed);
        let erased = Contents::Erased(crate::record::Erasure {
            at: sample::session().head.started,
            by: "root".into(),
            contents: 12,
        });
        let value = parsed(&call(&detail, &erased));
        assert_eq!(value["request"]["body"]["state"], "erased");
        assert_eq!(
            value["erased"],
            serde_json::json!({"at": "2027-01-15T08:00:00.000000Z", "by": "root", "contents": 12})
        );
        let value = parsed(&session(&sample::session(), &Contents::Erasing));
        assert_eq!(
            (&value["erasing"], &value["sealed"]),
            (&true.into(), &false.into())
        );
    }

    #[test]
    fn lists_are_arrays() {
        let list = parsed(&sessions(&[(sample::session().summary(), OPEN)]));
        assert_eq!(list[0]["counts"]["denied"], 1);
        assert_eq!(list[0]["session"].as_str().unwrap().len(), 32);
        assert_eq!(parsed(&sessions(&[])), serde_json::json!([]));
        let view = super::super::status::tests::view();
        let list = parsed(&keys(&view.keys));
        assert_eq!(
            list[1],
            serde_json::json!({"name": "app-key", "source": null})
        );
        assert_eq!(
            parsed(&status(&view))["signed_in"]["renewed"],
            "2027-01-15T08:00:00.000000Z"
        );
        assert_eq!(parsed(&config(&[])), serde_json::json!([]));
    }

    #[test]
    fn a_body_that_is_no_text_is_base64() {
        let mut detail = detail(2);
        detail.request.body = Body::Kept {
            content: vec![0xff, 0],
            complete: true,
            why: None,
        };
        let value = parsed(&call(&detail, &OPEN));
        assert_eq!(value["request"]["body"]["base64"], "/wA=");
        assert_eq!(value["response"]["body"]["state"], "not_kept");
    }
}
