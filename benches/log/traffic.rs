//! What an agent's session with Datadog looks like: realistic JSON, made the same way each time.
//!
//! One installation has monitors, dashboards, metrics and logs; the agent polls the same ones again
//! and again, and what it gets has changed a little. Two installations share the shapes of
//! Datadog's API and no names.

use bytes::Bytes;
use serde_json::{Value, json};

/// Small and seeded (splitmix64): the same numbers on every machine.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) const fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn pick<'a>(&mut self, words: &[&'a str]) -> &'a str {
        words[self.below(words.len() as u64) as usize]
    }
}

/// The names of one installation.
pub(crate) struct Words {
    services: &'static [&'static str],
    teams: &'static [&'static str],
    zones: &'static [&'static str],
    people: &'static [&'static str],
    messages: &'static [&'static str],
}

/// What is measured.
pub(crate) const SHOP: Words = Words {
    services: &[
        "checkout",
        "payments",
        "catalog",
        "search",
        "cart",
        "ledger",
        "shipping",
        "auth-proxy",
    ],
    teams: &["commerce", "platform", "payments-core", "sre"],
    zones: &["us-east-1a", "us-east-1b", "eu-central-1a"],
    people: &[
        "alice.meyer@shop.example",
        "bo.lind@shop.example",
        "carla@shop.example",
    ],
    messages: &[
        "served request",
        "retrying upstream after timeout",
        "cache miss, falling back to primary",
        "slow query on orders",
        "order accepted",
    ],
};

/// What the dictionary of small contents was made from: the same API, and no name in common.
pub(crate) const BANK: Words = Words {
    services: &[
        "accounts",
        "fraud-detector",
        "statements",
        "onboarding",
        "fx-rates",
        "notifier",
        "kyc",
        "gateway",
    ],
    teams: &["retail", "risk", "core-banking", "infrastructure"],
    zones: &["ap-southeast-2a", "eu-west-1b", "eu-west-1c"],
    people: &[
        "d.okafor@bank.example",
        "emil@bank.example",
        "f.tanaka@bank.example",
    ],
    messages: &[
        "request completed",
        "connection reset by peer",
        "rate limited, backing off",
        "deadlock detected, transaction rolled back",
        "statement rendered",
    ],
};

/// One exchange as it passes a gate.
pub(crate) struct Exchange {
    pub(crate) method: &'static str,
    pub(crate) route: &'static str,
    pub(crate) operation: &'static str,
    pub(crate) is_write: bool,
    pub(crate) target: String,
    pub(crate) request_headers: Vec<(&'static str, String)>,
    pub(crate) request_body: Bytes,
    pub(crate) response_headers: Vec<(&'static str, String)>,
    pub(crate) response_body: Bytes,
}

/// An installation and the agent that looks at it.
pub(crate) struct Traffic {
    words: &'static Words,
    dice: Dice,
    /// Seconds since the epoch, as Datadog's clock has it.
    now: u64,
    monitors: Vec<Value>,
    dashboards: Vec<Value>,
    sent: u64,
}

const MONITORS: usize = 60;
const DASHBOARDS: usize = 8;
const POINTS: u64 = 60;

impl Traffic {
    pub(crate) fn new(words: &'static Words, seed: u64) -> Self {
        let mut traffic = Self {
            words,
            dice: Dice::new(seed),
            now: 1_795_500_000,
            monitors: Vec::new(),
            dashboards: Vec::new(),
            sent: 0,
        };
        traffic.monitors = (0..MONITORS).map(|_| traffic.monitor()).collect();
        traffic.dashboards = (0..DASHBOARDS).map(|_| traffic.dashboard()).collect();
        traffic
    }

    /// The next call of a working agent.
    pub(crate) fn next(&mut self) -> Exchange {
        self.now += self.dice.below(20);
        match self.dice.below(20) {
            0..5 => self.poll(),
            5..7 => self.list(),
            7..11 => self.look_at_dashboard(),
            11..16 => self.query(),
            16..19 => self.logs(),
            _ => self.change(),
        }
    }

    /// One monitor, again: the smallest common call.
    pub(crate) fn poll(&mut self) -> Exchange {
        let at = self.touch();
        let id = self.monitors[at]["id"].clone();
        let body = self.monitors[at].to_string();
        self.get(
            "/api/v1/monitor/{monitor_id}",
            "GetMonitor",
            format!("/api/v1/monitor/{id}?group_states=all"),
            body,
        )
    }

    fn list(&mut self) -> Exchange {
        self.touch();
        let page = self.dice.below(2);
        let from = page as usize * (MONITORS / 2);
        let body = json!(self.monitors[from..from + MONITORS / 2]).to_string();
        self.get(
            "/api/v1/monitor",
            "ListMonitors",
            format!("/api/v1/monitor?page={page}&page_size=30&monitor_tags=env%3Aprod"),
            body,
        )
    }

    fn look_at_dashboard(&mut self) -> Exchange {
        let at = self.dice.below(DASHBOARDS as u64) as usize;
        let id = self.dashboards[at]["id"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        let body = self.dashboards[at].to_string();
        self.get(
            "/api/v1/dashboard/{dashboard_id}",
            "GetDashboard",
            format!("/api/v1/dashboard/{id}"),
            body,
        )
    }

    fn query(&mut self) -> Exchange {
        let service = self.dice.pick(self.words.services);
        let from = self.now - self.now % 60 - POINTS * 60;
        let metric = format!(
            "trace.http.request.{}",
            self.dice.pick(&["duration", "hits"])
        );
        let series: Vec<Value> = (0..5)
            .map(|_| self.series(&metric, service, from))
            .collect();
        let body = json!({
            "status": "ok", "res_type": "time_series", "resp_version": 1, "error": "", "times": [],
            "query": format!("avg:{metric}{{service:{service}}} by {{host}}"), "values": [],
            "from_date": from * 1000, "to_date": (from + POINTS * 60) * 1000, "message": "",
            "series": series, "group_by": ["host"],
        });
        self.get(
            "/api/v1/query",
            "QueryMetrics",
            format!(
                "/api/v1/query?from={from}&to={}&query=avg%3A{metric}%7Bservice%3A{service}%7D\
                 %20by%20%7Bhost%7D",
                from + POINTS * 60
            ),
            body.to_string(),
        )
    }

    pub(crate) fn logs(&mut self) -> Exchange {
        let service = self.dice.pick(self.words.services);
        let data: Vec<Value> = (0..50).map(|n| self.log(service, n)).collect();
        let cursor = format!("{:016x}{:016x}", self.dice.next(), self.dice.next());
        let body = json!({
            "data": data,
            "meta": {"elapsed": self.dice.below(400), "status": "done",
                "request_id": format!("pddv1{:012x}", self.dice.next() >> 16),
                "page": {"after": cursor}},
            "links": {"next":
                format!("https://api.datadoghq.com/api/v2/logs/events?page%5Bcursor%5D={cursor}")},
        });
        let asked = json!({
            "filter": {"query": format!("service:{service} status:error"),
                "from": format!("{}000", self.now - 900), "to": format!("{}000", self.now),
                "indexes": ["main"]},
            "sort": "-timestamp", "page": {"limit": 50},
        });
        self.send(
            "POST",
            "/api/v2/logs/events/search",
            "ListLogs",
            "/api/v2/logs/events/search".into(),
            asked.to_string(),
            body.to_string(),
        )
    }

    /// A changed monitor: the same small body both ways, about 1.2 KB of request in all.
    pub(crate) fn change(&mut self) -> Exchange {
        let at = self.touch();
        let wanted = &self.monitors[at];
        let id = wanted["id"].clone();
        let asked = json!({
            "name": wanted["name"], "query": wanted["query"], "message": wanted["message"],
            "tags": wanted["tags"], "priority": wanted["priority"],
            "options": {"thresholds": wanted["options"]["thresholds"]},
        });
        let body = wanted.to_string();
        let target = format!("/api/v1/monitor/{id}");
        let route = "/api/v1/monitor/{monitor_id}";
        self.send(
            "PUT",
            route,
            "UpdateMonitor",
            target,
            asked.to_string(),
            body,
        )
    }

    fn get(
        &mut self,
        route: &'static str,
        operation: &'static str,
        target: String,
        answer: String,
    ) -> Exchange {
        self.send("GET", route, operation, target, String::new(), answer)
    }

    fn send(
        &mut self,
        method: &'static str,
        route: &'static str,
        operation: &'static str,
        target: String,
        asked: String,
        answer: String,
    ) -> Exchange {
        self.sent += 1;
        let mut request_headers = vec![
            ("host", "api.datadoghq.com".to_owned()),
            ("accept", "application/json".to_owned()),
            ("accept-encoding", "gzip, deflate, br, zstd".to_owned()),
            (
                "user-agent",
                "datadog-api-client-python/2.44.0 (python 3.12.7; os linux; arch x86_64)"
                    .to_owned(),
            ),
            ("dd-api-key", "0c7e52a1f4b94d6e8a3b1c2d4e5f6071".to_owned()),
            (
                "dd-application-key",
                "5b1d9e3f7a2c4860b1d3f5a7c9e0b2d4f6a81c3e".to_owned(),
            ),
        ];
        if !asked.is_empty() {
            request_headers.push(("content-type", "application/json".to_owned()));
            request_headers.push(("content-length", asked.len().to_string()));
        }
        let at = chrono::DateTime::from_timestamp(self.now as i64, 0).unwrap_or_default();
        let response_headers =
            vec![
            ("date", at.format("%a, %d %b %Y %H:%M:%S GMT").to_string()),
            ("content-type", "application/json".to_owned()),
            ("transfer-encoding", "chunked".to_owned()),
            ("vary", "Accept-Encoding".to_owned()),
            ("x-frame-options", "SAMEORIGIN".to_owned()),
            (
                "content-security-policy",
                "frame-ancestors 'self'; report-uri https://logs.browser-intake-datadoghq.com/api/\
                 v2/logs?dd-api-key=pub293163a918901030b79492fe1ab424cf&dd-evp-origin=\
                 content-security-policy&ddsource=csp-report&ddtags=site%3Adatadoghq.com"
                    .to_owned(),
            ),
            ("x-content-type-options", "nosniff".to_owned()),
            (
                "strict-transport-security",
                "max-age=31536000; includeSubDomains; preload".to_owned(),
            ),
            ("x-ratelimit-limit", "3000".to_owned()),
            ("x-ratelimit-period", "10".to_owned()),
            ("x-ratelimit-remaining", (2999 - self.sent % 700).to_string()),
            ("x-ratelimit-reset", (self.now % 10 + 1).to_string()),
            ("x-ratelimit-name", "public_api".to_owned()),
        ];
        Exchange {
            method,
            route,
            operation,
            is_write: method == "PUT",
            target,
            request_headers,
            request_body: asked.into(),
            response_headers,
            response_body: answer.into(),
        }
    }

    fn tags(&mut self) -> Vec<String> {
        vec![
            format!("team:{}", self.dice.pick(self.words.teams)),
            format!("service:{}", self.dice.pick(self.words.services)),
            "env:prod".into(),
        ]
    }

    fn host(&mut self) -> String {
        format!(
            "ip-10-{}-{}-{}",
            self.dice.below(4),
            self.dice.below(256),
            self.dice.below(256)
        )
    }

    fn instant(&mut self) -> String {
        let seconds = (self.now - self.dice.below(20_000_000)) as i64;
        let at = chrono::DateTime::from_timestamp(seconds, 0).unwrap_or_default();
        format!(
            "{}.{:06}+00:00",
            at.format("%Y-%m-%dT%H:%M:%S"),
            self.dice.below(1_000_000)
        )
    }

    fn monitor(&mut self) -> Value {
        let service = self.dice.pick(self.words.services);
        let team = self.dice.pick(self.words.teams);
        let person = self.dice.pick(self.words.people);
        let critical = self.dice.below(900) as f64 / 100.0;
        json!({
            "id": 1_000_000 + self.dice.below(200_000_000), "org_id": 321_813,
            "type": "query alert", "name": format!("[{team}] {service}: latency above target"),
            "message": format!("{service} is slow on {{{{host.name}}}} ({{{{value}}}} s).\n\nRunbook: \
                https://wiki.example/{team}/{service}\n@slack-{team} @pagerduty-{service}"),
            "tags": self.tags(), "priority": self.dice.below(5) + 1,
            "query": format!("avg(last_5m):avg:trace.http.request.duration{{service:{service},\
                env:prod}} by {{host}} > {critical}"),
            "options": {
                "thresholds": {"critical": critical, "warning": critical / 2.0},
                "notify_no_data": self.dice.below(2) == 1, "no_data_timeframe": 10,
                "renotify_interval": 60, "include_tags": true, "require_full_window": false,
                "new_host_delay": 300, "evaluation_delay": 60, "silenced": {}, "locked": false,
                "escalation_message": "", "notify_audit": false,
            },
            "multi": true, "created": self.instant(), "modified": self.instant(), "deleted": null,
            "creator": {"email": person, "handle": person, "id": self.dice.below(5_000_000),
                "name": person.split('@').next()},
            "restricted_roles": null, "overall_state": "OK",
            "overall_state_modified": self.instant(), "matching_downtimes": [],
        })
    }

    /// Something about one monitor changes, as between two polls.
    fn touch(&mut self) -> usize {
        let at = self.dice.below(MONITORS as u64) as usize;
        let when = self.instant();
        let state = self.dice.pick(&["OK", "Alert", "Warn", "No Data"]);
        self.monitors[at]["overall_state"] = state.into();
        self.monitors[at]["overall_state_modified"] = when.into();
        at
    }

    fn dashboard(&mut self) -> Value {
        let team = self.dice.pick(self.words.teams);
        let widgets: Vec<Value> = (0..20).map(|_| self.widget()).collect();
        json!({
            "id": format!("{:03x}-{:03x}-{:03x}", self.dice.below(4096), self.dice.below(4096),
                self.dice.below(4096)),
            "title": format!("{team} overview"), "description": "Golden signals, owned by the team.",
            "author_handle": self.dice.pick(self.words.people), "layout_type": "ordered",
            "is_read_only": false, "notify_list": [], "template_variables": [
                {"name": "env", "prefix": "env", "default": "prod", "available_values": []}],
            "created_at": self.instant(), "modified_at": self.instant(),
            "url": "/dashboard/abc/overview", "reflow_type": "auto", "widgets": widgets,
        })
    }

    fn widget(&mut self) -> Value {
        let service = self.dice.pick(self.words.services);
        let metric = self.dice.pick(&["duration", "hits", "errors"]);
        json!({
            "id": self.dice.next() >> 12,
            "definition": {
                "title": format!("{service} {metric}"), "title_size": "16", "title_align": "left",
                "show_legend": true, "legend_layout": "auto", "type": "timeseries",
                "legend_columns": ["avg", "min", "max", "value", "sum"],
                "requests": [{
                    "formulas": [{"formula": "query1"}],
                    "queries": [{"name": "query1", "data_source": "metrics", "query":
                        format!("avg:trace.http.request.{metric}{{service:{service},$env}} by {{host}}")}],
                    "response_format": "timeseries", "display_type": "line",
                    "style": {"palette": "dog_classic", "line_type": "solid", "line_width": "normal"},
                }],
            },
            "layout": {"x": self.dice.below(12), "y": self.dice.below(40), "width": 4, "height": 2},
        })
    }

    fn series(&mut self, metric: &str, service: &str, from: u64) -> Value {
        let host = self.host();
        let mut level = self.dice.below(900) as f64 / 1000.0;
        let points: Vec<Value> = (0..POINTS)
            .map(|n| {
                level += (self.dice.below(200) as f64 - 99.5) / 10_000.0;
                json!([(from + n * 60) * 1000, level.abs()])
            })
            .collect();
        json!({
            "metric": metric, "display_name": metric, "unit": [
                {"family": "time", "id": 11, "name": "second", "short_name": "s", "plural": "seconds",
                 "scale_factor": 1.0}, null],
            "scope": format!("host:{host},service:{service}"), "tag_set": [format!("host:{host}")],
            "expression": format!("avg:{metric}{{host:{host},service:{service}}}"),
            "pointlist": points, "start": from * 1000, "end": (from + POINTS * 60) * 1000 - 1,
            "interval": 60, "length": POINTS, "aggr": "avg", "attributes": {}, "query_index": 0,
        })
    }

    fn log(&mut self, service: &str, n: u64) -> Value {
        let host = self.host();
        let at = chrono::DateTime::from_timestamp_millis(
            (self.now * 1000 - n * 731 - self.dice.below(700)) as i64,
        )
        .unwrap_or_default();
        let took = self.dice.below(3000);
        let path = format!("/{service}/orders/{}", self.dice.below(1_000_000));
        json!({
            "id": format!("AQAAAY{:016x}{:08x}", self.dice.next(), self.dice.next() as u32),
            "type": "log",
            "attributes": {
                "service": service, "host": host, "status": "error", "timestamp":
                    at.to_rfc3339_opts(chrono::SecondsFormat::Millis, true),
                "message": format!("{}: GET {path} in {took} ms", self.dice.pick(self.words.messages)),
                "tags": self.tags(),
                "attributes": {
                    "dd": {"trace_id": self.dice.next().to_string(), "span_id": self.dice.next().to_string(),
                        "env": "prod", "version": "4.12.1"},
                    "http": {"method": "GET", "url": path, "status_code": 502},
                    "duration": took * 1_000_000, "logger": {"name": "http.server", "thread_name":
                        format!("worker-{}", self.dice.below(32))},
                    "availability-zone": self.dice.pick(self.words.zones),
                },
            },
        })
    }
}
