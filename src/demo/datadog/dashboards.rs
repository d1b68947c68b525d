//! Dashboards (v1): list, create, read, update, delete.
//!
//! Widgets are kept as they come; their definitions are not looked into.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use http::StatusCode;
use serde_json::{Map, Value, json};

use super::{
    Asked, OWNER_HANDLE, OWNER_NAME, Outcome, Problem, invalid, object, problem, shortened,
    timestamp,
};
use crate::demo::random;
use crate::limits;

/// What a client may set; everything else is the server's.
const SETTABLE: [&str; 9] = [
    "title",
    "description",
    "layout_type",
    "reflow_type",
    "widgets",
    "template_variables",
    "notify_list",
    "restricted_roles",
    "tags",
];

#[derive(Default)]
pub(super) struct Dashboards {
    by_id: BTreeMap<String, Value>,
    widgets: u64,
}

impl Dashboards {
    pub(super) fn seeded(now: DateTime<Utc>) -> Self {
        let mut dashboards = Self::default();
        for (id, age_days, title, description) in [
            (
                "c4k-9wd-x2m",
                205,
                "Checkout overview",
                "Traffic, errors and latency of checkout.",
            ),
            (
                "p7t-3ne-h8q",
                150,
                "Payments health",
                "Providers, time-outs and refunds.",
            ),
        ] {
            let fields = json!({
                "title": title,
                "description": description,
                "layout_type": "ordered",
                "widgets": [{"definition": {"type": "timeseries", "title": "Requests", "requests": [
                    {"q": "sum:trace.http.request.hits{env:prod} by {service}.as_count()", "display_type": "bars"},
                ]}}],
            });
            let created = now - TimeDelta::days(age_days);
            let mut dashboard = new(id, created);
            if let Value::Object(fields) = fields {
                dashboards.set(&mut dashboard, &fields);
            }
            dashboards.by_id.insert(id.to_owned(), dashboard);
        }
        dashboards
    }

    pub(super) fn list(&self, asked: &Asked) -> Outcome {
        let first = usize::try_from(asked.number("start", 0)?.max(0)).unwrap_or(usize::MAX);
        let most = usize::try_from(asked.number("count", 1000)?.max(0)).unwrap_or(usize::MAX);
        let page: Vec<Value> = self
            .by_id
            .values()
            .skip(first)
            .take(most)
            .map(summary)
            .collect();
        Ok(json!({"total": self.by_id.len(), "dashboards": page}))
    }

    pub(super) fn create(&mut self, body: &Value, now: DateTime<Utc>) -> Outcome {
        let fields = checked(body)?;
        for required in ["title", "layout_type", "widgets"] {
            if !fields.contains_key(required) {
                return invalid(&format!("Missing required attribute '{required}'"));
            }
        }
        if self.by_id.len() >= limits::DEMO_RESOURCES_MAX {
            return problem(StatusCode::FORBIDDEN, "This demo stores no more dashboards");
        }
        let id = self.free_id()?;
        let mut dashboard = new(&id, now);
        self.set(&mut dashboard, fields);
        self.by_id.insert(id, dashboard.clone());
        Ok(dashboard)
    }

    pub(super) fn read(&self, id: &str) -> Outcome {
        self.by_id
            .get(id)
            .cloned()
            .map_or_else(|| not_found(id), Ok)
    }

    pub(super) fn update(&mut self, id: &str, body: &Value, now: DateTime<Utc>) -> Outcome {
        let fields = checked(body)?;
        let Some(mut dashboard) = self.by_id.get(id).cloned() else {
            return not_found(id);
        };
        self.set(&mut dashboard, fields);
        dashboard["modified_at"] = json!(timestamp(now));
        self.by_id.insert(id.to_owned(), dashboard.clone());
        Ok(dashboard)
    }

    pub(super) fn delete(&mut self, id: &str) -> Outcome {
        match self.by_id.remove(id) {
            Some(_) => Ok(json!({"deleted_dashboard_id": id})),
            None => not_found(id),
        }
    }

    fn set(&mut self, dashboard: &mut Value, fields: &Map<String, Value>) {
        for name in SETTABLE {
            if let Some(value) = fields.get(name) {
                dashboard[name] = value.clone();
            }
        }
        // Datadog numbers the widgets that came without an id.
        for widget in dashboard["widgets"].as_array_mut().into_iter().flatten() {
            let Some(widget) = widget.as_object_mut() else {
                continue;
            };
            widget.entry("id").or_insert_with(|| {
                self.widgets += 1;
                json!(5_307_114_026_000_000_u64 + self.widgets)
            });
        }
    }

    /// Makes an id like `c4k-9wd-x2m`, the form Datadog uses.
    fn free_id(&self) -> Result<String, Problem> {
        const LETTERS: &[u8; 32] = b"23456789abcdefghijkmnpqrstuvwxyz";
        for _ in 0..100 {
            let Ok(bytes) = random::<9>() else {
                break;
            };
            let mut id = String::new();
            for (at, byte) in bytes.iter().enumerate() {
                if at == 3 || at == 6 {
                    id.push('-');
                }
                id.push(char::from(LETTERS[usize::from(*byte) % LETTERS.len()]));
            }
            if !self.by_id.contains_key(&id) {
                return Ok(id);
            }
        }
        problem(StatusCode::INTERNAL_SERVER_ERROR, "No free dashboard id")
    }
}

fn not_found<T>(id: &str) -> Result<T, Problem> {
    let message = format!("Dashboard with ID {} not found", shortened(id));
    problem(StatusCode::NOT_FOUND, &message)
}

fn checked(body: &Value) -> Result<&Map<String, Value>, Problem> {
    let fields = object(body)?;
    for (name, value) in fields {
        let right = match name.as_str() {
            "title" => value.as_str().is_some_and(|title| !title.is_empty()),
            "layout_type" => matches!(value.as_str(), Some("ordered" | "free")),
            "widgets" => value.as_array().is_some_and(|widgets| {
                widgets
                    .iter()
                    .all(|widget| widget.get("definition").is_some_and(Value::is_object))
            }),
            _ => true,
        };
        if !right {
            return invalid(&format!("Invalid parameter '{name}'"));
        }
    }
    Ok(fields)
}

fn new(id: &str, created: DateTime<Utc>) -> Value {
    json!({
        "id": id,
        "title": "",
        "description": null,
        "author_handle": OWNER_HANDLE,
        "author_name": OWNER_NAME,
        "layout_type": "ordered",
        "reflow_type": "auto",
        "is_read_only": false,
        "url": format!("/dashboard/{id}"),
        "created_at": timestamp(created),
        "modified_at": timestamp(created),
        "notify_list": [],
        "restricted_roles": [],
        "template_variables": [],
        "tags": [],
        "widgets": [],
    })
}

/// The shorter form that the list answers with.
fn summary(dashboard: &Value) -> Value {
    const FIELDS: [&str; 9] = [
        "id",
        "title",
        "description",
        "layout_type",
        "url",
        "is_read_only",
        "created_at",
        "modified_at",
        "author_handle",
    ];
    FIELDS
        .into_iter()
        .map(|field| (field.to_owned(), dashboard[field].clone()))
        .collect()
}
