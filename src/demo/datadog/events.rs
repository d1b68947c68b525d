//! Events (v1): post, list, read.

use std::collections::VecDeque;

use chrono::{DateTime, Utc};
use http::StatusCode;
use serde_json::{Value, json};

use super::{Asked, OWNER_HANDLE, Outcome, invalid, object, problem, shortened};
use crate::limits;

#[derive(Default)]
pub(super) struct Events {
    kept: VecDeque<Value>,
    posted: u64,
}

impl Events {
    pub(super) fn create(&mut self, body: &Value, now: DateTime<Utc>) -> Outcome {
        let fields = object(body)?;
        let (Some(title), Some(text)) = (
            fields.get("title").and_then(Value::as_str),
            fields.get("text").and_then(Value::as_str),
        ) else {
            return invalid("'title' and 'text' are required");
        };
        let happened = fields
            .get("date_happened")
            .and_then(Value::as_i64)
            .unwrap_or_else(|| now.timestamp());
        self.posted += 1;
        // Real ids have 19 digits, more than a double holds: clients must cope, as with `id_str`.
        let id = 7_812_345_678_901_234_000_u64 + self.posted;
        let field = |name: &str, default: Value| fields.get(name).cloned().unwrap_or(default);
        let event = json!({
            "id": id,
            "id_str": id.to_string(),
            "title": shortened(title),
            "text": shortened(text),
            "date_happened": happened,
            "handle": OWNER_HANDLE,
            "priority": field("priority", json!("normal")),
            "alert_type": field("alert_type", json!("info")),
            "tags": field("tags", json!([])),
            "host": field("host", Value::Null),
            "device_name": null,
            "related_event_id": null,
            "url": format!("/event/event?id={id}"),
        });
        if self.kept.len() >= limits::DEMO_RESOURCES_MAX {
            self.kept.pop_front();
        }
        self.kept.push_back(event.clone());
        Ok(json!({"status": "ok", "event": event}))
    }

    pub(super) fn list(&self, asked: &Asked) -> Outcome {
        let start = asked.number("start", i64::MIN)?;
        let end = asked.number("end", i64::MAX)?;
        let within = |event: &&Value| {
            let happened = event["date_happened"].as_i64();
            happened.is_some_and(|at| (start..=end).contains(&at))
        };
        let found: Vec<&Value> = self.kept.iter().rev().filter(within).collect();
        Ok(json!({ "events": found }))
    }

    pub(super) fn read(&self, id: &str) -> Outcome {
        let mut events = self.kept.iter();
        match events.find(|event| event["id_str"].as_str() == Some(id)) {
            Some(event) => Ok(json!({ "event": event })),
            None => problem(StatusCode::NOT_FOUND, "No event matches that event_id."),
        }
    }
}
