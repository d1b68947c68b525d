//! A gate in this process, put together as `gate.rs` of the library does it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ddgate::auth::standing::Standing;
use ddgate::datadog::Site;
use ddgate::journal::catalog::{Manifest, SessionDir};
use ddgate::journal::{Journal, commit};
use ddgate::net::Dialer;
use ddgate::policy::Policy;
use ddgate::proxy::{self, ClientLimits, Egress, Keys, Proxy, SessionCa, Slot, TlsSource};
use ddgate::record::event::{DatadogSide, Durability, SessionClose, SessionOpen, Tool};
use ddgate::record::{Recording, Secret, SessionId};
use ddgate::redact::{self, KnownSecrets, PseudonymKey, Replacer};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::session::Session;
use super::upstream::Upstream;
use super::wire::Wire;

/// The real keys. The bearer has characters that every encoding spells differently, and another
/// length than its placeholder.
pub(crate) const API: &str = "0a1b2c3d4e5f60718293a4b5c6d7e8f9";
pub(crate) const APP: &str = "f00dfeedfacecafe0123456789abcdef01234567";
pub(crate) const BEARER: &str = "tok/+~=ed?w&rd-of-the-bearer-0123456789-and-longer";
/// A real key that stands in a file of the child's.
pub(crate) const FOUND: &str = "5a5b5c5d5e5f50515253545556575859";
/// What the child holds.
pub(crate) const API_PLACEHOLDER: &str = "99887766554433221100aabbccddeeff";
pub(crate) const APP_PLACEHOLDER: &str = "a122334455667788990011223344556677889900";
pub(crate) const BEARER_PLACEHOLDER: &str = "abcdefabcdefabcdefabcdefabcdefabcdefabcd";
const SECRETS: [&str; 6] = [
    API,
    APP,
    BEARER,
    API_PLACEHOLDER,
    APP_PLACEHOLDER,
    BEARER_PLACEHOLDER,
];

/// The headers of a child that has both keys.
pub(crate) const KEYS: &str = "dd-api-key: 99887766554433221100aabbccddeeff\r\n\
     dd-application-key: a122334455667788990011223344556677889900\r\n";

/// What a test may want different.
#[derive(Default)]
pub(crate) struct Setup {
    /// Where every Datadog host is to be found; nowhere means a port nobody listens on.
    pub(crate) upstream: Option<String>,
    /// How upstream certificates are checked.
    pub(crate) tls: Option<Arc<ClientConfig>>,
    /// Where sessions are kept, if not in a fresh directory.
    pub(crate) sessions: Option<PathBuf>,
    /// Whether the gate also holds a bearer token.
    pub(crate) bearer: bool,
    /// How much is recorded.
    pub(crate) recording: Recording,
    /// What the session may do.
    pub(crate) policy: Policy,
    /// Whether somebody still vouches for who calls.
    pub(crate) standing: Arc<Standing>,
    /// Whom the child reaches beside Datadog.
    pub(crate) egress: Egress,
    /// What a child may take of the gate.
    pub(crate) client_limits: ClientLimits,
}

/// A running gate.
pub(crate) struct Gate {
    pub(crate) proxy: Arc<Proxy>,
    pub(crate) ca: Arc<SessionCa>,
    pub(crate) dir: SessionDir,
    pub(crate) port: u16,
    temporary: tempfile::TempDir,
}

impl Gate {
    /// A gate to this upstream.
    pub(crate) async fn to(upstream: &Upstream) -> Self {
        Self::with(Setup {
            upstream: Some(format!("http://127.0.0.1:{}", upstream.port)),
            ..Setup::default()
        })
        .await
    }

    pub(crate) async fn with(setup: Setup) -> Self {
        let temporary = tempfile::tempdir().unwrap();
        let sessions = setup.sessions.unwrap_or_else(|| temporary.path().into());
        let keys = keys(setup.bearer);
        let known = known_secrets(&keys);
        let pairs: Vec<_> = keys
            .reals()
            .flat_map(|(_, real, placeholder)| redact::swaps(real, placeholder.expose()))
            .collect();
        let mut id = [0; 16];
        getrandom::fill(&mut id).unwrap();
        let id = SessionId::from_bytes(id);
        let dir = SessionDir::new(&sessions, id);
        let journal = Arc::new(open_journal(&dir, id, &known));
        let ca = Arc::new(SessionCa::new(&id.short(), Vec::new()).unwrap());
        let listener = proxy::bind(None).await.unwrap();
        let address = listener.local_addr().unwrap();
        let elsewhere = setup
            .upstream
            .unwrap_or_else(|| "http://127.0.0.1:1".into());
        let tls = setup.tls.unwrap_or_else(|| client_config(&[], &[]));
        let proxy = Arc::new(Proxy {
            unrecorded: std::sync::atomic::AtomicU64::new(0),
            distrust: proxy::Distrust::default(),
            own_tokens: std::sync::atomic::AtomicU64::new(0),
            uploads: Arc::default(),
            tools: proxy::ToolBook::default(),
            journal,
            origins: proxy::Origins::new(&keys, address),
            keys,
            known,
            recording: setup.recording,
            policy: setup.policy,
            standing: setup.standing,
            swap_keeps_length: pairs.iter().all(|(old, new)| old.len() == new.len()),
            swap: Replacer::new(pairs).unwrap(),
            site: Site::default(),
            extra_domains: Vec::new(),
            tls: Arc::new(Arc::clone(&ca).server_config().unwrap()),
            upstream: proxy::Upstream::new(
                Dialer::direct(),
                TlsSource::new(move || Ok(Arc::clone(&tls))),
                Some(elsewhere.parse().unwrap()),
            ),
            dialer: Dialer::direct(),
            egress: setup.egress,
            whereabouts: proxy::Whereabouts::new(
                &Site::default(),
                Some(&elsewhere.parse().unwrap()),
            ),
            address,
            client_limits: setup.client_limits,
            tasks: TaskTracker::new(),
            draining: CancellationToken::new(),
            stopping: CancellationToken::new(),
        });
        proxy
            .tasks
            .spawn(proxy::serve(Arc::clone(&proxy), listener));
        Self {
            proxy,
            ca,
            dir,
            port: address.port(),
            temporary,
        }
    }

    /// A connection of the child.
    pub(crate) async fn child(&self) -> Wire<TcpStream> {
        Wire::new(self.socket().await)
    }

    pub(crate) async fn socket(&self) -> TcpStream {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).await.unwrap();
        stream.set_nodelay(true).unwrap();
        stream
    }

    /// A request to the base URL: start line, `Host`, then what is given.
    pub(crate) fn request(&self, line: &str, headers: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
        let port = self.port;
        let mut bytes =
            format!("{line} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\n{headers}\r\n").into_bytes();
        bytes.extend_from_slice(body.as_ref());
        bytes
    }

    /// The same with both keys, and a length if there is a body.
    pub(crate) fn keyed(&self, line: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
        let n = body.as_ref().len();
        let length = if n == 0 {
            String::new()
        } else {
            format!("content-type: application/json\r\ncontent-length: {n}\r\n")
        };
        self.request(line, &format!("{KEYS}{length}"), body)
    }

    /// What a child trusts that was given the session's certificate.
    pub(crate) fn trust(&self, alpn: &[&str]) -> Arc<ClientConfig> {
        let certificate = CertificateDer::from_pem_slice(self.ca.pem().as_bytes()).unwrap();
        client_config(&[certificate], alpn)
    }

    /// TLS straight to the gate's port, as for this host.
    pub(crate) async fn tls(&self, host: &str, alpn: &[&str]) -> TlsStream<TcpStream> {
        self.tls_over(self.socket().await, host, alpn)
            .await
            .unwrap()
    }

    /// TLS for this host over a connection already there.
    pub(crate) async fn tls_over(
        &self,
        stream: TcpStream,
        host: &str,
        alpn: &[&str],
    ) -> std::io::Result<TlsStream<TcpStream>> {
        let name = ServerName::try_from(host.to_owned()).unwrap();
        TlsConnector::from(self.trust(alpn))
            .connect(name, stream)
            .await
    }

    /// A tunnel by CONNECT; the answer's status and the connection.
    pub(crate) async fn tunnel(&self, authority: &str) -> (u16, Wire<TcpStream>) {
        let mut child = self.child().await;
        let answer = child
            .ask(format!(
                "CONNECT {authority} HTTP/1.1\r\nhost: {authority}\r\n\r\n"
            ))
            .await;
        (answer.status(), child)
    }

    /// Ends the session the orderly way. Fails when something does not come to rest.
    pub(crate) async fn finish(self) -> Session {
        self.proxy.draining.cancel();
        self.proxy.tasks.close();
        tokio::time::timeout(Duration::from_secs(4), self.proxy.tasks.wait())
            .await
            .expect("everything under way comes to its end");
        self.close()
    }

    /// Closes the record as it is, reads it back, and searches it for secrets.
    pub(crate) fn close(self) -> Session {
        let manifest = self.close_journal();
        assert_eq!(manifest.trouble, None);
        let mut session = Session::open(&self.dir);
        assert_eq!(session.trouble(), Vec::<String>::new());
        session.assert_free_of(self.dir.path(), &SECRETS);
        session.kept_in = Some(self.temporary);
        session
    }

    pub(crate) fn close_journal(&self) -> Manifest {
        self.proxy
            .journal
            .close(SessionClose {
                calls: 0,
                reason: "exit".into(),
                exit: Some(0),
            })
            .unwrap()
    }

    /// The session as it is on disk at this moment.
    pub(crate) fn session_now(&self) -> Session {
        Session::open(&self.dir)
    }

    /// Waits until the record of the running session is as wanted.
    pub(crate) async fn until(&self, wanted: impl Fn(&Session) -> bool) -> Session {
        for _ in 0..200 {
            let session = self.session_now();
            if wanted(&session) {
                return session;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("the record never got there");
    }
}

fn keys(bearer: bool) -> Keys {
    let slot = |placeholder: &str, real: Option<&str>| Slot {
        placeholder: Secret::new(placeholder.to_owned()),
        real: real.map(|real| Secret::new(real.to_owned())),
    };
    Keys {
        api: slot(API_PLACEHOLDER, Some(API)),
        app: slot(APP_PLACEHOLDER, Some(APP)),
        bearer: slot(BEARER_PLACEHOLDER, bearer.then_some(BEARER)),
        elsewhere: vec![(Secret::new(FOUND.to_owned()), ".env".to_owned())],
    }
}

fn open_journal(dir: &SessionDir, session: SessionId, known: &KnownSecrets) -> Journal {
    let who = commit("who", known.bytes(b"{}"));
    let cmd = commit("cmd", known.bytes(b"[]"));
    let host = commit("host", known.bytes(b"{}"));
    let open = SessionOpen {
        session,
        origin: format!("test/ddgate/{session}"),
        who: who.commitment(),
        cmd: cmd.commitment(),
        host: host.commitment(),
        tool: Tool {
            version: "0".into(),
        },
        dd: DatadogSide {
            site: "datadoghq.com".into(),
            credential: "test".into(),
            credential_name: None,
        },
        durability: Durability::default(),
        policy: None,
        enforce: None,
        egress: ddgate::record::EgressRule::Any,
        binding: None,
        bind: None,
        vkey: None,
        chain: None,
    };
    Journal::create(dir, open, vec![who, cmd, host]).unwrap()
}

/// The key of pseudonyms of every gate under test.
pub(crate) fn redaction_key() -> PseudonymKey {
    PseudonymKey::derived(&Secret::new("the key of the tests".to_owned()))
}

fn known_secrets(keys: &Keys) -> KnownSecrets {
    let reals = keys
        .reals()
        .map(|(name, real, _)| (name.to_owned(), real.clone()));
    let placeholders = keys
        .named()
        .map(|(name, slot)| (format!("{name}-placeholder"), slot.placeholder.clone()));
    KnownSecrets::keyed(redaction_key(), reals.chain(placeholders)).unwrap()
}

/// Trusts these roots and nothing else.
pub(crate) fn client_config(roots: &[CertificateDer<'_>], alpn: &[&str]) -> Arc<ClientConfig> {
    let mut store = RootCertStore::empty();
    for root in roots {
        store.add(root.clone().into_owned()).unwrap();
    }
    let mut config = ddgate::net::tls::client_config_trusting(Arc::new(store)).unwrap();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    Arc::new(config)
}
