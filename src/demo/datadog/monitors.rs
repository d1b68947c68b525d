//! Monitors (v1): list, search, create, read, update, delete.
//!
//! States never change by themselves: nothing evaluates a query here.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use http::StatusCode;
use serde_json::{Map, Value, json};

use super::terms::{self, Term};
use super::{
    Asked, ORG_ID, OWNER_HANDLE, OWNER_NAME, Outcome, Problem, invalid, object, problem, timestamp,
};
use crate::limits;

/// What a client may set; everything else is the server's.
const SETTABLE: [&str; 8] = [
    "name",
    "type",
    "query",
    "message",
    "tags",
    "options",
    "priority",
    "restricted_roles",
];

pub(super) struct Monitors {
    by_id: BTreeMap<u64, Value>,
    next_id: u64,
}

impl Monitors {
    pub(super) fn seeded(now: DateTime<Utc>) -> Self {
        let mut monitors = Self {
            by_id: BTreeMap::new(),
            next_id: 190_114_201,
        };
        for (age_days, state, fields) in seeds() {
            let created = now - TimeDelta::days(age_days);
            let id = monitors.next_id;
            monitors.next_id += 17;
            let mut monitor = new(id, created);
            if let (Some(monitor), Value::Object(fields)) = (monitor.as_object_mut(), fields) {
                monitor.extend(fields);
            }
            monitor["overall_state"] = json!(state);
            monitor["overall_state_modified"] =
                json!(timestamp(now - TimeDelta::minutes(age_days)));
            monitors.by_id.insert(id, monitor);
        }
        monitors
    }

    pub(super) fn list(&self, asked: &Asked) -> Outcome {
        // Without a page size Datadog answers with all of them.
        let (first, size) = asked.page("page", "page_size", 1000)?;
        let name = asked.query.get("name").map(|name| name.to_lowercase());
        let tags = asked.query.get("monitor_tags").map(String::as_str);
        let found = self.by_id.values().filter(|monitor| {
            name.as_ref()
                .is_none_or(|name| text(monitor, "name").to_lowercase().contains(name))
                && tags.is_none_or(|tags| tags.split(',').all(|tag| has_tag(monitor, tag)))
        });
        Ok(found.skip(first).take(size).cloned().collect())
    }

    pub(super) fn search(&self, asked: &Asked) -> Outcome {
        let (first, size) = asked.page("page", "per_page", 30)?;
        let query = asked.query.get("query").map_or("", String::as_str);
        let found: Vec<&Value> = self
            .by_id
            .values()
            .filter(|monitor| terms::all(query, |term| matches(monitor, term)))
            .collect();
        let page: Vec<Value> = found
            .iter()
            .skip(first)
            .take(size)
            .map(|monitor| summary(monitor))
            .collect();
        Ok(json!({
            "monitors": page,
            "metadata": {
                "page": first.checked_div(size).unwrap_or(0),
                "page_count": found.len().div_ceil(size.max(1)),
                "per_page": size,
                "total_count": found.len(),
            },
            "counts": {
                "status": counted(&found, "overall_state"),
                "type": counted(&found, "type"),
                "muted": [{"name": false, "count": found.len()}],
                "tag": [],
            },
        }))
    }

    pub(super) fn create(&mut self, body: &Value, now: DateTime<Utc>) -> Outcome {
        let fields = checked(body)?;
        for required in ["type", "query"] {
            if !fields.contains_key(required) {
                return invalid(&format!("Missing required attribute '{required}'"));
            }
        }
        if self.by_id.len() >= limits::DEMO_RESOURCES_MAX {
            return problem(StatusCode::FORBIDDEN, "This demo stores no more monitors");
        }
        let id = self.next_id;
        self.next_id += 1;
        let mut monitor = new(id, now);
        set(&mut monitor, fields);
        self.by_id.insert(id, monitor.clone());
        Ok(monitor)
    }

    pub(super) fn read(&self, id: &str) -> Outcome {
        let id = parsed(id)?;
        self.by_id.get(&id).cloned().map_or_else(not_found, Ok)
    }

    pub(super) fn update(&mut self, id: &str, body: &Value, now: DateTime<Utc>) -> Outcome {
        let id = parsed(id)?;
        let fields = checked(body)?;
        let Some(monitor) = self.by_id.get_mut(&id) else {
            return not_found();
        };
        set(monitor, fields);
        monitor["modified"] = json!(timestamp(now));
        Ok(monitor.clone())
    }

    pub(super) fn delete(&mut self, id: &str) -> Outcome {
        let id = parsed(id)?;
        match self.by_id.remove(&id) {
            Some(_) => Ok(json!({"deleted_monitor_id": id})),
            None => not_found(),
        }
    }
}

fn not_found<T>() -> Result<T, Problem> {
    problem(StatusCode::NOT_FOUND, "Monitor not found")
}

fn parsed(id: &str) -> Result<u64, Problem> {
    id.parse().or_else(|_| {
        invalid(&format!(
            "'{}' is not a valid monitor id",
            super::shortened(id)
        ))
    })
}

fn checked(body: &Value) -> Result<&Map<String, Value>, Problem> {
    let fields = object(body)?;
    for (name, value) in fields {
        let right = match name.as_str() {
            "name" | "message" => value.is_string(),
            "type" | "query" => value.as_str().is_some_and(|text| !text.is_empty()),
            "tags" => value
                .as_array()
                .is_some_and(|tags| tags.iter().all(Value::is_string)),
            "options" => value.is_object(),
            _ => true,
        };
        if !right {
            let message = format!("The value provided for parameter '{name}' is invalid");
            return invalid(&message);
        }
    }
    Ok(fields)
}

fn set(monitor: &mut Value, fields: &Map<String, Value>) {
    for name in SETTABLE {
        if let Some(value) = fields.get(name) {
            monitor[name] = value.clone();
        }
    }
    monitor["multi"] = json!(text(monitor, "query").contains(" by {"));
}

fn new(id: u64, created: DateTime<Utc>) -> Value {
    json!({
        "id": id,
        "org_id": ORG_ID,
        "type": "",
        "name": "",
        "query": "",
        "message": "",
        "tags": [],
        "options": {},
        "priority": null,
        "multi": false,
        "created": timestamp(created),
        "created_at": created.timestamp_millis(),
        "modified": timestamp(created),
        "deleted": null,
        "restricted_roles": null,
        "overall_state": "No Data",
        "overall_state_modified": null,
        "creator": {"id": 4_410_227, "name": OWNER_NAME, "handle": OWNER_HANDLE, "email": OWNER_HANDLE},
        "matching_downtimes": [],
    })
}

/// The shorter form that a search answers with.
fn summary(monitor: &Value) -> Value {
    json!({
        "id": monitor["id"],
        "org_id": ORG_ID,
        "name": monitor["name"],
        "query": monitor["query"],
        "type": monitor["type"],
        "classification": if text(monitor, "type").starts_with("log") { "log" } else { "metric" },
        "status": monitor["overall_state"],
        "tags": monitor["tags"],
        "creator": {"name": OWNER_NAME, "handle": OWNER_HANDLE},
        "last_triggered_ts": null,
        "metrics": [],
        "notifications": [],
        "scopes": [],
    })
}

fn text<'a>(monitor: &'a Value, field: &str) -> &'a str {
    monitor[field].as_str().unwrap_or_default()
}

fn has_tag(monitor: &Value, tag: &str) -> bool {
    let tags = monitor["tags"].as_array();
    tags.is_some_and(|tags| tags.iter().any(|has| has.as_str() == Some(tag.trim())))
}

fn matches(monitor: &Value, term: &Term<'_>) -> bool {
    match term.key {
        None => term.is_within(text(monitor, "name")),
        Some("status") => term.fits(text(monitor, "overall_state")),
        Some("type") => term.fits(text(monitor, "type")),
        Some("title") => term.is_within(text(monitor, "name")),
        Some("tag") => has_tag(monitor, term.value),
        Some(_) => term.is_tag(&monitor["tags"]),
    }
}

fn counted(monitors: &[&Value], field: &str) -> Vec<Value> {
    let mut counts = BTreeMap::<&str, u64>::new();
    for monitor in monitors {
        *counts.entry(text(monitor, field)).or_default() += 1;
    }
    counts
        .into_iter()
        .map(|(name, count)| json!({"name": name, "count": count}))
        .collect()
}

/// Age in days, state, and what a person once typed.
fn seeds() -> [(i64, &'static str, Value); 6] {
    [
        (
            210,
            "Alert",
            json!({
                "name": "Checkout: p95 latency is high",
                "type": "query alert",
                "query": "percentile(last_5m):p95:trace.http.request{service:checkout,env:prod} > 0.4",
                "message": "p95 of checkout is above 400 ms. @slack-checkout-alerts",
                "tags": ["service:checkout", "env:prod", "team:checkout"],
                "options": {"thresholds": {"critical": 0.4}, "renotify_interval": 10, "notify_no_data": false, "include_tags": true},
                "priority": 3,
            }),
        ),
        (
            209,
            "Alert",
            json!({
                "name": "Checkout: error rate above 2 %",
                "type": "query alert",
                "query": "sum(last_5m):sum:trace.http.request.errors{service:checkout,env:prod}.as_count() / sum:trace.http.request.hits{service:checkout,env:prod}.as_count() > 0.02",
                "message": "More than 2 % of checkouts fail. @pagerduty-checkout",
                "tags": ["service:checkout", "env:prod", "team:checkout"],
                "options": {"thresholds": {"critical": 0.02, "warning": 0.01}, "renotify_interval": 30, "notify_no_data": true, "no_data_timeframe": 10, "include_tags": true},
                "priority": 1,
            }),
        ),
        (
            96,
            "Warn",
            json!({
                "name": "Checkout: error logs",
                "type": "log alert",
                "query": "logs(\"service:checkout status:error\").index(\"*\").rollup(\"count\").last(\"5m\") > 50",
                "message": "Many error logs in checkout. @slack-checkout-alerts",
                "tags": ["service:checkout", "team:checkout"],
                "options": {"thresholds": {"critical": 50.0, "warning": 20.0}, "enable_logs_sample": true, "include_tags": true},
            }),
        ),
        (
            80,
            "OK",
            json!({
                "name": "Checkout: order queue is growing",
                "type": "query alert",
                "query": "avg(last_10m):avg:rabbitmq.queue.messages_ready{queue:checkout-orders} > 5000",
                "message": "Orders pile up. @slack-checkout-alerts",
                "tags": ["service:checkout", "team:checkout"],
                "options": {"thresholds": {"critical": 5000.0}, "notify_no_data": false, "include_tags": true},
            }),
        ),
        (
            75,
            "OK",
            json!({
                "name": "Payments: provider time-outs",
                "type": "query alert",
                "query": "sum(last_5m):sum:payments.provider.timeouts{env:prod} by {provider}.as_count() > 10",
                "message": "{{provider.name}} does not answer. @pagerduty-payments",
                "tags": ["service:payments", "env:prod", "team:payments"],
                "options": {"thresholds": {"critical": 10.0}, "notify_no_data": false, "include_tags": true},
                "priority": 2,
                "multi": true,
            }),
        ),
        (
            400,
            "OK",
            json!({
                "name": "Disk almost full on {{host.name}}",
                "type": "metric alert",
                "query": "avg(last_15m):max:system.disk.in_use{env:prod} by {host} > 0.9",
                "message": "@slack-platform",
                "tags": ["env:prod", "team:platform"],
                "options": {"thresholds": {"critical": 0.9}, "notify_no_data": false, "include_tags": false},
                "multi": true,
            }),
        ),
    ]
}
