//! The scripted coding agent of the demo: what the hidden verb `ddgate demo-agent` runs.
//!
//! It is a client like any other: it knows only its environment, finds the gate by `DD_HOST`,
//! `HTTPS_PROXY` and `SSL_CERT_FILE`, and believes that its keys are real. It tells on its output
//! what it does, and fails when anything was not as expected. It takes no input.

mod desk;

use std::io::{self, Write};
use std::time::Duration;

use chrono::Utc;
use http::StatusCode;
use serde_json::{Value, json};

use super::client::ClientError;
use super::datadog::Keys;
use desk::Desk;

pub use desk::Environment;

/// Between two steps, so that a person can follow.
const PAUSE: Duration = Duration::from_millis(40);

/// Why the agent gave up.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// A variable every client needs is not set.
    #[error("the environment variable {0} is not set")]
    Missing(&'static str),
    /// A variable is set to something the agent cannot use.
    #[error("the environment variable {0} does not hold an http address")]
    Address(&'static str),
    /// The CA bundle is unusable.
    #[error("cannot use the certificates in {path}")]
    Certificates {
        /// The file that `SSL_CERT_FILE` names.
        path: String,
        /// What is wrong with it.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// No answer came.
    #[error("{call} failed")]
    Call {
        /// Method and path.
        call: String,
        /// Why.
        source: ClientError,
    },
    /// An answer came, but not the expected one.
    #[error("{call} was answered with {status} instead of {wanted}: {said}")]
    Answer {
        /// Method and path.
        call: String,
        /// The status that came.
        status: StatusCode,
        /// The status the agent counts on.
        wanted: StatusCode,
        /// The beginning of the answer.
        said: String,
    },
    /// The answer had the right status but not the right content.
    #[error("{call} was answered without {missing}")]
    Content {
        /// Method and path.
        call: String,
        /// What was looked for.
        missing: &'static str,
    },
    /// No random bytes for a key of its own.
    #[error("no randomness")]
    Random(#[source] io::Error),
    /// The agent cannot tell what it does.
    #[error("cannot write to the output")]
    Output(#[source] io::Error),
}

/// Does the agent's work and tells about it on standard output, which is the agent's own.
///
/// # Errors
/// As [`work`].
pub async fn play(environment: &Environment) -> Result<(), AgentError> {
    work(environment, &mut io::stdout()).await
}

/// Does the agent's work: thirteen calls, told on `out` as they happen.
///
/// # Errors
/// At the first call that is not answered as expected, in particular when a call with a key that
/// is not the gate's is let through.
pub async fn work(environment: &Environment, out: &mut impl Write) -> Result<(), AgentError> {
    let mut story = Story { out };
    let mut desk = Desk::open(environment).await?;
    look_around(&mut desk, &mut story).await?;
    let monitor = watch_inventory(&mut desk, &mut story).await?;
    draw_dashboard(&mut desk, &mut story).await?;
    report_through_proxy(environment, &mut story).await?;
    try_another_key(&mut desk, &mut story).await?;

    story.says("The p95 monitor covers this already: deleting mine again")?;
    let target = format!("/api/v1/monitor/{monitor}");
    desk.call("DELETE", &target, None).await?;
    story.learns(&format!("monitor {monitor} is gone"))?;

    story.says("Done: inventory is the cause, checkout's dashboard shows it")?;
    Ok(())
}

async fn look_around<W: Write>(
    desk: &mut Desk,
    story: &mut Story<'_, W>,
) -> Result<(), AgentError> {
    story
        .step("Looking for noisy monitors of service:checkout")
        .await?;
    let target = "/api/v1/monitor?monitor_tags=service:checkout";
    let monitors = desk.call("GET", target, None).await?;
    let monitors = monitors.as_array().map(Vec::as_slice).unwrap_or_default();
    let alerting: Vec<&str> = monitors
        .iter()
        .filter(|monitor| monitor["overall_state"] == "Alert")
        .filter_map(|monitor| monitor["name"].as_str())
        .collect();
    let counts = format!("{} monitors, {} alerting", monitors.len(), alerting.len());
    story.learns(&format!("{counts}: {}", alerting.join("; ")))?;

    story.step("How slow is checkout?").await?;
    let to = Utc::now().timestamp();
    let target = format!(
        "/api/v1/query?from={}&to={to}&query=p95:trace.http.request%7Bservice:checkout,env:prod%7D",
        to - 3600
    );
    let answer = desk.call("GET", &target, None).await?;
    let points = answer["series"][0]["pointlist"].as_array();
    let highest = points
        .into_iter()
        .flatten()
        .filter_map(|point| point[1].as_f64())
        .fold(0.0, f64::max);
    story.learns(&format!("p95 reached {highest:.2} s in the last hour"))?;

    story.step("What do its error logs say?").await?;
    let wanted = json!({
        "filter": {"query": "service:checkout status:error", "from": "now-1h", "to": "now"},
        "sort": "-timestamp", "page": {"limit": 25},
    });
    let answer = desk
        .call("POST", "/api/v2/logs/events/search", Some(wanted))
        .await?;
    let logs = answer["data"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    let newest = logs.first().map(|log| &log["attributes"]["message"]);
    let newest = newest.and_then(Value::as_str).unwrap_or("nothing");
    story.learns(&format!("{} errors, the newest: {newest}", logs.len()))
}

/// Returns the id of the monitor it made.
async fn watch_inventory<W: Write>(
    desk: &mut Desk,
    story: &mut Story<'_, W>,
) -> Result<u64, AgentError> {
    story.step("Adding a monitor for the cause").await?;
    let wanted = json!({
        "name": "Checkout: inventory times out",
        "type": "log alert",
        "query": "logs(\"service:checkout inventory timed out\").index(\"*\").rollup(\"count\").last(\"5m\") > 1",
        "message": "Inventory does not answer checkout. @slack-checkout-alerts",
        "tags": ["service:checkout", "team:checkout", "made-by:agent"],
        "options": {"thresholds": {"critical": 1}},
    });
    let made = desk.call("POST", "/api/v1/monitor", Some(wanted)).await?;
    let id = made["id"].as_u64().ok_or(AgentError::Content {
        call: "POST /api/v1/monitor".to_owned(),
        missing: "an id",
    })?;
    story.learns(&format!("created monitor {id}"))?;

    story.step("Reading it back").await?;
    let target = format!("/api/v1/monitor/{id}");
    let read = desk.call("GET", &target, None).await?;
    let text = |field: &str| read[field].as_str().unwrap_or_default().to_owned();
    story.learns(&format!(
        "“{}”, state {}",
        text("name"),
        text("overall_state")
    ))?;

    story
        .step("One time-out in 5 minutes is too eager: raising the threshold to 5")
        .await?;
    let wanted = json!({
        "query": text("query").replace("> 1", "> 5"),
        "options": {"thresholds": {"critical": 5}},
    });
    let changed = desk.call("PUT", &target, Some(wanted)).await?;
    if changed["options"]["thresholds"]["critical"] != 5 {
        return Err(AgentError::Content {
            call: format!("PUT {target}"),
            missing: "the new threshold",
        });
    }
    story.learns("updated")?;
    Ok(id)
}

async fn draw_dashboard<W: Write>(
    desk: &mut Desk,
    story: &mut Story<'_, W>,
) -> Result<(), AgentError> {
    story.step("Is there a dashboard about inventory?").await?;
    let answer = desk.call("GET", "/api/v1/dashboard", None).await?;
    let titles: Vec<&str> = answer["dashboards"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|dashboard| dashboard["title"].as_str())
        .collect();
    story.learns(&format!("no, only: {}", titles.join("; ")))?;

    story.step("Making one").await?;
    let graph = |title: &str, query: &str| {
        json!({"definition": {"type": "timeseries", "title": title, "requests": [
            {"q": query, "display_type": "line"},
        ]}})
    };
    let latency = graph(
        "Latency",
        "p95:trace.http.request{service:checkout,env:prod}",
    );
    let errors = graph(
        "Errors",
        "sum:trace.http.request.errors{service:checkout,env:prod}.as_count()",
    );
    let mut wanted = json!({
        "title": "Checkout and inventory",
        "description": "Made while looking into time-outs of inventory.",
        "layout_type": "ordered",
        "widgets": [latency],
    });
    let made = desk
        .call("POST", "/api/v1/dashboard", Some(wanted.clone()))
        .await?;
    let id = made["id"].as_str().ok_or(AgentError::Content {
        call: "POST /api/v1/dashboard".to_owned(),
        missing: "an id",
    })?;
    story.learns(&format!("created dashboard {id}"))?;

    story.step("Adding the errors to it").await?;
    wanted["widgets"] = json!([latency, errors]);
    let target = format!("/api/v1/dashboard/{id}");
    let changed = desk.call("PUT", &target, Some(wanted)).await?;
    let widgets = changed["widgets"].as_array().map_or(0, Vec::len);
    story.learns(&format!("{widgets} graphs"))
}

/// The same through HTTPS_PROXY, CONNECT and TLS, as most client libraries work.
async fn report_through_proxy<W: Write>(
    environment: &Environment,
    story: &mut Story<'_, W>,
) -> Result<(), AgentError> {
    story
        .step("Posting what I found to the event stream (https, through HTTPS_PROXY)")
        .await?;
    let mut api = Desk::through_proxy(environment, "api").await?;
    let event = json!({
        "title": "Checkout: latency is caused by inventory",
        "text": "p95 follows the time-outs of inventory; dashboard made.",
        "tags": ["service:checkout", "made-by:agent"],
    });
    let wanted = StatusCode::ACCEPTED;
    let posted = api
        .expect(wanted, "POST", "/api/v1/events", Some(event))
        .await?;
    let id = posted["event"]["id"].as_u64().unwrap_or_default();
    story.learns(&format!("event {id}"))?;

    story
        .step("Sending my own log (gzip, to the log intake)")
        .await?;
    let mut intake = Desk::through_proxy(environment, "http-intake.logs").await?;
    let log = json!([{
        "message": "investigated checkout latency: inventory times out",
        "service": "coding-agent", "status": "info", "ddtags": "made-by:agent",
    }]);
    intake.send_log("/api/v2/logs", &log).await?;
    story.learns("accepted")
}

async fn try_another_key<W: Write>(
    desk: &mut Desk,
    story: &mut Story<'_, W>,
) -> Result<(), AgentError> {
    story
        .step("There is another pair of keys in an old .env file: trying it")
        .await?;
    let own = Keys::random().map_err(AgentError::Random)?;
    let refused = desk.with_keys(&own, "GET", "/api/v1/monitor").await?;
    // The first clause says what is wrong; the rest says what to do instead.
    let why = refused["errors"][0]
        .as_str()
        .and_then(|why| why.split(';').next());
    story.learns(&format!("refused: {}", why.unwrap_or("no reason given")))
}

/// What the agent says, as it happens.
struct Story<'a, W: Write> {
    out: &'a mut W,
}

impl<W: Write> Story<'_, W> {
    async fn step(&mut self, text: &str) -> Result<(), AgentError> {
        tokio::time::sleep(PAUSE).await;
        self.says(text)
    }

    fn says(&mut self, text: &str) -> Result<(), AgentError> {
        self.line("●", text)
    }

    fn learns(&mut self, text: &str) -> Result<(), AgentError> {
        self.line("  └", text)
    }

    fn line(&mut self, mark: &str, text: &str) -> Result<(), AgentError> {
        // Whoever answers may have put control characters in: they must not reach a terminal.
        let text: String = text.chars().filter(|c| !c.is_control()).collect();
        writeln!(self.out, "{mark} {text}")
            .and_then(|()| self.out.flush())
            .map_err(AgentError::Output)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::datadog::{self, FakeDatadog};
    use std::collections::HashMap;
    use std::net::SocketAddr;
    use std::sync::Arc;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    /// Answers CONNECT, ends TLS with a certificate of a CA made for the test, and passes the bytes
    /// on. The CA goes to `ca_file`.
    async fn proxy(upstream: SocketAddr, ca_file: &std::path::Path) -> SocketAddr {
        let mut parameters = rcgen::CertificateParams::new(Vec::<String>::new()).unwrap();
        parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let ca_key = rcgen::KeyPair::generate().unwrap();
        let ca = parameters.self_signed(&ca_key).unwrap();
        std::fs::write(ca_file, ca.pem()).unwrap();
        let issuer = rcgen::Issuer::new(parameters, ca_key);
        let key = rcgen::KeyPair::generate().unwrap();
        let names = ["api.example.test", "http-intake.logs.example.test"].map(str::to_owned);
        let leaf = rcgen::CertificateParams::new(names)
            .unwrap()
            .signed_by(&key, &issuer)
            .unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![leaf.der().clone()],
                rustls::pki_types::PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
            )
            .unwrap();
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut socket, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    let mut head = Vec::new();
                    while !head.ends_with(b"\r\n\r\n") {
                        head.push(socket.read_u8().await.unwrap());
                    }
                    assert!(head.starts_with(b"CONNECT "));
                    socket
                        .write_all(b"HTTP/1.1 200 Connected\r\n\r\n")
                        .await
                        .unwrap();
                    let mut inside = acceptor.accept(socket).await.unwrap();
                    let mut outside = TcpStream::connect(upstream).await.unwrap();
                    let _ = tokio::io::copy_bidirectional(&mut inside, &mut outside).await;
                });
            }
        });
        address
    }

    struct Stage {
        datadog: FakeDatadog,
        variables: HashMap<&'static str, String>,
        directory: tempfile::TempDir,
    }

    async fn stage() -> Stage {
        let keys = Keys::random().unwrap();
        let datadog = datadog::start(keys.clone()).await.unwrap();
        let directory = tempfile::tempdir().unwrap();
        let ca_file = directory.path().join("ca.pem");
        let proxy = proxy(datadog.address(), &ca_file).await;
        let variables = HashMap::from([
            ("DD_HOST", datadog.url()),
            ("DD_SITE", "example.test".to_owned()),
            ("DD_API_KEY", keys.api.expose().clone()),
            ("DD_APP_KEY", keys.application.expose().clone()),
            ("HTTPS_PROXY", format!("http://{proxy}")),
            ("SSL_CERT_FILE", ca_file.to_str().unwrap().to_owned()),
        ]);
        Stage {
            datadog,
            variables,
            directory,
        }
    }

    impl Stage {
        async fn play(&self) -> (Result<(), AgentError>, String) {
            let environment = Environment::read(|name| self.variables.get(name).cloned()).unwrap();
            let mut out = Vec::new();
            let ended = work(&environment, &mut out).await;
            (ended, String::from_utf8(out).unwrap())
        }
    }

    #[tokio::test]
    async fn does_its_work_and_tells_it() {
        let stage = stage().await;
        let begun = std::time::Instant::now();
        let (ended, story) = stage.play().await;
        ended.unwrap();
        assert!(begun.elapsed() < Duration::from_secs(3));
        for told in [
            "2 alerting",
            "created monitor",
            "refused: Forbidden",
            "Done",
        ] {
            assert!(story.contains(told), "{told}: {story}");
        }
        let seen = stage.datadog.seen();
        assert_eq!(seen.len(), 13);
        let refused: Vec<_> = seen.iter().filter(|seen| seen.status == 403).collect();
        assert_eq!(refused.len(), 1);
        assert!(!refused[0].real_api_key);
        let hosts: Vec<_> = seen
            .iter()
            .filter(|seen| seen.host.ends_with("example.test"))
            .map(|seen| (seen.host.as_str(), seen.real_application_key))
            .collect();
        assert_eq!(
            hosts,
            [
                ("api.example.test", true),
                ("http-intake.logs.example.test", false)
            ]
        );
    }

    #[tokio::test]
    async fn fails_with_a_sentence_when_it_is_refused() {
        let mut stage = stage().await;
        stage.variables.insert("DD_API_KEY", "wrong".to_owned());
        let (ended, _) = stage.play().await;
        let said = ended.unwrap_err().to_string();
        assert!(
            said.starts_with("GET /api/v1/monitor was answered with 403"),
            "{said}"
        );
    }

    #[tokio::test]
    async fn fails_when_the_certificate_is_not_trusted() {
        let mut stage = stage().await;
        let other = stage.directory.path().join("other.pem");
        proxy(stage.datadog.address(), &other).await;
        let other = other.to_str().unwrap().to_owned();
        stage.variables.insert("SSL_CERT_FILE", other);
        let (ended, _) = stage.play().await;
        assert!(
            matches!(
                ended,
                Err(AgentError::Call {
                    source: ClientError::Tls { .. },
                    ..
                })
            ),
            "{ended:?}"
        );
    }

    #[test]
    fn names_the_variable_that_is_missing_or_wrong() {
        let missing = Environment::read(|_| None).unwrap_err();
        assert!(matches!(missing, AgentError::Missing("DD_HOST")));
        let wrong = Environment::read(|_| Some("https://127.0.0.1:1".to_owned())).unwrap_err();
        assert!(matches!(wrong, AgentError::Address("DD_HOST")));
    }
}
