//! reqwest by itself, with HTTP/2; see ../README.md. It finds the gate by `HTTPS_PROXY` and trusts it
//! by `SSL_CERT_FILE`.

mod report;

use std::error::Error;
use std::io::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

use flate2::Compression;
use flate2::write::GzEncoder;
use report::report;
use reqwest::{Client, Method};
use serde_json::{Value, json};

type Made = Result<Value, Box<dyn Error>>;

struct Datadog {
    client: Client,
    api: String,
    intake: String,
}

impl Datadog {
    async fn call(&self, method: Method, url: &str, sent: Vec<u8>, packed: Option<&[u8]>) -> Made {
        let mut request = self
            .client
            .request(method.clone(), url)
            .header("DD-API-KEY", std::env::var("DD_API_KEY")?)
            .header("User-Agent", "reqwest")
            .header("Content-Type", "application/json");
        request = match packed {
            Some(_) => request.header("Content-Encoding", "gzip"),
            None => request.header("DD-APPLICATION-KEY", std::env::var("DD_APP_KEY")?),
        };
        let answer = request.body(sent.clone()).send().await?;
        let (status, path) = (answer.status().as_u16(), answer.url().path().to_owned());
        let got = answer.bytes().await?;
        report(method.as_str(), &path, status, &sent, &got, packed);
        Ok(serde_json::from_slice(&got).unwrap_or_default())
    }

    async fn ask(&self, method: Method, path: &str) -> Made {
        self.call(method, &format!("{}{path}", self.api), Vec::new(), None)
            .await
    }

    async fn tell(&self, method: Method, path: &str, value: &Value) -> Made {
        let sent = serde_json::to_vec(value)?;
        self.call(method, &format!("{}{path}", self.api), sent, None)
            .await
    }

    async fn submit(&self, logs: &Value) -> Made {
        let plain = serde_json::to_vec(logs)?;
        let mut packer = GzEncoder::new(Vec::new(), Compression::default());
        packer.write_all(&plain)?;
        let url = format!("{}/api/v2/logs", self.intake);
        self.call(Method::POST, &url, packer.finish()?, Some(&plain))
            .await
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    // reqwest looks for the provider that its program chose.
    let chosen = rustls::crypto::ring::default_provider().install_default();
    assert!(chosen.is_ok(), "there is no other");
    let site = std::env::var("DD_SITE")?;
    let datadog = Datadog {
        client: Client::new(),
        api: format!("https://api.{site}"),
        intake: format!("https://http-intake.logs.{site}"),
    };

    let monitors = "/api/v1/monitor";
    let query = "avg(last_5m):avg:system.load.1{*} > 4";
    let monitor = json!({"name": "interop rust", "type": "query alert", "query": query});
    datadog.ask(Method::GET, monitors).await?;
    let made = datadog.tell(Method::POST, monitors, &monitor).await?;
    let monitor = format!("{monitors}/{}", made["id"]);
    datadog.ask(Method::GET, &monitor).await?;
    let change = json!({"name": "ünïcode ✓"});
    datadog.tell(Method::PUT, &monitor, &change).await?;
    datadog.ask(Method::DELETE, &monitor).await?;

    let dashboards = "/api/v1/dashboard";
    let board = json!({"title": "interop rust", "layout_type": "ordered", "widgets": []});
    datadog.ask(Method::GET, dashboards).await?;
    let made = datadog.tell(Method::POST, dashboards, &board).await?;
    let dashboard = format!("{dashboards}/{}", made["id"].as_str().unwrap_or_default());
    datadog.ask(Method::GET, &dashboard).await?;
    datadog.tell(Method::PUT, &dashboard, &board).await?;
    datadog.ask(Method::DELETE, &dashboard).await?;

    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let query = format!(
        "/api/v1/query?from={}&to={now}&query=avg:system.load.1%7B*%7D",
        now - 3600
    );
    datadog.ask(Method::GET, &query).await?;
    let log = |n| json!({"message": format!("interop rust {n}"), "service": "interop"});
    datadog.submit(&(0..500).map(log).collect()).await?;
    Ok(())
}
