//! The small Datadog over real HTTP.

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
    let logs =
        json!([{"message": "a plum", "service": "fruit", "status": "ERROR", "ddtags": "env:x"}]);
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
