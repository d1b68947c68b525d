//! The agent against the small Datadog, with a stand-in for the gate's proxy.

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
        directory: directory,
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
