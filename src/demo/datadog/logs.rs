//! Logs: the intake (`POST /api/v2/logs`) and the search (`POST /api/v2/logs/events/search`).
//!
//! What is taken in can be found at once. Time ranges are not looked at: every stored log is
//! from this run or made to look recent.

use std::collections::VecDeque;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde_json::{Value, json};

use super::terms::{self, Term};
use super::{Asked, Outcome, invalid, shortened};
use crate::limits;

pub(super) struct Logs {
    /// Newest last, each as a search answers with it.
    kept: VecDeque<Value>,
    taken: u64,
}

/// What one log consists of here.
struct Entry<'a> {
    status: &'a str,
    service: &'a str,
    host: &'a str,
    message: &'a str,
    tags: Vec<Value>,
}

impl Logs {
    pub(super) fn seeded(now: DateTime<Utc>) -> Self {
        let mut logs = Self {
            kept: VecDeque::new(),
            taken: 0,
        };
        let prod = || vec![json!("env:prod"), json!("version:2026.11.2")];
        for (seconds_ago, service, status, message) in [
            (
                1260,
                "payments",
                "info",
                "settlement batch 4471 closed, 1,204 entries",
            ),
            (840, "checkout", "info", "order 88213 placed in 212 ms"),
            (
                610,
                "checkout",
                "warn",
                "inventory answered in 1840 ms, budget is 800 ms",
            ),
            (
                415,
                "checkout",
                "error",
                "POST /cart/confirm: upstream inventory timed out after 2000 ms",
            ),
            (
                390,
                "checkout",
                "error",
                "POST /cart/confirm: upstream inventory timed out after 2000 ms",
            ),
            (
                170,
                "checkout",
                "error",
                "retry budget for inventory is used up, shedding load",
            ),
            (
                95,
                "checkout",
                "error",
                "POST /cart/confirm: upstream inventory timed out after 2000 ms",
            ),
            (20, "checkout", "info", "order 88240 placed in 431 ms"),
        ] {
            let entry = Entry {
                status,
                service,
                host: "ip-10-2-31-7",
                message,
                tags: prod(),
            };
            logs.keep(&entry, now - TimeDelta::seconds(seconds_ago));
        }
        logs
    }

    /// Takes in one log, a list of logs, or plain text with one log a line.
    pub(super) fn take(&mut self, asked: &Asked, now: DateTime<Utc>) -> Outcome {
        let parameter = |name: &str| asked.query.get(name).map_or("", String::as_str);
        match asked.json() {
            Ok(Value::Array(list)) => {
                if list.len() > 1000 {
                    return invalid("A payload holds at most 1000 logs");
                }
                for log in &list {
                    self.take_one(log, parameter("ddtags"), now);
                }
            }
            Ok(log @ Value::Object(_)) => self.take_one(&log, parameter("ddtags"), now),
            Ok(_) => return invalid("A log is a JSON object or text"),
            Err(_) => {
                let text = String::from_utf8_lossy(&asked.text);
                for line in text.lines().filter(|line| !line.is_empty()).take(1000) {
                    let log = json!({
                        "message": line,
                        "service": parameter("service"),
                        "hostname": parameter("hostname"),
                    });
                    self.take_one(&log, parameter("ddtags"), now);
                }
            }
        }
        Ok(json!({}))
    }

    fn take_one(&mut self, log: &Value, more_tags: &str, now: DateTime<Utc>) {
        let text = |name: &str| log[name].as_str().unwrap_or_default();
        let either = |one: &'static str, other: &'static str| match text(one) {
            "" => text(other),
            text => text,
        };
        let tags = text("ddtags")
            .split(',')
            .chain(more_tags.split(','))
            .filter(|tag| !tag.is_empty())
            .take(100)
            .map(|tag| json!(shortened(tag)))
            .collect();
        let entry = Entry {
            status: either("status", "level"),
            service: text("service"),
            host: either("hostname", "host"),
            message: text("message"),
            tags,
        };
        self.keep(&entry, now);
    }

    fn keep(&mut self, entry: &Entry<'_>, at: DateTime<Utc>) {
        self.taken += 1;
        let status = match entry.status {
            "" => "info".to_owned(),
            status => shortened(&status.to_lowercase()),
        };
        if self.kept.len() >= limits::DEMO_RESOURCES_MAX {
            self.kept.pop_front();
        }
        self.kept.push_back(json!({
            "id": format!("AwAAAZ-{:08x}", self.taken),
            "type": "log",
            "attributes": {
                "timestamp": at.to_rfc3339_opts(SecondsFormat::Millis, true),
                "status": status,
                "service": shortened(entry.service),
                "host": shortened(entry.host),
                "message": shortened(entry.message),
                "tags": entry.tags,
                "attributes": {},
            },
        }));
    }

    pub(super) fn search(&self, body: &Value, now: DateTime<Utc>) -> Outcome {
        if !body.is_object() {
            return invalid("The request body must be a JSON object");
        }
        let query = body["filter"]["query"].as_str().unwrap_or("*");
        let most = match &body["page"]["limit"] {
            Value::Null => 10,
            limit => match limit.as_u64() {
                Some(limit @ 1..=1000) => usize::try_from(limit).unwrap_or(1000),
                _ => return invalid("page.limit must be between 1 and 1000"),
            },
        };
        let matching = |log: &&Value| terms::all(query, |term| matches(&log["attributes"], term));
        let oldest_first = body["sort"].as_str() == Some("timestamp");
        let found: Vec<Value> = if oldest_first {
            self.kept
                .iter()
                .filter(matching)
                .take(most)
                .cloned()
                .collect()
        } else {
            let newest_first = self.kept.iter().rev();
            newest_first.filter(matching).take(most).cloned().collect()
        };
        Ok(json!({
            "data": found,
            "meta": {
                "elapsed": 12,
                "status": "done",
                "request_id": format!("pddv1ch-{:x}", now.timestamp_micros()),
            },
        }))
    }
}

fn matches(log: &Value, term: &Term<'_>) -> bool {
    let field = |name: &str| log[name].as_str().unwrap_or_default();
    match term.key {
        None => term.is_within(field("message")),
        Some(name @ ("service" | "status" | "host")) => term.fits(field(name)),
        Some(_) => term.is_tag(&log["tags"]),
    }
}
