//! A small Datadog on loopback, over plain HTTP: what the demo and the tests use as upstream.
//!
//! It keeps state (what is created can be read, changed and deleted), answers in Datadog's shapes,
//! opens only with the keys it was started with, and remembers what reached it. Everything it
//! stores is bounded by `limits`, and nothing a client sends makes it panic. It covers a few
//! resources only, evaluates no monitor, and interprets a query no further than its answers need.

mod dashboards;
mod events;
mod logs;
mod metrics;
mod monitors;
mod terms;

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, Read};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use chrono::{DateTime, SecondsFormat, Utc};
use http::request::Parts;
use http::{HeaderMap, StatusCode, header};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::loopback::{self, Answer, Body, BodyEnd, Loopback};
use super::{hex, random};
use crate::limits;
use crate::record::Secret;

use dashboards::Dashboards;
use events::Events;
use logs::Logs;
use monitors::Monitors;

/// Who owns the application key, and so creates what is created.
const OWNER_HANDLE: &str = "sam.rivera@example.com";
const OWNER_NAME: &str = "Sam Rivera";
const ORG_ID: u64 = 1_203_110;

/// A pair of Datadog keys.
#[derive(Clone, Debug)]
pub struct Keys {
    /// 32 lower-case hex digits.
    pub api: Secret<String>,
    /// 40 lower-case hex digits.
    pub application: Secret<String>,
}

impl Keys {
    /// Makes a pair that nobody has seen before.
    ///
    /// # Errors
    /// When the system grants no randomness.
    pub fn random() -> io::Result<Self> {
        Ok(Self {
            api: Secret::new(hex(&random::<16>()?)),
            application: Secret::new(hex(&random::<20>()?)),
        })
    }
}

/// One request as it reached this Datadog.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Method, upper case.
    pub method: String,
    /// The `Host` header: which Datadog host was meant.
    pub host: String,
    /// Path without the query, which may hold keys.
    pub path: String,
    /// `User-Agent`, if sent.
    pub user_agent: Option<String>,
    /// Bytes of the body as it came, still compressed.
    pub request_bytes: u64,
    /// SHA-256 of those bytes, lower-case hex.
    pub request_sha256: String,
    /// Whether the body arrived whole.
    pub complete: bool,
    /// Whether the real API key came with it.
    pub real_api_key: bool,
    /// Whether the real application key came with it.
    pub real_application_key: bool,
    /// Whether the real access token came with it.
    pub real_token: bool,
    /// The status of the answer.
    pub status: u16,
    /// SHA-256 of the answer's body, lower-case hex.
    pub answer_sha256: String,
}

/// A running Datadog; it stops when this is dropped.
pub struct FakeDatadog {
    address: SocketAddr,
    inner: Arc<Inner>,
    _server: Loopback,
}

struct Inner {
    keys: Keys,
    token: Secret<String>,
    world: Mutex<World>,
    seen: Mutex<VecDeque<Seen>>,
}

struct World {
    monitors: Monitors,
    dashboards: Dashboards,
    events: Events,
    logs: Logs,
}

/// Starts a Datadog with a service "checkout" in it, on a free loopback port.
///
/// # Errors
/// When the system grants no loopback socket.
pub async fn start(keys: Keys) -> io::Result<FakeDatadog> {
    let bound = loopback::bind().await?;
    let now = Utc::now();
    let inner = Arc::new(Inner {
        keys,
        token: Secret::new(format!("ddpat_{}", hex(&random::<20>()?))),
        world: Mutex::new(World {
            monitors: Monitors::seeded(now),
            dashboards: Dashboards::seeded(now),
            events: Events::default(),
            logs: Logs::seeded(now),
        }),
        seen: Mutex::default(),
    });
    let handler = Arc::clone(&inner);
    Ok(FakeDatadog {
        address: bound.address(),
        inner,
        _server: bound.serve(move |parts, body| handler.answer(parts, body)),
    })
}

impl FakeDatadog {
    /// Returns the address it listens on.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the base URL, `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Returns a personal access token, which opens it without any key.
    #[must_use]
    pub fn token(&self) -> Secret<String> {
        self.inner.token.clone()
    }

    /// Returns what reached it so far, oldest first; at most `limits::DEMO_SEEN_MAX` requests.
    #[must_use]
    pub fn seen(&self) -> Vec<Seen> {
        locked(&self.inner.seen).iter().cloned().collect()
    }
}

/// A request that may be answered, its body decompressed.
struct Asked {
    query: BTreeMap<String, String>,
    text: Bytes,
}

/// Why a request is refused; becomes Datadog's `{"errors": [...]}`.
#[derive(Debug, PartialEq, Eq)]
struct Problem {
    status: StatusCode,
    message: String,
}

type Outcome = Result<Value, Problem>;

impl Inner {
    fn answer(&self, parts: &Parts, body: &Body) -> Answer {
        let query = parse_query(parts);
        let carries = |secret: &Secret<String>, name: &str, parameter: &str| {
            let header = parts.headers.get(name).map(http::HeaderValue::as_bytes);
            let value = header.or(query.get(parameter).map(String::as_bytes));
            value == Some(secret.expose().as_bytes())
        };
        let real_api_key = carries(&self.keys.api, "dd-api-key", "api_key");
        let real_application_key = carries(
            &self.keys.application,
            "dd-application-key",
            "application_key",
        );

        // A token counts in the place of an application key, too, and then alone.
        let real_token = self.carries_token(&parts.headers)
            || carries(&self.token, "dd-application-key", "application_key");

        let path = parts.uri.path();
        let open =
            real_token || real_api_key && (real_application_key || needs_no_application_key(parts));
        let outcome = match body.end {
            BodyEnd::Broken => problem(StatusCode::BAD_REQUEST, "The request body broke off"),
            _ if !open => problem(StatusCode::FORBIDDEN, "Forbidden"),
            BodyEnd::TooLarge => problem(StatusCode::PAYLOAD_TOO_LARGE, "Payload too large"),
            BodyEnd::Whole => decoded(&parts.headers, body)
                .map(|text| Asked { query, text })
                .and_then(|asked| self.route(parts.method.as_str(), path, &asked)),
        };
        let answer = match outcome {
            Ok((status, value)) => loopback::json(status, &value),
            Err(problem) => loopback::json(problem.status, &json!({"errors": [problem.message]})),
        };
        self.remember(Seen {
            method: parts.method.to_string(),
            host: text_of(&parts.headers, header::HOST).unwrap_or_default(),
            path: path.to_owned(),
            user_agent: text_of(&parts.headers, header::USER_AGENT),
            request_bytes: body.length,
            request_sha256: hex(&body.sha256),
            complete: body.end != BodyEnd::Broken,
            real_api_key,
            real_application_key,
            real_token,
            status: answer.status().as_u16(),
            answer_sha256: hex(&Sha256::digest(answer.body())),
        });
        answer
    }

    fn carries_token(&self, headers: &HeaderMap) -> bool {
        let shown = headers.get(header::AUTHORIZATION);
        shown.is_some_and(|value| value == &format!("Bearer {}", self.token.expose()))
    }

    fn route(
        &self,
        method: &str,
        path: &str,
        asked: &Asked,
    ) -> Result<(StatusCode, Value), Problem> {
        let segments: Vec<&str> = path.split('/').skip(1).collect();
        let world = &mut *locked(&self.world);
        let now = Utc::now();
        let mut status = StatusCode::OK;
        let value = match (method, segments.as_slice()) {
            ("GET", ["api", "v1", "validate"]) => json!({"valid": true}),
            ("GET", ["api", "v2", "validate_keys"]) => json!({"status": "ok"}),

            ("GET", ["api", "v1", "monitor"]) => world.monitors.list(asked)?,
            ("POST", ["api", "v1", "monitor"]) => world.monitors.create(&asked.json()?, now)?,
            ("GET", ["api", "v1", "monitor", "search"]) => world.monitors.search(asked)?,
            ("GET", ["api", "v1", "monitor", id]) => world.monitors.read(id)?,
            ("PUT", ["api", "v1", "monitor", id]) => {
                world.monitors.update(id, &asked.json()?, now)?
            }
            ("DELETE", ["api", "v1", "monitor", id]) => world.monitors.delete(id)?,

            ("GET", ["api", "v1", "dashboard"]) => world.dashboards.list(asked)?,
            ("POST", ["api", "v1", "dashboard"]) => world.dashboards.create(&asked.json()?, now)?,
            ("GET", ["api", "v1", "dashboard", id]) => world.dashboards.read(id)?,
            ("PUT", ["api", "v1", "dashboard", id]) => {
                world.dashboards.update(id, &asked.json()?, now)?
            }
            ("DELETE", ["api", "v1", "dashboard", id]) => world.dashboards.delete(id)?,

            ("GET", ["api", "v1", "query"]) => metrics::query(asked)?,
            ("POST", ["api", "v2", "query", "timeseries"]) => metrics::timeseries(&asked.json()?)?,
            ("POST", ["api", "v1", "series"]) => {
                asked.json()?;
                status = StatusCode::ACCEPTED;
                json!({"status": "ok"})
            }
            ("POST", ["api", "v2", "series"]) => {
                asked.json()?;
                status = StatusCode::ACCEPTED;
                json!({"errors": []})
            }

            ("POST", ["api", "v2", "logs", "events", "search"]) => {
                world.logs.search(&asked.json()?, now)?
            }
            ("POST", ["api", "v2", "logs"]) => {
                status = StatusCode::ACCEPTED;
                world.logs.take(asked, now)?
            }

            // A test report, in parts that are not read.
            ("POST", ["api", "v2", "cireport"]) => {
                status = StatusCode::ACCEPTED;
                json!({})
            }

            ("POST", ["api", "v1", "events"]) => {
                status = StatusCode::ACCEPTED;
                world.events.create(&asked.json()?, now)?
            }
            ("GET", ["api", "v1", "events"]) => world.events.list(asked)?,
            ("GET", ["api", "v1", "events", id]) => world.events.read(id)?,
            _ => return problem(StatusCode::NOT_FOUND, "Not found"),
        };
        Ok((status, value))
    }

    fn remember(&self, seen: Seen) {
        let mut list = locked(&self.seen);
        if list.len() >= limits::DEMO_SEEN_MAX {
            list.pop_front();
        }
        list.push_back(seen);
    }
}

impl Asked {
    fn json(&self) -> Outcome {
        serde_json::from_slice(&self.text)
            .or_else(|_| problem(StatusCode::BAD_REQUEST, "Invalid JSON"))
    }

    /// Returns a query parameter as a whole number, or `default` where it is absent.
    fn number(&self, name: &str, default: i64) -> Result<i64, Problem> {
        match self.query.get(name) {
            None => Ok(default),
            Some(text) => text
                .parse()
                .or_else(|_| invalid(&format!("The parameter '{name}' must be a number"))),
        }
    }

    /// Returns the window of a paged list as (first, at most how many).
    fn page(&self, page: &str, size: &str, size_default: i64) -> Result<(usize, usize), Problem> {
        let size = self.number(size, size_default)?.clamp(0, 1000);
        let first = self.number(page, 0)?.max(0).saturating_mul(size);
        Ok((
            usize::try_from(first).unwrap_or(usize::MAX),
            usize::try_from(size).unwrap_or(usize::MAX),
        ))
    }
}

/// Calls that Datadog opens with the API key alone.
fn needs_no_application_key(parts: &Parts) -> bool {
    matches!(
        (parts.method.as_str(), parts.uri.path()),
        ("GET", "/api/v1/validate")
            | (
                "POST",
                "/api/v1/series"
                    | "/api/v2/series"
                    | "/api/v2/logs"
                    | "/api/v2/cireport"
                    | "/api/v1/events"
            )
    )
}

fn parse_query(parts: &Parts) -> BTreeMap<String, String> {
    let query = parts.uri.query().unwrap_or_default();
    url::form_urlencoded::parse(query.as_bytes())
        .into_owned()
        .collect()
}

fn decoded(headers: &HeaderMap, body: &Body) -> Result<Bytes, Problem> {
    let coding = text_of(headers, header::CONTENT_ENCODING).unwrap_or_default();
    let bytes = body.bytes.as_ref();
    let reader: Box<dyn Read + '_> = match coding.to_ascii_lowercase().as_str() {
        "" | "identity" => return Ok(body.bytes.clone()),
        "gzip" | "x-gzip" => Box::new(flate2::read::MultiGzDecoder::new(bytes)),
        "deflate" => Box::new(flate2::read::ZlibDecoder::new(bytes)),
        "zstd" | "zstd1" => match zstd::stream::read::Decoder::new(bytes) {
            Ok(decoder) => Box::new(decoder),
            Err(_) => return invalid("The body is not what Content-Encoding says"),
        },
        _ => {
            return problem(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "Unknown Content-Encoding",
            );
        }
    };
    let mut text = Vec::new();
    let most = limits::DEMO_BODY_BYTES_MAX as u64;
    match reader.take(most + 1).read_to_end(&mut text) {
        Err(_) => invalid("The body is not what Content-Encoding says"),
        Ok(size) if size as u64 > most => {
            problem(StatusCode::PAYLOAD_TOO_LARGE, "Payload too large")
        }
        Ok(_) => Ok(Bytes::from(text)),
    }
}

fn problem<T>(status: StatusCode, message: &str) -> Result<T, Problem> {
    Err(Problem {
        status,
        message: message.to_owned(),
    })
}

fn invalid<T>(message: &str) -> Result<T, Problem> {
    problem(StatusCode::BAD_REQUEST, message)
}

/// Checks what every stored resource has in common: an object, and not too large.
fn object(value: &Value) -> Result<&serde_json::Map<String, Value>, Problem> {
    let Some(object) = value.as_object() else {
        return invalid("The request body must be a JSON object");
    };
    if value.to_string().len() > limits::DEMO_RESOURCE_BYTES_MAX {
        return problem(StatusCode::PAYLOAD_TOO_LARGE, "Payload too large");
    }
    Ok(object)
}

fn text_of(headers: &HeaderMap, name: header::HeaderName) -> Option<String> {
    let value = headers.get(name)?;
    Some(String::from_utf8_lossy(value.as_bytes()).into_owned())
}

/// Returns the start of a text, no longer than is stored.
fn shortened(text: &str) -> String {
    text.chars().take(limits::DEMO_TEXT_CHARS_MAX).collect()
}

/// Writes a time as the v1 API does: microseconds and `+00:00`.
fn timestamp(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Micros, false)
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Every change is one assignment at the end of a checked request: a panic leaves it whole.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::client;
    use http::Method;
    use std::io::Write as _;

    struct Desk {
        datadog: FakeDatadog,
        keys: Keys,
    }

    impl Desk {
        async fn open() -> Self {
            let keys = Keys::random().unwrap();
            Self {
                datadog: start(keys.clone()).await.unwrap(),
                keys,
            }
        }

        fn headers(&self) -> HeaderMap {
            client::headers(&[
                ("dd-api-key", self.keys.api.expose()),
                ("dd-application-key", self.keys.application.expose()),
                ("content-type", "application/json"),
            ])
        }

        async fn send(
            &self,
            method: &str,
            target: &str,
            headers: HeaderMap,
            body: impl Into<Bytes>,
        ) -> (u16, Value) {
            let address = self.datadog.address().to_string();
            let mut connection = client::Connection::plain(&address).await.unwrap();
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            let answered = connection
                .call(method, target, headers, body.into())
                .await
                .unwrap();
            (
                answered.status.as_u16(),
                serde_json::from_slice(&answered.body).unwrap_or(Value::Null),
            )
        }

        async fn call(&self, method: &str, target: &str, body: Value) -> (u16, Value) {
            let body = match body {
                Value::Null => String::new(),
                body => body.to_string(),
            };
            self.send(method, target, self.headers(), body).await
        }
    }

    #[tokio::test]
    async fn a_monitor_lives_and_dies() {
        let desk = Desk::open().await;
        let wanted = json!({
            "name": "n", "type": "query alert", "query": "avg(last_5m):avg:m{*} by {host} > 1",
            "tags": ["service:checkout"], "id": 7, "creator": {"handle": "forged"},
        });
        let (status, made) = desk.call("POST", "/api/v1/monitor", wanted).await;
        assert_eq!(status, 200, "{made}");
        assert_eq!(made["creator"]["handle"], OWNER_HANDLE);
        assert_eq!(made["multi"], true);
        let target = format!("/api/v1/monitor/{}", made["id"]);
        assert_eq!(
            desk.call("GET", &target, Value::Null).await,
            (200, made.clone())
        );

        let change = json!({"options": {"thresholds": {"critical": 2}}});
        let (status, changed) = desk.call("PUT", &target, change).await;
        assert_eq!(status, 200);
        assert_eq!(changed["options"]["thresholds"]["critical"], 2);
        assert_eq!(changed["name"], "n");
        assert_ne!(changed["modified"], made["modified"]);

        let listed = "/api/v1/monitor?monitor_tags=service:checkout";
        let (_, list) = desk.call("GET", listed, Value::Null).await;
        assert_eq!(list.as_array().unwrap().len(), 5);
        let (_, found) = desk
            .call(
                "GET",
                "/api/v1/monitor/search?query=status:alert%20service:checkout",
                Value::Null,
            )
            .await;
        assert_eq!(found["metadata"]["total_count"], 2, "{found}");

        let (status, gone) = desk.call("DELETE", &target, Value::Null).await;
        assert_eq!((status, &gone["deleted_monitor_id"]), (200, &made["id"]));
        let missing = json!({"errors": ["Monitor not found"]});
        for method in ["GET", "DELETE"] {
            let answered = desk.call(method, &target, Value::Null).await;
            assert_eq!(answered, (404, missing.clone()));
        }
    }

    #[tokio::test]
    async fn a_dashboard_lives_and_dies() {
        let desk = Desk::open().await;
        let wanted = json!({"title": "t", "layout_type": "ordered", "widgets": [
            {"definition": {"type": "note", "content": "x"}},
        ]});
        let (status, made) = desk.call("POST", "/api/v1/dashboard", wanted).await;
        assert_eq!(status, 200, "{made}");
        let id = made["id"].as_str().unwrap();
        assert_eq!(id.len(), 11, "{id}");
        assert!(made["widgets"][0]["id"].is_u64());
        let target = format!("/api/v1/dashboard/{id}");
        let change = json!({"title": "u", "layout_type": "ordered", "widgets": []});
        let (_, changed) = desk.call("PUT", &target, change).await;
        assert_eq!(changed["title"], "u");
        assert_eq!(desk.call("GET", &target, Value::Null).await, (200, changed));
        let (_, list) = desk.call("GET", "/api/v1/dashboard", Value::Null).await;
        assert_eq!(list["dashboards"].as_array().unwrap().len(), 3);
        let (status, gone) = desk.call("DELETE", &target, Value::Null).await;
        assert_eq!((status, gone), (200, json!({"deleted_dashboard_id": id})));
        assert_eq!(desk.call("GET", &target, Value::Null).await.0, 404);
    }

    #[tokio::test]
    async fn only_the_real_keys_open_it() {
        let desk = Desk::open().await;
        let forbidden = (403, json!({"errors": ["Forbidden"]}));
        let api_only = client::headers(&[("dd-api-key", desk.keys.api.expose())]);
        let placeholder = client::headers(&[
            ("dd-api-key", "00000000000000000000000000000000"),
            ("dd-application-key", desk.keys.application.expose()),
        ]);
        for headers in [HeaderMap::new(), api_only.clone(), placeholder] {
            let answered = desk.send("GET", "/api/v1/monitor", headers, "").await;
            assert_eq!(answered, forbidden);
        }
        let valid = desk.send("GET", "/api/v1/validate", api_only, "").await;
        assert_eq!(valid, (200, json!({"valid": true})));
        let target = format!(
            "/api/v1/monitor?api_key={}&application_key={}",
            desk.keys.api.expose(),
            desk.keys.application.expose()
        );
        assert_eq!(desk.send("GET", &target, HeaderMap::new(), "").await.0, 200);

        let seen = desk.datadog.seen();
        let keys: Vec<_> = seen
            .iter()
            .map(|seen| (seen.real_api_key, seen.real_application_key, seen.status))
            .collect();
        assert_eq!(
            keys,
            [
                (false, false, 403),
                (true, false, 403),
                (false, true, 403),
                (true, false, 200),
                (true, true, 200)
            ]
        );
        let all = format!("{seen:?}");
        assert!(!all.contains(desk.keys.api.expose()));
        assert!(!all.contains(desk.keys.application.expose()));
    }

    #[tokio::test]
    async fn compressed_logs_arrive_and_are_found() {
        let desk = Desk::open().await;
        let logs = json!([{"message": "a plum", "service": "fruit", "status": "ERROR", "ddtags": "env:x"}]);
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(logs.to_string().as_bytes()).unwrap();
        let packed = gzip.finish().unwrap();
        let mut headers = desk.headers();
        headers.insert("content-encoding", "gzip".parse().unwrap());
        headers.remove("dd-application-key");
        let sent = desk
            .send("POST", "/api/v2/logs", headers.clone(), packed.clone())
            .await;
        assert_eq!(sent, (202, json!({})));
        let seen = desk.datadog.seen().pop().unwrap();
        assert_eq!(seen.request_sha256, hex(&Sha256::digest(&packed)));
        assert_eq!(seen.request_bytes, packed.len() as u64);

        let wanted = json!({"filter": {"query": "service:fruit status:error env:x plum"}});
        let (_, found) = desk
            .call("POST", "/api/v2/logs/events/search", wanted)
            .await;
        assert_eq!(found["data"].as_array().unwrap().len(), 1, "{found}");

        let lied = desk.send("POST", "/api/v2/logs", headers, "not gzip").await;
        assert_eq!(lied.0, 400);
    }

    #[tokio::test]
    async fn a_compression_bomb_is_refused() {
        let desk = Desk::open().await;
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        for _ in 0..7 {
            gzip.write_all(&vec![b' '; 1 << 20]).unwrap();
        }
        let mut headers = desk.headers();
        headers.insert("content-encoding", "gzip".parse().unwrap());
        let sent = desk
            .send("POST", "/api/v2/logs", headers, gzip.finish().unwrap())
            .await;
        assert_eq!(sent.0, 413);
    }

    #[tokio::test]
    async fn a_large_body_is_digested_though_refused() {
        let desk = Desk::open().await;
        let large = vec![7u8; limits::DEMO_BODY_BYTES_MAX + 1];
        let digest = hex(&Sha256::digest(&large));
        let sent = desk
            .send("POST", "/api/v2/logs", desk.headers(), large)
            .await;
        assert_eq!(sent.0, 413);
        let seen = desk.datadog.seen().pop().unwrap();
        assert_eq!((seen.request_sha256, seen.complete), (digest, true));
    }

    #[tokio::test]
    async fn metrics_events_and_the_rest_answer() {
        let desk = Desk::open().await;
        let target = "/api/v1/query?from=1700000000&to=1700003600&query=avg:trace.http.request{*}";
        let (status, answer) = desk.call("GET", target, Value::Null).await;
        assert_eq!(status, 200, "{answer}");
        let points = answer["series"][0]["pointlist"].as_array().unwrap();
        assert_eq!(points.len(), 60);
        let wanted = json!({"data": {"type": "timeseries_request", "attributes": {
            "from": 1_700_000_000_000_i64, "to": 1_700_003_600_000_i64,
            "queries": [{"data_source": "metrics", "name": "a", "query": "avg:m{*}"}],
        }}});
        let (_, answer) = desk.call("POST", "/api/v2/query/timeseries", wanted).await;
        let attributes = &answer["data"]["attributes"];
        assert_eq!(attributes["values"][0].as_array().unwrap().len(), 60);

        let wanted = json!({"title": "deployed", "text": "checkout 2026.11.3"});
        let (status, posted) = desk.call("POST", "/api/v1/events", wanted).await;
        assert_eq!(status, 202);
        let id = posted["event"]["id_str"].as_str().unwrap();
        let (_, read) = desk
            .call("GET", &format!("/api/v1/events/{id}"), Value::Null)
            .await;
        assert_eq!(read["event"], posted["event"]);
        let (_, list) = desk
            .call("GET", "/api/v1/events?start=0&end=9999999999", Value::Null)
            .await;
        assert_eq!(list["events"][0]["title"], "deployed");

        let series = json!({"series": []});
        assert_eq!(desk.call("POST", "/api/v1/series", series).await.0, 202);
        let unknown = desk.call("GET", "/api/v9/nothing", Value::Null).await;
        assert_eq!(unknown, (404, json!({"errors": ["Not found"]})));
    }

    #[tokio::test]
    async fn hostile_input_is_refused_politely() {
        let desk = Desk::open().await;
        let deep = "[".repeat(100_000);
        let wide = format!("{{\"query\":\"{}\",\"type\":\"t\"}}", "x".repeat(300 << 10));
        for (method, target, body, expected) in [
            ("POST", "/api/v1/monitor", deep.as_str(), 400),
            ("POST", "/api/v1/monitor", "[]", 400),
            ("POST", "/api/v1/monitor", "{}", 400),
            ("POST", "/api/v1/monitor", wide.as_str(), 413),
            (
                "POST",
                "/api/v1/monitor",
                r#"{"type":"t","query":"q","tags":[1]}"#,
                400,
            ),
            ("GET", "/api/v1/monitor/99999999999999999999999", "", 400),
            ("GET", "/api/v1/monitor/..%2f..", "", 400),
            (
                "GET",
                "/api/v1/monitor?page=-9223372036854775808&page_size=9223372036854775807",
                "",
                200,
            ),
            (
                "GET",
                "/api/v1/monitor/search?page=9223372036854775807&per_page=0",
                "",
                200,
            ),
            (
                "GET",
                "/api/v1/query?from=-1&to=9223372036854775807&query=x",
                "",
                400,
            ),
            (
                "POST",
                "/api/v2/query/timeseries",
                r#"{"data":{"attributes":{"from":-9223372036854775808,"to":1,"queries":[{}]}}}"#,
                400,
            ),
            (
                "POST",
                "/api/v2/logs/events/search",
                r#"{"filter":7,"page":{"limit":-1}}"#,
                400,
            ),
            (
                "POST",
                "/api/v1/dashboard",
                r#"{"title":"t","layout_type":"ordered","widgets":[7]}"#,
                400,
            ),
            ("POST", "/api/v1/events", r#"{"title":1,"text":[]}"#, 400),
            ("PATCH", "/api/v1/monitor", "", 404),
            ("GET", "//", "", 404),
        ] {
            let sent = desk
                .send(method, target, desk.headers(), body.to_owned())
                .await;
            assert_eq!(sent.0, expected, "{method} {target}: {}", sent.1);
        }
    }
}
