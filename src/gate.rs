//! One session: opens the rooms in order, waits for the child, closes them in reverse.
//!
//! Open: record → certificates → listener → child. Close: no new connections → drain → what is
//! left is in doubt → the closing record → the child's own exit. Asks nobody anything and prints
//! nothing: who signs in and what is shown is the business of `commands`.

mod mcp;

use std::ffi::OsString;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use http::Uri;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::auth::credential::{Credential, redaction};
use crate::datadog::{Site, base_host};
use crate::journal::catalog::{Manifest, SessionDir};
use crate::journal::{Attachment, Journal, JournalError, Recipients, commit};
use crate::launch::{self, ChildEnd, LaunchError, Placeholders, Replacement, Scrubber, TrustPaths};
use crate::limits;
use crate::net::{Dialer, NetError};
use crate::proxy::{self, CaError, Keys, Proxy, SessionCa, Slot, TlsSource, ToolBook, Upstream};
use crate::record::event::{DatadogSide, Durability, SessionClose, SessionOpen, Tool};
use crate::record::{HostFacts, Identity, Recording, Secret, SessionId};
use crate::redact::{self, KnownSecrets, PseudonymKey, Replacer};

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
    /// What opens Datadog.
    pub credential: Credential,
    /// The key of pseudonyms, if one outlives the session.
    pub redaction_key: Option<Secret<String>>,
    /// How much of each call is recorded.
    pub recording: Recording,
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
    /// Calls that carried a token of the agent's own, to Datadog's MCP server.
    pub own_tokens: u64,
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

/// Runs one session from open to close.
///
/// `warn` hears what people should be told once, before the child has the terminal.
///
/// # Errors
/// Something needed could not be had. If the session was already open it is closed on record.
pub async fn run(plan: Plan, warn: &dyn Fn(&str)) -> Result<Report, GateError> {
    let keys = fresh_keys(&plan.credential);
    let mut strays = stray_keys(&plan.environment, &keys);
    strays.extend(plan.redaction_key.clone().map(|key| (redaction::WORD, key)));
    let known = known_secrets(plan.redaction_key.as_ref(), &keys, &strays)?;
    let extra_domains = extra_domains(&plan.site);
    let ca = Arc::new(SessionCa::new(
        &plan.session.short(),
        extra_domains.clone(),
    )?);
    let listener = proxy::bind().await.map_err(GateError::Listen)?;
    let address = listener.local_addr().map_err(GateError::Listen)?;
    let files = ChildFiles::write(&plan, ca.pem(), address, warn)?;
    let dir = SessionDir::new(&plan.sessions, plan.session);
    let journal = Arc::new(open_journal(&plan, &dir, &known)?);

    let (swap, swap_keeps_length) = swap(&keys)?;
    let scrubber = scrubber(&keys, strays);
    let command = scrubbed(&plan.command, &scrubber);
    let environment = launch::env::build(
        &plan.environment,
        &launch::Inputs {
            gate: address,
            site: plan.site.as_str(),
            placeholders: &placeholders(&keys),
            scrubber: &scrubber,
            trust: files.paths(),
            pup_config_dir: &files.pup,
            intercepted: &extra_domains,
        },
    );
    let proxy = Arc::new(Proxy {
        journal: Arc::clone(&journal),
        keys,
        known,
        recording: plan.recording.clone(),
        swap,
        swap_keeps_length,
        site: plan.site.clone(),
        extra_domains,
        tls: Arc::new(Arc::clone(&ca).server_config()?),
        upstream: Upstream::new(plan.dialer.clone(), tls_source(), plan.upstream.clone()),
        dialer: plan.dialer.clone(),
        address,
        unrecorded: AtomicU64::new(0),
        own_tokens: AtomicU64::new(0),
        uploads: Arc::default(),
        tools: ToolBook::default(),
        tasks: TaskTracker::new(),
        draining: CancellationToken::new(),
        stopping: CancellationToken::new(),
    });
    let serving = Arc::clone(&proxy);
    proxy.tasks.spawn(proxy::serve(serving, listener));
    let warming = Arc::clone(&proxy);
    proxy.tasks.spawn(async move {
        let host = base_host(&warming.site, &http::Method::GET, "/");
        tokio::select! {
            () = warming.upstream.warm(&host) => {}
            () = warming.draining.cancelled() => {}
        }
    });

    let ended = match plan.is_mcp_server {
        true => mcp::serve(&proxy, &command, &environment).await,
        false => match launch::spawn(&command, &environment) {
            Ok(child) => child.wait().await,
            Err(e) => Err(e),
        },
    };
    drain(&proxy).await;
    let manifest = journal.close(closing(&ended));
    Ok(Report {
        session: plan.session,
        end: ended?,
        manifest,
        unrecorded: proxy.unrecorded.load(Ordering::Relaxed),
        own_tokens: proxy.own_tokens.load(Ordering::Relaxed),
    })
}

/// The files the child's environment names.
struct ChildFiles {
    ca: PathBuf,
    bundle: PathBuf,
    wgetrc: PathBuf,
    pup: PathBuf,
}

impl ChildFiles {
    fn write(
        plan: &Plan,
        session_ca: &str,
        gate: SocketAddr,
        warn: &dyn Fn(&str),
    ) -> Result<Self, GateError> {
        let files = Self {
            ca: plan.runtime.join("ca.pem"),
            bundle: plan.runtime.join("bundle.pem"),
            wgetrc: plan.runtime.join("wgetrc"),
            pup: plan.runtime.join("pup"),
        };
        let home = Some(plan.home.as_path());
        let contents = launch::files(&plan.environment, home, session_ca, &files.bundle, gate);
        for warning in &contents.warnings {
            warn(&warning.to_string());
        }
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| GateError::Files { path, source }
        };
        for (path, bytes) in [
            (&files.ca, &contents.ca),
            (&files.bundle, &contents.bundle),
            (&files.wgetrc, &contents.wgetrc),
        ] {
            std::fs::write(path, bytes).map_err(failed(path))?;
        }
        std::fs::create_dir_all(&files.pup).map_err(failed(&files.pup))?;
        Ok(files)
    }

    fn paths(&self) -> TrustPaths<'_> {
        TrustPaths {
            ca: &self.ca,
            bundle: &self.bundle,
            wgetrc: &self.wgetrc,
        }
    }
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
        },
        durability: plan.durability,
    };
    Journal::create_for(dir, open, vec![who, cmd, host], &plan.recipients)
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

fn fresh_keys(credential: &Credential) -> Keys {
    let slot = |hex_digits: usize, real: &Option<Secret<String>>| Slot {
        placeholder: Secret::new(random_hex(hex_digits)),
        real: real.clone(),
    };
    Keys {
        api: slot(32, &credential.api_key),
        app: slot(40, &credential.app_key),
        bearer: slot(40, &credential.bearer),
    }
}

fn random_hex(digits: usize) -> String {
    let mut bytes = vec![0; digits / 2];
    #[expect(clippy::expect_used, reason = "no way on without randomness")]
    getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A fresh session id.
#[must_use]
pub fn fresh_session() -> SessionId {
    let mut bytes = [0; 16];
    #[expect(clippy::expect_used, reason = "no way on without randomness")]
    getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
    SessionId::from_bytes(bytes)
}

/// Keys in ddgate's own environment that are not the ones it uses: the child gets none of them.
fn stray_keys(
    environment: &[(OsString, OsString)],
    keys: &Keys,
) -> Vec<(&'static str, Secret<String>)> {
    let used: Vec<&str> = keys
        .reals()
        .map(|(_, real, _)| real.expose().as_str())
        .collect();
    launch::env::credentials(environment)
        .filter(|(_, value)| !used.contains(value))
        .map(|(name, value)| (name, Secret::new(value.to_owned())))
        .collect()
}

fn placeholders(keys: &Keys) -> Placeholders {
    Placeholders {
        api_key: keys.api.placeholder.expose().clone(),
        app_key: keys.app.placeholder.expose().clone(),
        bearer: keys.bearer.placeholder.expose().clone(),
    }
}

/// The command without real keys: a shell expands `-H "DD-API-KEY: $DD_API_KEY"` before it gets here.
fn scrubbed(command: &[OsString], scrubber: &Scrubber) -> Vec<OsString> {
    let clean = |word: &OsString| scrubber.scrub(word).unwrap_or_else(|| word.clone());
    command.iter().map(clean).collect()
}

fn scrubber(keys: &Keys, strays: Vec<(&'static str, Secret<String>)>) -> Scrubber {
    let placeholder = |name: &str| {
        let slot = keys.named().find(|(known, _)| *known == name);
        slot.map_or(&keys.api, |(_, slot)| slot)
            .placeholder
            .expose()
            .clone()
    };
    let reals = keys
        .reals()
        .map(|(name, real, _)| (name, real.clone()))
        .chain(strays);
    Scrubber::new(reals.map(|(name, secret)| Replacement {
        secret,
        placeholder: placeholder(name),
    }))
}

fn known_secrets(
    redaction_key: Option<&Secret<String>>,
    keys: &Keys,
    strays: &[(&'static str, Secret<String>)],
) -> Result<KnownSecrets, GateError> {
    let reals = keys
        .reals()
        .map(|(name, real, _)| (name, real))
        .chain(strays.iter().map(|(name, stray)| (*name, stray)))
        .map(|(name, real)| (name.to_owned(), real.clone()));
    let placeholders = keys
        .named()
        .map(|(name, slot)| (format!("{name}-placeholder"), slot.placeholder.clone()));
    let key = redaction_key.map_or_else(PseudonymKey::fresh, PseudonymKey::derived);
    KnownSecrets::keyed(key, reals.chain(placeholders))
        .map_err(|e| GateError::Redactor(e.to_string()))
}

/// What turns real keys into placeholders in what the child sees, and whether lengths survive it.
fn swap(keys: &Keys) -> Result<(Replacer, bool), GateError> {
    let pairs: Vec<_> = keys
        .reals()
        .flat_map(|(_, real, placeholder)| redact::swaps(real, placeholder.expose()))
        .collect();
    let keeps_length = pairs.iter().all(|(old, new)| old.len() == new.len());
    let swap = Replacer::new(pairs).map_err(|e| GateError::Redactor(e.to_string()))?;
    Ok((swap, keeps_length))
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
