//! Whose keys pass, where they are swapped, and what is refused.

use super::gate::*;
use super::session::{Call, Session};
use super::upstream::Upstream;
use super::wire::*;
use ddgate::record::event::Decision;
use ddgate::record::{Effect, Outcome};

const LIST: &str = r#"[{"id":1,"name":"CPU"}]"#;

fn json(body: &str) -> Vec<u8> {
    answer(
        200,
        "content-type: application/json\r\nx-own: kept\r\n",
        body,
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_get_goes_through_and_stands_in_the_record_once() {
    let upstream = Upstream::saying(json(LIST)).await;
    let gate = Gate::to(&upstream).await;
    let mut child = gate.child().await;
    let answer = child
        .ask(gate.keyed("GET /api/v1/monitor?name=a%20b", ""))
        .await;
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.text(), LIST);
    assert_eq!(answer.head.one("x-own"), Some("kept"));
    assert_eq!(answer.head.one("content-length"), Some("23"));
    assert_eq!(answer.head.one("ddgate-verdict"), None);

    let seen = upstream.requests();
    assert_eq!(seen.len(), 1);
    let head = &seen[0].head;
    assert_eq!(head.line, "GET /api/v1/monitor?name=a%20b HTTP/1.1");
    assert_eq!(head.one("host"), Some("api.datadoghq.com"));
    assert_eq!(head.one("dd-api-key"), Some(API));
    assert_eq!(head.one("dd-application-key"), Some(APP));

    let session = gate.finish().await;
    let call = session.call();
    let request = &call.request;
    assert!(!call.denied);
    assert_eq!(request.call.0, 1);
    assert_eq!(request.method, "GET");
    assert_eq!(request.host, "api.datadoghq.com");
    assert_eq!(request.route, "/api/v1/monitor");
    assert_eq!(request.op.as_deref(), Some("ListMonitors"));
    assert_eq!(request.access, Effect::Read);
    assert_eq!(request.decision, Decision::Allow);
    assert_eq!(request.body, None);
    assert_eq!(session.target(&call), "/api/v1/monitor?name=a%20b");
    let end = call.end();
    assert_eq!(end.outcome, Outcome::Answered);
    assert_eq!(end.status, Some(200));
    assert_eq!(end.error, None);
    assert_eq!(end.unkept, None);
    assert!(end.wait_us.unwrap() <= end.dur_us && end.dur_us < 20_000_000);
    assert_eq!(session.answer_body(&call), LIST.as_bytes());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_post_arrives_byte_for_byte_and_its_digest_is_recorded() {
    let upstream = Upstream::answering(|request| answer(201, "", &request.body)).await;
    let gate = Gate::to(&upstream).await;
    let mut child = gate.child().await;
    let body = r#"{"name":"é \u0000 and more","type":"metric alert"}"#;
    let answer = child.ask(gate.keyed("POST /api/v1/monitor", body)).await;
    assert_eq!((answer.status(), answer.text()), (201, body));
    let seen = upstream.requests();
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].body, body.as_bytes());
    assert_eq!(
        seen[0].head.one("content-length"),
        Some(body.len().to_string().as_str())
    );
    let session = gate.finish().await;
    let call = session.call();
    assert_eq!(call.request.access, Effect::Write);
    assert_eq!(sha256(&session.request_body(&call)), sha256(&seen[0].body));
    assert_eq!(sha256(&session.answer_body(&call)), sha256(&answer.body));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_host_of_a_base_url_call_follows_from_its_path() {
    let upstream = Upstream::saying(json("{}")).await;
    let gate = Gate::to(&upstream).await;
    let mut child = gate.child().await;
    let cases = [
        ("POST /api/v2/logs", "http-intake.logs.datadoghq.com"),
        ("POST /v1/input", "http-intake.logs.datadoghq.com"),
        (
            "POST /api/v2/events",
            "event-management-intake.datadoghq.com",
        ),
        ("GET /api/v2/events", "api.datadoghq.com"),
        ("DELETE /api/v1/dashboard/abc", "api.datadoghq.com"),
    ];
    for (line, _) in cases {
        assert_eq!(child.ask(gate.keyed(line, "")).await.status(), 200);
    }
    let hosts: Vec<_> = cases.iter().map(|(_, host)| *host).collect();
    let seen = upstream.requests();
    let arrived: Vec<_> = seen.iter().map(|r| r.head.one("host").unwrap()).collect();
    assert_eq!(arrived, hosts);
    let session = gate.finish().await;
    let recorded: Vec<_> = session
        .calls()
        .iter()
        .map(|c| c.request.host.clone())
        .collect();
    assert_eq!(recorded, hosts);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn placeholders_are_swapped_in_all_places_and_nothing_is_added() {
    let upstream = Upstream::saying(json("{}")).await;
    let gate = Gate::with(Setup {
        upstream: Some(format!("http://127.0.0.1:{}", upstream.port)),
        bearer: true,
        ..Setup::default()
    })
    .await;
    let mut child = gate.child().await;
    for (line, headers) in [
        (
            "POST /api/v2/logs".to_owned(),
            format!("DD-API-KEY: {API_PLACEHOLDER}\r\n"),
        ),
        (
            "POST /v1/mcp".to_owned(),
            format!("DD_API_KEY: {API_PLACEHOLDER}\r\nDD_APPLICATION_KEY: {APP_PLACEHOLDER}\r\n"),
        ),
        (
            format!(
                "POST /api/v1/series?api_key={API_PLACEHOLDER}&a=b+c&application_key={APP_PLACEHOLDER}&d=%zz"
            ),
            String::new(),
        ),
        (
            "GET /api/v1/validate".to_owned(),
            format!("DD-API-KEY: {API_PLACEHOLDER}\r\nAuthorization: Bearer \r\n"),
        ),
        (
            "GET /api/v1/validate".to_owned(),
            format!("authorization: bearer  {BEARER_PLACEHOLDER}\r\n"),
        ),
    ] {
        let answer = child.ask(gate.request(&line, &headers, "")).await;
        assert_eq!(answer.status(), 200, "{line}");
    }
    let seen = upstream.requests();
    let credentials = |head: &Head| -> Vec<(String, String)> {
        let mut found: Vec<_> = head
            .headers
            .iter()
            .filter(|(name, _)| name.starts_with("dd") || name == "authorization")
            .cloned()
            .collect();
        found.sort();
        found
    };
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(credentials(&seen[0].head), [pair("dd-api-key", API)]);
    assert_eq!(
        credentials(&seen[1].head),
        [pair("dd_api_key", API), pair("dd_application_key", APP)]
    );
    assert_eq!(credentials(&seen[2].head), []);
    assert_eq!(
        seen[2].head.target(),
        format!("/api/v1/series?api_key={API}&a=b+c&application_key={APP}&d=%zz")
    );
    assert_eq!(credentials(&seen[3].head), [pair("dd-api-key", API)]);
    assert_eq!(
        credentials(&seen[4].head),
        [pair("authorization", &format!("Bearer {BEARER}"))]
    );
    let session = gate.finish().await;
    let calls = session.calls();
    assert_eq!(calls.len(), 5);
    let key = redaction_key();
    let api = key.pseudonym(API_PLACEHOLDER.as_bytes());
    let app = key.pseudonym(APP_PLACEHOLDER.as_bytes());
    assert_eq!(
        session.target(&calls[2]),
        format!(
            "/api/v1/series?api_key=[REDACTED:api_key:{api}]&a=b+c&application_key=[REDACTED:application_key:{app}]&d=%zz"
        )
    );
}

/// Refused, recorded as refused, and not a byte upstream.
fn assert_denied(call: &Call, rule: &str) {
    assert!(call.denied);
    assert_eq!(call.request.decision, Decision::Deny);
    assert_eq!(call.request.rule, rule);
    assert!(call.response.is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_without_the_right_keys_is_refused_and_recorded() {
    let upstream = Upstream::saying(json("{}")).await;
    let gate = Gate::to(&upstream).await;
    let api = format!("dd-api-key: {API_PLACEHOLDER}\r\n");
    let cases = [
        ("/api/v1/monitor", String::new(), "no-key"),
        ("/api/v1/monitor", "dd-api-key: \r\n".into(), "foreign-key"),
        (
            "/api/v1/monitor",
            format!("dd-api-key: {}\r\n", "7".repeat(32)),
            "foreign-key",
        ),
        // The real key, found somewhere, is no right.
        (
            "/api/v1/monitor",
            format!("dd-api-key: {API}\r\n"),
            "foreign-key",
        ),
        (
            "/api/v1/monitor",
            format!("{api}dd-application-key: {APP}\r\n"),
            "foreign-key",
        ),
        (
            "/api/v1/monitor",
            format!("dd-api-key: {APP_PLACEHOLDER}\r\n"),
            "foreign-key",
        ),
        (
            "/api/v1/monitor",
            format!("{api}dd_application_key: {API_PLACEHOLDER}\r\n"),
            "foreign-key",
        ),
        (
            "/api/v1/monitor",
            format!("{api}DD_API_KEY: x\r\n"),
            "foreign-key",
        ),
        (
            "/api/v1/monitor",
            format!("{api}{api}dd-api-key: x\r\n"),
            "foreign-key",
        ),
        ("/api/v1/monitor?api_key=stolen", api.clone(), "foreign-key"),
        (
            "/api/v1/monitor?a=b&api%5Fkey=stolen",
            api.clone(),
            "foreign-key",
        ),
        (
            "/api/v1/monitor",
            "authorization: Bearer\r\n".into(),
            "no-key",
        ),
        (
            "/api/v1/monitor",
            format!("{api}authorization: Bearer stolen\r\n"),
            "foreign-key",
        ),
        (
            "/api/v1/monitor",
            format!("{api}authorization: Basic c3Rv\r\n"),
            "foreign-key",
        ),
        (
            "/api/v1/monitor",
            format!("authorization: Bearer {BEARER_PLACEHOLDER}\r\n"),
            "key-not-held",
        ),
        (
            "/api/v1/monitor",
            format!("{api}connection: dd-api-key, upgrade\r\nupgrade: websocket\r\n"),
            "no-upgrade",
        ),
    ];
    for (target, headers, rule) in &cases {
        let mut child = gate.child().await;
        let answer = child
            .ask(gate.request(&format!("GET {target}"), headers, ""))
            .await;
        let status = if *rule == "no-upgrade" { 501 } else { 403 };
        assert_eq!(answer.status(), status, "{headers}");
        assert_eq!(answer.head.one("ddgate-verdict"), Some(*rule), "{headers}");
        assert!(answer.head.one("ddgate-call").is_some());
        let reason: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        assert!(
            reason["errors"][0]
                .as_str()
                .unwrap()
                .starts_with("ddgate: ")
        );
    }
    assert_eq!(upstream.connections(), 0);
    let session = gate.finish().await;
    let calls = session.calls();
    assert_eq!(calls.len(), cases.len());
    for (call, (_, _, rule)) in calls.iter().zip(&cases) {
        assert_denied(call, rule);
    }
}

/// The child's library writes the whole body before it reads: the reason must reach it, and the
/// connection stays good for the next call.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_reaches_a_child_that_is_still_uploading() {
    let upstream = Upstream::saying(json("{}")).await;
    let gate = Gate::to(&upstream).await;
    let mut child = gate.child().await;
    let body = vec![b'x'; 6 << 20];
    for _ in 0..2 {
        let headers = format!("content-length: {}\r\n", body.len());
        let answer = child
            .ask(gate.request("POST /api/v2/logs", &headers, &body))
            .await;
        assert_eq!(answer.status(), 403);
    }
    let answer = child.ask(gate.keyed("GET /api/v1/monitor", "")).await;
    assert_eq!(answer.status(), 200);
    let session = gate.finish().await;
    let calls = session.calls();
    assert_eq!(calls.len(), 3);
    assert_denied(&calls[0], "no-key");
    assert!(calls[0].request.unkept.is_some());
    assert_eq!(upstream.requests().len(), 1);
}

/// RFC 9110, 10.1.1: who asks first need not send at all.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_comes_before_the_body_when_the_child_asks_first() {
    let upstream = Upstream::saying(json("{}")).await;
    let gate = Gate::to(&upstream).await;
    let mut child = gate.child().await;
    let headers = "content-length: 1000000\r\nexpect: 100-continue\r\n";
    let answer = child
        .ask(gate.request("POST /api/v2/logs", headers, ""))
        .await;
    assert_eq!(answer.status(), 403);
    let session = gate.finish().await;
    assert_denied(&session.call(), "no-key");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_method_override_asks_for_is_not_passed_on() {
    let upstream = Upstream::saying(json("{}")).await;
    let gate = Gate::to(&upstream).await;
    let mut child = gate.child().await;
    let headers = format!("{KEYS}x-http-method-override: DELETE\r\n");
    child
        .ask(gate.request("GET /api/v1/monitor/1", &headers, ""))
        .await;
    assert_eq!(
        upstream.requests()[0].head.one("x-http-method-override"),
        None
    );
    let _: Session = gate.finish().await;
}

/// A key can stand where nobody expects one: as a method, inside a host name, before an `@`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_in_odd_places_are_not_recorded() {
    let upstream = Upstream::saying(json("{}")).await;
    let gate = Gate::to(&upstream).await;
    let other = Upstream::saying(answer(200, "", "there")).await;
    let there = format!("127.0.0.1:{}", other.port);
    let mut child = gate.child().await;
    for secret in [API, APP_PLACEHOLDER] {
        child
            .ask(gate.keyed(&format!("{secret} /api/v1/monitor"), ""))
            .await;
        child
            .ask(gate.keyed(&format!("GET /{secret}/x?y={secret}"), ""))
            .await;
        let host = format!("{secret}.datadoghq.com");
        let request = format!("GET http://{host}/ HTTP/1.1\r\nhost: {host}\r\n{KEYS}\r\n");
        child.ask(request).await;
        let request =
            format!("GET http://user:{secret}@{there}/ HTTP/1.1\r\nhost: {there}\r\n\r\n");
        assert_eq!(child.ask(request).await.text(), "there");
        gate.tunnel(&format!("{secret}@{there}")).await;
        gate.tunnel(&format!("{secret}.invalid:443")).await;
    }
    for request in other.requests() {
        assert_eq!(request.head.one("host"), Some(there.as_str()));
    }
    // `finish` searches for them.
    let session = gate.finish().await;
    assert_eq!(session.calls().len(), 6);
    let hosts: Vec<_> = session.tunnels().into_iter().map(|t| t.host).collect();
    assert_eq!(hosts.iter().filter(|host| **host == there).count(), 4);
}
