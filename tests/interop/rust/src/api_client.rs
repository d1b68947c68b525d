//! Datadog's own generated client; see ../README.md. It finds the gate by `HTTPS_PROXY` and trusts it
//! by `SSL_CERT_FILE`, as OpenSSL does.
//!
//! What it sends is looked at by a middleware, which the client has a place for.

mod report;

use std::error::Error;
use std::io::Read as _;
use std::time::{SystemTime, UNIX_EPOCH};

use datadog_api_client::datadog::Configuration;
use datadog_api_client::datadogV1::api_dashboards::{DashboardsAPI, ListDashboardsOptionalParams};
use datadog_api_client::datadogV1::api_metrics::MetricsAPI;
use datadog_api_client::datadogV1::api_monitors::{
    DeleteMonitorOptionalParams, GetMonitorOptionalParams, ListMonitorsOptionalParams, MonitorsAPI,
};
use datadog_api_client::datadogV1::model::{
    Dashboard, DashboardLayoutType, Monitor, MonitorType, MonitorUpdateRequest,
};
use datadog_api_client::datadogV2::api_logs::{LogsAPI, SubmitLogOptionalParams};
use datadog_api_client::datadogV2::model::{ContentEncoding, HTTPLogItem};
use http::Extensions;
use report::report;
use reqwest::{Client, Request, Response};
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware, Middleware, Next};

struct Watch;

#[async_trait::async_trait]
impl Middleware for Watch {
    async fn handle(
        &self,
        request: Request,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> reqwest_middleware::Result<Response> {
        let (method, path) = (request.method().clone(), request.url().path().to_owned());
        let body = request.body().and_then(|body| body.as_bytes());
        let sent = body.unwrap_or_default().to_vec();
        let packed = request
            .headers()
            .get("content-encoding")
            .is_some_and(|coding| coding == "gzip");
        let answer = next.run(request, extensions).await?;
        let status = answer.status();
        let got = answer.bytes().await?;
        let unpacked = packed.then(|| {
            let mut plain = Vec::new();
            let mut unpacker = flate2::read::GzDecoder::new(&sent[..]);
            unpacker.read_to_end(&mut plain).expect("it packed that");
            plain
        });
        report(
            method.as_str(),
            &path,
            status.as_u16(),
            &sent,
            &got,
            unpacked.as_deref(),
        );
        let mut same = http::Response::new(got);
        *same.status_mut() = status;
        Ok(same.into())
    }
}

fn watched() -> ClientWithMiddleware {
    ClientBuilder::new(Client::builder().build().expect("as the client does"))
        .with(Watch)
        .build()
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let monitors = MonitorsAPI::with_client_and_config(Configuration::new(), watched());
    let dashboards = DashboardsAPI::with_client_and_config(Configuration::new(), watched());
    let metrics = MetricsAPI::with_client_and_config(Configuration::new(), watched());
    let logs = LogsAPI::with_client_and_config(Configuration::new(), watched());

    monitors
        .list_monitors(ListMonitorsOptionalParams::default())
        .await?;
    let query = "avg(last_5m):avg:system.load.1{*} > 4".to_owned();
    let monitor = Monitor::new(query, MonitorType::QUERY_ALERT).name("interop rust api".to_owned());
    let made = monitors.create_monitor(monitor).await?;
    let id = made.id.ok_or("no id")?;
    monitors
        .get_monitor(id, GetMonitorOptionalParams::default())
        .await?;
    let change = MonitorUpdateRequest::new().name("ünïcode ✓".to_owned());
    let changed = monitors.update_monitor(id, change).await?;
    assert_eq!(changed.name.as_deref(), Some("ünïcode ✓"));
    monitors
        .delete_monitor(id, DeleteMonitorOptionalParams::default())
        .await?;

    let title = "interop rust api".to_owned();
    let board = Dashboard::new(DashboardLayoutType::ORDERED, title, Vec::new());
    dashboards
        .list_dashboards(ListDashboardsOptionalParams::default())
        .await?;
    let made = dashboards.create_dashboard(board.clone()).await?;
    let id = made.id.ok_or("no id")?;
    dashboards.get_dashboard(id.clone()).await?;
    dashboards.update_dashboard(id.clone(), board).await?;
    dashboards.delete_dashboard(id).await?;

    let now = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs())?;
    let query = "avg:system.load.1{*}".to_owned();
    metrics.query_metrics(now - 3600, now, query).await?;
    let items = (0..500)
        .map(|n| HTTPLogItem::new(format!("interop rust api {n}")).service("interop".to_owned()))
        .collect();
    let packed = SubmitLogOptionalParams::default().content_encoding(ContentEncoding::GZIP);
    logs.submit_log(items, packed).await?;
    Ok(())
}
