//! The agent's view of the world: its environment, and connections to Datadog made from it.

use std::io::Write as _;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::Value;

use super::AgentError;
use crate::demo::client::{self, Answered, Connection};
use crate::demo::datadog::Keys;
use crate::record::Secret;

/// What the agent takes from its environment, as any Datadog client would.
#[derive(Debug)]
pub struct Environment {
    /// Host and port of `DD_HOST`.
    host: String,
    /// `DD_API_KEY` and `DD_APP_KEY`.
    keys: Keys,
    /// `DD_SITE`, or Datadog's first site.
    site: String,
    /// Host and port of `HTTPS_PROXY`.
    proxy: String,
    /// `SSL_CERT_FILE`.
    certificates: String,
}

impl Environment {
    /// Reads the environment through `variable`, usually `std::env::var(name).ok()`.
    ///
    /// # Errors
    /// Names the first variable that is missing or unusable.
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Self, AgentError> {
        let need = |name| variable(name).ok_or(AgentError::Missing(name));
        let address = |name| authority(&need(name)?).ok_or(AgentError::Address(name));
        Ok(Self {
            host: address("DD_HOST")?,
            keys: Keys {
                api: Secret::new(need("DD_API_KEY")?),
                application: Secret::new(need("DD_APP_KEY")?),
            },
            site: variable("DD_SITE").unwrap_or_else(|| "datadoghq.com".to_owned()),
            proxy: address("HTTPS_PROXY")?,
            certificates: need("SSL_CERT_FILE")?,
        })
    }
}

/// Returns `host:port` of an http address.
fn authority(address: &str) -> Option<String> {
    let url = url::Url::parse(address).ok()?;
    if url.scheme() != "http" {
        return None;
    }
    Some(format!(
        "{}:{}",
        url.host_str()?,
        url.port_or_known_default()?
    ))
}

/// One connection to Datadog, with the agent's keys.
pub(super) struct Desk {
    connection: Connection,
    keys: Keys,
}

impl Desk {
    /// Connects to what `DD_HOST` names.
    pub(super) async fn open(environment: &Environment) -> Result<Self, AgentError> {
        let connection = Connection::plain(&environment.host)
            .await
            .map_err(|source| AgentError::Call {
                call: format!("connecting to {}", environment.host),
                source,
            })?;
        Ok(Self {
            connection,
            keys: environment.keys.clone(),
        })
    }

    /// Connects to `name` at the site over https, through `HTTPS_PROXY`.
    pub(super) async fn through_proxy(
        environment: &Environment,
        name: &str,
    ) -> Result<Self, AgentError> {
        let tls = trust(&environment.certificates).map_err(|source| AgentError::Certificates {
            path: environment.certificates.clone(),
            source,
        })?;
        let host = format!("{name}.{}", environment.site);
        let connection = Connection::tunnelled(&environment.proxy, &host, Arc::new(tls))
            .await
            .map_err(|source| AgentError::Call {
                call: format!("connecting to {host} through {}", environment.proxy),
                source,
            })?;
        Ok(Self {
            connection,
            keys: environment.keys.clone(),
        })
    }

    /// Makes a call that must be answered with 200.
    pub(super) async fn call(
        &mut self,
        method: &str,
        target: &str,
        body: Option<Value>,
    ) -> Result<Value, AgentError> {
        self.expect(StatusCode::OK, method, target, body).await
    }

    /// Makes a call that must be answered with `wanted`.
    pub(super) async fn expect(
        &mut self,
        wanted: StatusCode,
        method: &str,
        target: &str,
        body: Option<Value>,
    ) -> Result<Value, AgentError> {
        let headers = headers(&self.keys);
        let body = body.map_or_else(Bytes::new, |body| Bytes::from(body.to_string()));
        self.send(wanted, method, target, headers, body).await
    }

    /// Makes a call with other keys than its own, which must be refused.
    pub(super) async fn with_keys(
        &mut self,
        keys: &Keys,
        method: &str,
        target: &str,
    ) -> Result<Value, AgentError> {
        let headers = headers(keys);
        self.send(StatusCode::FORBIDDEN, method, target, headers, Bytes::new())
            .await
    }

    /// Sends logs as the intake likes them: compressed, and with the API key alone.
    pub(super) async fn send_log(&mut self, target: &str, logs: &Value) -> Result<(), AgentError> {
        let mut headers = headers(&self.keys);
        headers.remove("dd-application-key");
        headers.extend(client::headers(&[("content-encoding", "gzip")]));
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        gzip.write_all(logs.to_string().as_bytes())
            .map_err(AgentError::Output)?;
        let packed = gzip.finish().map_err(AgentError::Output)?;
        self.send(
            StatusCode::ACCEPTED,
            "POST",
            target,
            headers,
            Bytes::from(packed),
        )
        .await
        .map(drop)
    }

    async fn send(
        &mut self,
        wanted: StatusCode,
        method: &str,
        target: &str,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<Value, AgentError> {
        let path = target.split('?').next().unwrap_or(target);
        let call = format!("{method} {path}");
        let verb = match method {
            "POST" => Method::POST,
            "PUT" => Method::PUT,
            "DELETE" => Method::DELETE,
            _ => Method::GET,
        };
        let answered = self.connection.call(verb, target, headers, body).await;
        let Answered { status, body } = match answered {
            Ok(answered) => answered,
            Err(source) => return Err(AgentError::Call { call, source }),
        };
        if status != wanted {
            let said = String::from_utf8_lossy(&body).chars().take(300).collect();
            return Err(AgentError::Answer {
                call,
                status,
                wanted,
                said,
            });
        }
        serde_json::from_slice(&body).map_err(|_| AgentError::Content {
            call,
            missing: "JSON",
        })
    }
}

fn headers(keys: &Keys) -> HeaderMap {
    client::headers(&[
        ("dd-api-key", keys.api.expose()),
        ("dd-application-key", keys.application.expose()),
        ("content-type", "application/json"),
        ("accept", "application/json"),
        (
            "user-agent",
            concat!("ddgate-demo-agent/", env!("CARGO_PKG_VERSION")),
        ),
    ])
}

fn trust(file: &str) -> Result<rustls::ClientConfig, Box<dyn std::error::Error + Send + Sync>> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(file)? {
        // A bundle may hold roots that rustls does not understand; the others still count.
        let _ = roots.add(certificate?);
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    Ok(rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth())
}
