//! One session: opens the rooms in order, waits for the child, closes them in reverse.
//!
//! Open: record → certificates → listener → child. Close: no new connections → drain → what is
//! left is in doubt → the closing record → the child's own exit. Asks nobody anything and prints
//! nothing: who signs in and what is shown is the business of `commands`.

mod identity;
mod keys;
mod mcp;

pub use identity::{Keeping, News};

use std::ffi::OsString;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use chrono::Utc;
use http::Uri;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::auth::credential::{Credential, redaction};
use crate::auth::identity::Binding;
use crate::datadog::{Site, base_host, name_constraints};
use crate::journal::catalog::{Manifest, SessionDir};
use crate::journal::{Attachment, Journal, JournalError, Recipients, commit};
use crate::launch::{self, ChildEnd, ChildFiles, FilesError, KeyInFile, LaunchError, Sandbox};
use crate::limits;
use crate::net::{Dialer, NetError};
use crate::policy::Policy;
use crate::proxy::{
    self, CaError, ClientLimits, Distrust, Egress, Origins, Proxy, SessionCa, TlsSource, ToolBook,
    Tried, Upstream, Whereabouts,
};
use crate::record::event::{DatadogSide, Durability, SessionClose, SessionOpen, Tool};
use crate::record::{
    EgressRule, Enforce, Enforcement, Event, HostFacts, HostRule, Identity, Recording, Secret,
    SessionId, enforcement,
};
use crate::redact::KnownSecrets;

/// Everything a session needs, decided before it opens.
#[derive(Debug)]
pub struct Plan {
    /// The command and its arguments.
    pub command: Vec<OsString>,
    /// Whether the command is an MCP server, and its standard input and output carry the protocol:
    /// then tool calls are recorded, too.
    pub is_mcp_server: bool,
    /// The environment ddgate itself was given.
    pub environment: Vec<(OsString, OsString)>,
    /// Who acts.
    pub identity: Identity,
    /// How that is kept while the session runs.
    pub keeping: Keeping,
    /// What ties the session's key to them.
    pub binding: Binding,
    /// What opens Datadog.
    pub credential: Credential,
    /// Values of other credentials in ddgate's own environment: the child gets none of them.
    pub withheld: Vec<(&'static str, Secret<String>)>,
    /// The key of pseudonyms, if one outlives the session.
    pub redaction_key: Option<Secret<String>>,
    /// How much of each call is recorded.
    pub recording: Recording,
    /// What the session may do.
    pub policy: Policy,
    /// The Datadog site of base-URL calls.
    pub site: Site,
    /// Sends every Datadog host to this address.
    pub upstream: Option<Uri>,
    /// The way out.
    pub dialer: Dialer,
    /// Where sessions are kept.
    pub sessions: PathBuf,
    /// A private directory for this session's certificate files. It outlives the session: a
    /// grandchild may still need them.
    pub runtime: PathBuf,
    /// The user's home directory.
    pub home: PathBuf,
    /// The session.
    pub session: SessionId,
    /// Host facts for the record.
    pub host: HostFacts,
    /// What an acknowledged record survives.
    pub durability: Durability,
    /// Who can read what the session holds.
    pub recipients: Recipients,
    /// What the system is to hold the child to.
    pub enforce: Enforce,
    /// TCP ports the child may connect to itself.
    pub allow_ports: Vec<u16>,
    /// Whom the child may reach through the gate beside Datadog.
    pub egress: EgressRule,
    /// Whom it may reach in any case, or alone, as the rule says.
    pub allow_hosts: Vec<HostRule>,
    /// Real keys in files the child can read.
    pub key_files: Vec<KeyInFile>,
}

/// Hears what people should be told once: before the child has the terminal, and, of its identity
/// alone, while it has.
pub trait Opening {
    /// Something that is not as it should be.
    fn warn(&self, text: &str);
    /// What the child is held to.
    fn held(&self, enforcement: &Enforcement);
    /// What became of the identity.
    fn identity(&self, news: &News<'_>);
}

/// How a session went.
#[derive(Debug)]
pub struct Report {
    /// The session.
    pub session: SessionId,
    /// How the child ended.
    pub end: ChildEnd,
    /// What is on record; none when the record's writer died.
    pub manifest: Option<Manifest>,
    /// Calls that were refused because they could not be recorded.
    pub unrecorded: u64,
    /// Datadog hosts, and how often a client did not trust the session's certificate for them.
    pub distrusting: Vec<(String, Tried)>,
    /// Calls that carried a token of the agent's own, to Datadog's MCP server.
    pub own_tokens: u64,
    /// Tunnels to Datadog that were refused because nobody could look into them.
    pub unseen: u64,
}

/// Why a session did not run.
#[derive(Debug, thiserror::Error)]
pub enum GateError {
    /// The record cannot be kept, so nothing may run.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The session's certificates cannot be made.
    #[error(transparent)]
    Ca(#[from] CaError),
    /// The secrets cannot be searched for, so nothing may be recorded.
    #[error("the redactor cannot be built: {0}")]
    Redactor(String),
    /// No loopback port.
    #[error("cannot listen on the loopback")]
    Listen(#[source] io::Error),
    /// The child's files cannot be written.
    #[error("cannot write {path}")]
    Files {
        /// Which one.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The child cannot be started.
    #[error(transparent)]
    Launch(#[from] LaunchError),
    /// TLS cannot be set up.
    #[error(transparent)]
    Net(#[from] NetError),
}

impl From<FilesError> for GateError {
    fn from(FilesError { path, source }: FilesError) -> Self {
        Self::Files { path, source }
    }
}

/// Runs one session from open to close.
///
/// # Errors
/// Something needed could not be had. If the session was already open it is closed on record.
pub async fn run(plan: Plan, opening: &dyn Opening) -> Result<Report, GateError> {
    let opened = Utc::now();
    let keys = keys::fresh_keys(&plan.credential, &plan.key_files);
    let mut strays = keys::stray_keys(&plan.environment, &keys);
    strays.extend(keys::withheld(&plan.withheld, &keys));
    strays.extend(keys::keys_in_files(&plan.key_files, &keys));
    strays.extend(plan.redaction_key.clone().map(|key| (redaction::WORD, key)));
    let known = keys::known_secrets(plan.redaction_key.as_ref(), &keys, &strays)?;
    let extra_domains = extra_domains(&plan.site);
    let ca = Arc::new(SessionCa::new(
        &plan.session.short(),
        extra_domains.clone(),
    )?);
    let listener = proxy::bind(plan.dialer.local_proxy())
        .await
        .map_err(GateError::Listen)?;
    let address = listener.local_addr().map_err(GateError::Listen)?;
    let sandbox = Sandbox::prepare(plan.enforce, address.port(), &plan.allow_ports)
        .map_err(LaunchError::from)?;
    let files = child_files(&plan, ca.pem(), address, &extra_domains, opening)?;
    let dir = SessionDir::new(&plan.sessions, plan.session);
    let journal = Arc::new(open_journal(&plan, &dir, &known, sandbox.enforcement())?);
    opening.held(sandbox.enforcement());

    let (swap, swap_keeps_length) = keys::swap(&keys)?;
    let scrubber = keys::scrubber(&keys, strays);
    let command = keys::scrubbed(&plan.command, &scrubber);
    let inputs = launch::Inputs {
        gate: address,
        site: plan.site.as_str(),
        placeholders: &keys::placeholders(&keys),
        scrubber: &scrubber,
        files: &files,
        intercepted: &extra_domains,
    };
    let environment = launch::env::build(&plan.environment, &inputs);
    // What a program gets back is the gate's own, and nothing its starter may have held back.
    let gates_own = launch::env::build(&[], &inputs);
    files.write_launchers(&plan.environment, &gates_own, &|text: &str| {
        opening.warn(text)
    })?;
    let proxy = Arc::new(Proxy {
        journal: Arc::clone(&journal),
        origins: Origins::new(&keys, address),
        keys,
        known,
        recording: plan.recording.clone(),
        policy: plan.policy.clone(),
        standing: Arc::new(identity::standing(&plan.identity, &plan.keeping, opened)),
        swap,
        swap_keeps_length,
        site: plan.site.clone(),
        extra_domains,
        tls: Arc::new(Arc::clone(&ca).server_config()?),
        upstream: Upstream::new(plan.dialer.clone(), tls_source(), plan.upstream.clone()),
        dialer: plan.dialer.clone(),
        egress: Egress {
            rule: plan.egress,
            hosts: plan.allow_hosts.clone(),
            confined: sandbox.enforcement().holds(enforcement::TCP),
        },
        whereabouts: Whereabouts::new(&plan.site, plan.upstream.as_ref()),
        address,
        client_limits: ClientLimits::default(),
        unrecorded: AtomicU64::new(0),
        distrust: Distrust::default(),
        own_tokens: AtomicU64::new(0),
        uploads: Arc::default(),
        tools: ToolBook::default(),
        tasks: TaskTracker::new(),
        draining: CancellationToken::new(),
        stopping: CancellationToken::new(),
    });
    // Nobody is answered before it is known whose connections are the child's.
    let serve = |pid: u32| {
        proxy.origins.watch(pid);
        let serving = proxy::serve(Arc::clone(&proxy), listener);
        proxy.tasks.spawn(serving);
    };
    let warming = Arc::clone(&proxy);
    proxy.tasks.spawn(async move {
        let host = base_host(&warming.site, &http::Method::GET, "/");
        tokio::select! {
            () = warming.upstream.warm(&host) => {}
            () = warming.draining.cancelled() => {}
        }
    });

    let keeper = identity::Keeper::new(&proxy, &plan.identity, &plan.keeping, opened, opening);
    let attempts = keeper.attempts();
    let child = async {
        match plan.is_mcp_server {
            true => match launch::spawn_piped(&command, &environment, &sandbox) {
                Ok(server) => {
                    serve(server.0.pid());
                    mcp::pass(&proxy, &command, server).await
                }
                Err(e) => Err(e),
            },
            false => match launch::spawn(&command, &environment, &sandbox) {
                Ok(child) => {
                    serve(child.pid());
                    child.wait().await
                }
                Err(e) => Err(e),
            },
        }
    };
    let ended = Box::pin(keeper.beside(child)).await;
    tokio::join!(drain(&proxy), attempts.finish());
    for summed_up in proxy.distrust.rest() {
        // Nothing of them was sent: without this the session still is whole.
        let _ = journal.note(Event::Distrusted(summed_up), Vec::new()).await;
    }
    let manifest = journal.close(closing(&ended));
    Ok(Report {
        session: plan.session,
        end: ended?,
        manifest,
        unrecorded: proxy.unrecorded.load(Ordering::Relaxed),
        distrusting: proxy.distrust.hosts(),
        own_tokens: proxy.own_tokens.load(Ordering::Relaxed),
        unseen: proxy.whereabouts.refused(),
    })
}

/// Writes what the child's environment names.
fn child_files(
    plan: &Plan,
    session_ca: &str,
    gate: SocketAddr,
    extra_domains: &[String],
    opening: &dyn Opening,
) -> Result<ChildFiles, GateError> {
    let files = ChildFiles::below(&plan.runtime);
    let contents = launch::Contents {
        parent: &plan.environment,
        home: &plan.home,
        session_ca,
        gate,
        domains: &name_constraints(extra_domains),
    };
    files.write(&contents, &|text: &str| opening.warn(text))?;
    let directory = std::env::current_dir().unwrap_or_default();
    let (command, environment) = (&plan.command, &plan.environment);
    if let Some(advice) = launch::advice(command, environment, &plan.home, &directory, gate.port())
    {
        opening.warn(&advice);
    }
    Ok(files)
}

/// Lets what is under way finish, for a while.
async fn drain(proxy: &Proxy) {
    proxy.draining.cancel();
    proxy.tasks.close();
    if tokio::time::timeout(limits::DRAIN_TIMEOUT, proxy.tasks.wait())
        .await
        .is_err()
    {
        proxy.stopping.cancel();
        // What hears of it ends at once; what does not is in doubt, and the record says so.
        let _ = tokio::time::timeout(limits::STOP_TIMEOUT, proxy.tasks.wait()).await;
    }
}

fn closing(ended: &Result<ChildEnd, LaunchError>) -> SessionClose {
    let (reason, exit) = match ended {
        Ok(ChildEnd::Exited(code)) => ("exit", Some(*code)),
        Ok(end @ ChildEnd::Signalled(_)) => ("signal", Some(end.exit().code())),
        Err(_) => ("spawn-failed", None),
    };
    SessionClose {
        calls: 0,
        reason: reason.into(),
        exit,
    }
}

fn open_journal(
    plan: &Plan,
    dir: &SessionDir,
    known: &KnownSecrets,
    enforcement: &Enforcement,
) -> Result<Journal, JournalError> {
    let command: Vec<_> = plan.command.iter().map(|a| a.to_string_lossy()).collect();
    let who = committed("who", known, &plan.identity);
    let cmd = committed("cmd", known, &command);
    let host = committed("host", known, &plan.host);
    let open = SessionOpen {
        session: plan.session,
        origin: format!("{}/ddgate/{}", origin_host(&plan.host.name), plan.session),
        vkey: None,
        chain: None,
        who: who.commitment(),
        cmd: cmd.commitment(),
        host: host.commitment(),
        tool: Tool {
            version: env!("CARGO_PKG_VERSION").into(),
        },
        dd: DatadogSide {
            site: plan.site.as_str().into(),
            credential: plan.credential.source.clone(),
            credential_name: plan.credential.name.clone(),
        },
        durability: plan.durability,
        policy: plan.policy.in_force(),
        enforce: Some(enforcement.clone()),
        egress: plan.egress,
        binding: None,
        bind: None,
    };
    let bind = |open: &mut SessionOpen| identity::bind(open, &plan.binding, &plan.recipients);
    Journal::create_bound(dir, open, vec![who, cmd, host], &plan.recipients, bind)
}

fn committed(
    field: &'static str,
    known: &KnownSecrets,
    value: &impl serde::Serialize,
) -> Attachment {
    // These values are strings, lists and maps with string keys: serde_json takes them all.
    let json = serde_json::to_string(value).unwrap_or_default();
    commit(field, known.text(&json).into())
}

/// A host name fit for an origin line (C2SP tlog-checkpoint): no spaces, no `+`.
fn origin_host(name: &str) -> String {
    let fit: String = name
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || "-._".contains(*c))
        .collect();
    if fit.is_empty() {
        "localhost".into()
    } else {
        fit
    }
}

/// The site's own domain, where it is none of Datadog's.
fn extra_domains(site: &Site) -> Vec<String> {
    if site.is_known() {
        Vec::new()
    } else {
        vec![site.as_str().to_owned()]
    }
}

/// A fresh session id.
#[must_use]
pub fn fresh_session() -> SessionId {
    let mut bytes = [0; 16];
    #[expect(clippy::expect_used, reason = "no way on without randomness")]
    getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
    SessionId::from_bytes(bytes)
}

/// Client-side TLS settings, read from the system once, when first needed.
fn tls_source() -> TlsSource {
    let made: OnceLock<Arc<rustls::ClientConfig>> = OnceLock::new();
    TlsSource::new(move || {
        if let Some(config) = made.get() {
            return Ok(Arc::clone(config));
        }
        let mut config = crate::net::tls::client_config()?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Arc::clone(made.get_or_init(|| Arc::new(config))))
    })
}
