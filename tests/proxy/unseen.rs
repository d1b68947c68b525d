//! Tunnels that lead to Datadog and do not say so in a way the gate can see: where the gate is the
//! only way, they end there, on record.

use super::gate::*;
use super::upstream::Upstream;
use super::ways::{client_hello, echo};
use super::wire::*;
use ddgate::proxy::Egress;
use ddgate::record::{EgressRule, HostRule};

const HOST: &str = "api.datadoghq.com";

async fn gate(upstream: &Upstream, egress: Egress) -> Gate {
    Gate::with(Setup {
        upstream: Some(format!("http://127.0.0.1:{}", upstream.port)),
        egress,
        ..Setup::default()
    })
    .await
}

/// Loopback addresses are allowed, so that what is refused is refused for what it is.
fn held(rule: EgressRule) -> Egress {
    Egress {
        rule,
        hosts: ["127.0.0.1", "localhost"]
            .map(|host| HostRule::parse(host).unwrap())
            .into(),
        confined: rule == EgressRule::Any,
    }
}

/// What comes back through a tunnel in which this is sent.
async fn through(gate: &Gate, authority: &str, bytes: &[u8]) -> Vec<u8> {
    let (status, mut child) = gate.tunnel(authority).await;
    assert_eq!(status, 200, "{authority}");
    child.send(bytes).await;
    child.some().await.unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_leads_to_datadog_unseen_is_refused_where_the_gate_is_the_only_way() {
    let upstream = Upstream::answering(|_| answer(200, "", "well")).await;
    // To an address a client names nobody.
    let nameless = client_hello("127.0.0.1");
    let covered = client_hello("cover.example");
    let plain = format!("GET /api/v1/monitor HTTP/1.1\r\nhost: {HOST}\r\n\r\n").into_bytes();
    for rule in [EgressRule::Any, EgressRule::Listed] {
        let before = upstream.requests().len();
        let gate = gate(&upstream, held(rule)).await;
        let (there, other) = (upstream.port, echo(b"").await);
        for (authority, sent) in [
            (format!("127.0.0.1:{there}"), &nameless),
            (format!("127.0.0.1:{there}"), &covered),
            (format!("127.0.0.1:{there}"), &plain),
            (format!("localhost:{there}"), &nameless),
            (format!("localhost:{there}"), &covered),
        ] {
            let came = through(&gate, &authority, sent).await;
            assert_eq!(came, b"", "{authority}");
        }
        // Somebody else's server is nobody's business, whatever is said there.
        for sent in [&nameless, &covered, &plain] {
            let (_, mut child) = gate.tunnel(&format!("127.0.0.1:{other}")).await;
            child.send(sent).await;
            assert_eq!(child.exactly(sent.len()).await.unwrap(), **sent);
        }
        // Whoever asks for Datadog by name gets it, at whatever address.
        let (_, child) = gate.tunnel(&format!("127.0.0.1:{there}")).await;
        let stream = gate.tls_over(child.stream, HOST, &[]).await.unwrap();
        let request = format!("GET /api/v1/monitor HTTP/1.1\r\nhost: {HOST}\r\n{KEYS}\r\n");
        assert_eq!(Wire::new(stream).ask(request).await.status(), 200);
        assert_eq!(upstream.requests().len(), before + 1, "nothing else came");
        assert_eq!(gate.proxy.whereabouts.refused(), 5);

        let session = gate.finish().await;
        assert_eq!(session.calls().len(), 1);
        let tunnels = session.tunnels();
        assert_eq!(tunnels.len(), 8);
        for tunnel in &tunnels[..5] {
            assert_eq!(tunnel.rule.as_deref(), Some("datadog-unseen"), "{tunnel:?}");
            assert_eq!((tunnel.sent, tunnel.received), (0, 0));
        }
        assert!(tunnels[5..].iter().all(|tunnel| tunnel.rule.is_none()));
    }
}

/// Where it is not, the child could go without the gate: then the gate only says what it saw.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_child_that_is_not_held_is_not_stopped() {
    let upstream = Upstream::answering(|_| answer(200, "", "well")).await;
    let gate = gate(&upstream, Egress::default()).await;
    let plain = format!("GET /api/v1/monitor HTTP/1.1\r\nhost: {HOST}\r\n\r\n");
    let authority = format!("127.0.0.1:{}", upstream.port);
    let came = through(&gate, &authority, plain.as_bytes()).await;
    assert!(came.ends_with(b"well"), "{came:?}");
    let session = gate.finish().await;
    assert_eq!(session.tunnels()[0].rule, None);
}
