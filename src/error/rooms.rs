//! Each room's errors, told to the person at the keyboard: exit code and hint. No wildcard arms.

use std::io::ErrorKind;

use super::CliError;
use crate::auth::AuthError;
use crate::auth::credential::CredentialError;
use crate::auth::identity::Unverified;
use crate::auth::identity::workload::WorkloadError;
use crate::auth::secret_store::StoreError;
use crate::config::ConfigError;
use crate::datadog::SiteError;
use crate::exit::Exit;
use crate::export::ExportError;
use crate::gate::GateError;
use crate::journal::JournalError;
use crate::launch::LaunchError;
use crate::net::NetError;
use crate::policy::NotAdmitted;

impl From<ConfigError> for CliError {
    fn from(error: ConfigError) -> Self {
        let told = Self::of(Exit::Usage, &error);
        match error {
            ConfigError::NoHome => told.hint("set HOME to a directory of yours"),
            ConfigError::WorkingDirectory(_) => {
                told.hint("it may have been removed: change to a directory that exists")
            }
            ConfigError::Read { source, .. } if source.kind() == ErrorKind::NotFound => {
                told.hint("it was named by --config or DDGATE_CONFIG: is that spelled right?")
            }
            ConfigError::Read { .. } => told.hint("make it a file you can read, or remove it"),
            ConfigError::TooLarge { .. } | ConfigError::NotUtf8 { .. } => {
                told.hint("is it really a configuration file?")
            }
            ConfigError::Syntax { .. } => told.hint("the format is TOML: https://toml.io"),
            ConfigError::UnknownKey { .. } | ConfigError::WrongType { .. } => {
                told.hint("to see every key with its value: ddgate config show (without this line)")
            }
            // The message itself says what is expected, or where it belongs.
            ConfigError::Value { .. }
            | ConfigError::NotForProjects { .. }
            | ConfigError::ForeignSite { .. } => told,
            ConfigError::CreateDirectory { .. } | ConfigError::NotADirectory { .. } => told
                .exiting(Exit::Unreadable)
                .hint("choose another place with --data-dir, or make room for it there"),
        }
    }
}

impl From<SiteError> for CliError {
    fn from(error: SiteError) -> Self {
        Self::of(Exit::Usage, &error).hint("for example: --site datadoghq.eu")
    }
}

impl From<NetError> for CliError {
    fn from(error: NetError) -> Self {
        let told = Self::of(Exit::Remote, &error);
        match error {
            NetError::Roots { .. } => {
                told.hint("install your system's CA certificates, or name a file in SSL_CERT_FILE")
            }
            NetError::ProxyVariable { .. } => told
                .exiting(Exit::Usage)
                .hint("it should look like http://proxy.example:3128; leave it empty if there is none"),
            NetError::Host { .. } | NetError::NotAdmitted { .. } => told.exiting(Exit::Usage),
            NetError::Resolve { .. } | NetError::Connect { .. } => {
                told.hint("is the network up, and the name spelled right?")
            }
            NetError::Proxy { .. } => told.hint("it is named by HTTPS_PROXY; exempt hosts with NO_PROXY"),
            NetError::Handshake { .. } => told.hint(
                "does the company inspect TLS? then name a file with its certificates in SSL_CERT_FILE",
            ),
            NetError::Scheme { .. } => told.exiting(Exit::Usage),
            NetError::Timeout { .. } | NetError::Unavailable { .. } => told.hint("try again in a moment"),
            NetError::Tls(_)
            | NetError::Redirect { .. }
            | NetError::Encoding { .. }
            | NetError::TooLarge { .. }
            | NetError::Http { .. } => told.hint("is there really the service you expect at this address?"),
        }
    }
}

impl From<AuthError> for CliError {
    fn from(error: AuthError) -> Self {
        let told = Self::of(Exit::NotSignedIn, &error);
        match error {
            AuthError::Config { .. } => told.exiting(Exit::Usage).hint("see: ddgate config show"),
            AuthError::Discovery { .. } => told
                .hint("is `identity.issuer` the right address, and the network up?")
                .hint("to go on unverified: ddgate run --identity local -- …"),
            AuthError::Unreachable { .. } => told.hint("try again in a moment"),
            AuthError::Answer { .. } => told.hint("is `identity.issuer` an OpenID Connect issuer?"),
            AuthError::IssuerMismatch { found, .. } => {
                told.hint(format!("if that is the right one, configure `issuer = \"{}\"`, letter for letter", found.escape_debug()))
            }
            AuthError::NoDeviceEndpoint { .. } => {
                told.hint("ask its administrator to enable the device authorization grant (RFC 8628)")
            }
            AuthError::NoAuthorizationEndpoint { .. } => {
                told.hint("sign in with a code instead: ddgate login --device")
            }
            AuthError::Loopback(_) => told
                .hint("is the loopback interface up? a sign-in with a code needs no port: ddgate login --device"),
            AuthError::NobodyCame => told.hint(
                "did the browser show an error? the client has to allow the redirect URI \
                 http://127.0.0.1/callback with any port (RFC 8252)",
            ),
            AuthError::Refused { code, .. } if code == "invalid_dpop_proof" => told.hint(
                "the provider offers DPoP and does not take the proof: `identity.dpop = \"off\"` signs in \
                 without",
            ),
            AuthError::Refused { .. } => told
                .hint("is `identity.client_id` a public client that may sign people in this way there?"),
            AuthError::Denied { .. } => told.hint("if that was a mistake, try again"),
            AuthError::Workload(error) => (*error).into(),
            AuthError::Expired => told.hint("try again: you get a new code"),
            AuthError::NoIdToken { .. } => told
                .hint("the client must be allowed the scope `openid`, also in the device flow")
                .hint(
                    "a provider that sends one at sign-in only, and has no userinfo endpoint, leaves \
                     nothing to verify later: then each run asks (--prompt always)",
                ),
            AuthError::Possession { .. } => told
                .hint("is this computer's clock right?")
                .hint("to sign in anew, with another key: ddgate login"),
            AuthError::Unconfirmed { .. } | AuthError::NotEnough { .. } => told.hint(
                "where somebody can be asked, a run asks them instead: --prompt always; or have the \
                 provider send ID tokens when it refreshes",
            ),
            AuthError::Verify(_) => told.hint(
                "nothing was accepted; if it happens again, show this line to the provider's administrator",
            ),
            AuthError::Clock { .. } => told.hint("set this computer's clock"),
            AuthError::SignedOut { .. } | AuthError::NotSignedIn { .. } => told
                .hint("sign in with: ddgate login")
                .hint("where nobody can: --identity local records the OS user, unverified"),
            AuthError::Store(error) => error.into(),
        }
    }
}

impl From<WorkloadError> for CliError {
    fn from(error: WorkloadError) -> Self {
        let told = Self::of(Exit::NotSignedIn, &error);
        let pins = "the pins are `pin` of the `[[workload]]`, or DDGATE_WORKLOAD_PIN";
        match error {
            WorkloadError::NotConfigured { file, add, .. } => told
                .hint(format!("add to {file}:\n{add}"))
                .hint("or `[[workload]]` to the file that DDGATE_CONFIG names: see ddgate-ci(5)"),
            WorkloadError::NoToken { file, add, .. } => told.hint(format!("add to {file}:\n{add}")),
            WorkloadError::Unset(_) => {
                told.hint("it is named by DDGATE_ID_TOKEN_ENV: is that spelled right?")
            }
            WorkloadError::TooFewPins { .. } => told.exiting(Exit::Usage).hint(pins),
            WorkloadError::Unreachable { source, .. } if source.is_transient() => {
                told.hint("try again in a moment")
            }
            WorkloadError::Unreachable { .. } => told.hint("see ddgate-ci(5) for who may be asked"),
            WorkloadError::Refused { .. } => {
                told.hint("may the job ask for identity tokens? see ddgate-ci(5)")
            }
            WorkloadError::Answer { .. } => told.hint("see ddgate-ci(5) for where tokens come from"),
            WorkloadError::Command { .. } => told.hint(
                "it has to be in PATH, and to work in this job; or put a token into a file and name \
                 it in DDGATE_ID_TOKEN_FILE",
            ),
            WorkloadError::File { .. } => told.hint("is it named right, and yours to read?"),
            WorkloadError::Issuer { .. } => told.hint(
                "if that is the right issuer, configure it: `issuer` of the `[[workload]]`, or \
                 DDGATE_WORKLOAD_ISSUER",
            ),
            WorkloadError::Audience { .. } => told.hint(
                "ask for a token for the audience that is configured: `audience` of the \
                 `[[workload]]`, or DDGATE_WORKLOAD_AUDIENCE",
            ),
            WorkloadError::Pin { .. } => told.hint(format!(
                "if this job may act, pin what it says; {pins}"
            )),
            WorkloadError::SshRerun => told.hint("start it again without SSH"),
            WorkloadError::NoneFits(_) => told.hint("each is a `[[workload]]` in: ddgate config show"),
            WorkloadError::Auth(AuthError::Verify(Unverified::Expired)) => told
                .hint("tokens live minutes: ask for it in the step that runs ddgate"),
            WorkloadError::Auth(AuthError::Verify(_)) => told.hint(
                "nothing was accepted; is `issuer` of the `[[workload]]` the one that signed it?",
            ),
            WorkloadError::Auth(AuthError::Discovery { .. }) => told.hint(
                "is `issuer` of the `[[workload]]` the right address, and the network up? keys that \
                 are not published can be in a file (`jwks_file`)",
            ),
            WorkloadError::Auth(error) => error.into(),
        }
    }
}

impl From<StoreError> for CliError {
    fn from(error: StoreError) -> Self {
        let told = Self::of(Exit::Unreadable, &error);
        let elsewhere = "set `identity.storage = \"file\"` to keep secrets in a file that only you can read, or \"memory\" to keep none";
        match error {
            StoreError::Keyring { .. }
            | StoreError::KeyringSilent { .. }
            | StoreError::Thread(_) => told.hint(elsewhere),
            StoreError::File { .. } => told.hint("is the directory yours, and is there space?"),
            StoreError::Exposed { .. } => {
                told.hint("remove it, and make the secrets new: others could read them")
            }
            StoreError::Damaged { .. } => {
                told.hint("remove it, then sign in and set the keys again")
            }
            StoreError::Locked { .. } => {
                told.hint("another ddgate holds it: wait for it, or end it")
            }
        }
    }
}

impl From<NotAdmitted> for CliError {
    fn from(error: NotAdmitted) -> Self {
        let told = Self::of(Exit::NotSignedIn, &error);
        let left_out = "have the provider name only the groups that matter to ddgate, or app roles: \
                        ddgate-identity(5) says how";
        match error {
            NotAdmitted::Unverified { .. } => {
                told.hint("sign in as a person: leave out `--identity local` (`identity.mode = \"oidc\"`)")
            }
            NotAdmitted::Issuer { required, .. } => told.hint(format!(
                "sign in there: `identity.issuer = \"{}\"`, or --issuer, then ddgate login",
                required.escape_debug()
            )),
            NotAdmitted::Email { .. } => {
                told.hint("verify the address at the identity provider, then try again")
            }
            NotAdmitted::Groups { has, .. } if has.is_empty() => told.hint(
                "does the provider put groups into ID tokens, and does `identity.groups_claims` name \
                 the claim? ddgate-identity(5) says how",
            ),
            NotAdmitted::Groups { .. } => told.hint(
                "ask whoever runs the identity provider for one of them; it counts from the next run on",
            ),
            NotAdmitted::GroupsIncomplete { .. } | NotAdmitted::CredentialUnclear { .. } => {
                told.hint(left_out)
            }
            NotAdmitted::CredentialLost { .. } => {
                told.hint("a new session gets the credential of the groups as they are now")
            }
            NotAdmitted::NoCredential { .. } => told.hint(
                "ask for one of those groups; or add a [[credential]] for one that they have, or one \
                 without groups, at the end of the list",
            ),
        }
    }
}

impl From<CredentialError> for CliError {
    fn from(error: CredentialError) -> Self {
        let told = Self::of(Exit::GateFailed, &error);
        match error {
            CredentialError::NotFound => told
                .hint("store them: ddgate keys set api-key, then ddgate keys set app-key")
                .hint("or set DD_API_KEY and DD_APP_KEY for ddgate; the command sees placeholders"),
            CredentialError::NoneStored { set, .. } => told.hint(format!(
                "store them: ddgate keys set app-key --credential {set} (also api-key, bearer)"
            )),
            CredentialError::NoneSet { .. } => {
                told.hint("set one of them for ddgate; the command sees placeholders")
            }
            CredentialError::Filtered => told
                .hint(
                    "the agent filters what its MCP servers see: name both variables in the \
                     server's configuration (`env`, `env_vars`), see ddgate-mcp(5)",
                )
                .hint("or start the agent without `ddgate run`: `ddgate mcp` needs none"),
            CredentialError::Unusable { .. } => told
                .exiting(Exit::Usage)
                .hint("give the value alone: one word, without quotes"),
            CredentialError::CommandNotRun { .. }
            | CredentialError::CommandFailed { .. }
            | CredentialError::CommandTooSlow { .. } => {
                told.hint("try it by hand: `datadog.credential_command`, or `command` of its [[credential]]")
            }
            CredentialError::CommandOutput { .. } => told.hint(
                "it should print {\"api_key\": \"…\", \"app_key\": \"…\"} or lines DD_API_KEY=…",
            ),
            CredentialError::NotKept { .. } => told.exiting(Exit::No).hint(
                "set `identity.storage = \"file\"` to keep it in a file that only you can read, or use \
                 `datadog.credential_command` or the environment",
            ),
            CredentialError::Store(error) => error.into(),
        }
    }
}

impl From<JournalError> for CliError {
    fn from(error: JournalError) -> Self {
        let told = Self::of(Exit::Unreadable, &error);
        match error {
            JournalError::Io { .. } => told
                .hint("is there space, and is the directory yours? choose another with --data-dir"),
            JournalError::NoSuchSession(_) => told
                .exiting(Exit::No)
                .hint("to see which there are: ddgate sessions"),
            JournalError::NoSessions(_) => told
                .exiting(Exit::No)
                .hint("begin one with: ddgate run -- COMMAND")
                .hint("or is it elsewhere? name the place with --data-dir"),
            JournalError::Ambiguous { .. } => told.exiting(Exit::Usage).hint("type more of the id"),
            JournalError::NotASession { .. } => {
                told.hint("its beginning was lost or changed; nothing can be said about it")
            }
            JournalError::Newer { .. } => told.hint("read it with the newer ddgate"),
            JournalError::Index { .. } => {
                told.hint("remove the directory; it is rebuilt from the record")
            }
            JournalError::Identity { why, .. } if why.contains("passphrase") => told
                .exiting(Exit::Usage)
                .hint("take it off for this one command: --age-identity <(age --decrypt FILE)"),
            JournalError::Identity { .. } => told.exiting(Exit::Usage).hint(
                "name a file that `age-keygen` wrote: lines that begin with AGE-SECRET-KEY-1",
            ),
            JournalError::NotARecipient(_) => told.hint(
                "only those named in `journal.recipients` when it ran can read them; without \
                 --age-identity you see everything else",
            ),
            JournalError::KeyDamaged(session) => told.hint(format!(
                "to see what else was changed: ddgate verify {session}"
            )),
            JournalError::Running(_) => told.hint("end its command first"),
            JournalError::BeingRead(session) => told.hint(format!(
                "end whatever replays or shows it, then finish with: ddgate erase {session}"
            )),
            JournalError::NoSuchCall { session, .. } => told
                .exiting(Exit::No)
                .hint(format!("to see its calls: ddgate replay {session}")),
        }
    }
}

impl From<ExportError> for CliError {
    fn from(error: ExportError) -> Self {
        let told = Self::of(Exit::Unreadable, &error);
        match error {
            ExportError::Journal(error) => error.into(),
            ExportError::Io { .. } => told.hint("is there space, and is the directory yours?"),
            ExportError::Occupied(_) => told
                .exiting(Exit::Usage)
                .hint("name a directory that does not exist yet"),
            ExportError::Unsigned { .. } => told
                .exiting(Exit::No)
                .hint("if the session is running, try again in a moment"),
            ExportError::Changed(session) => told.exiting(Exit::No).hint(format!(
                "who writes there? look with: ddgate replay {session}"
            )),
            ExportError::Format(_) => told.hint("this should not happen; please report it"),
            ExportError::NotAnExport { .. } => {
                told.hint("name the directory that `ddgate export` or `ddgate prove` wrote")
            }
        }
    }
}

impl From<GateError> for CliError {
    fn from(error: GateError) -> Self {
        let told = Self::of(Exit::GateFailed, &error);
        match error {
            GateError::Journal(error) => {
                let told: Self = error.into();
                told.exiting(Exit::GateFailed)
                    .hint("nothing was run: what cannot be recorded is not allowed to happen")
            }
            GateError::Launch(error) => error.into(),
            GateError::Net(error) => error.into(),
            GateError::Files { .. } => told.hint("is there space, and is the directory yours?"),
            GateError::Listen(source) if source.kind() == ErrorKind::PermissionDenied => told.hint(
                "this runs inside something that forbids TCP on the loopback, such as a sandbox: \
                 run ddgate around it instead",
            ),
            GateError::Listen(_) => told.hint("is the loopback interface up?"),
            GateError::Ca(_) | GateError::Redactor(_) => {
                told.hint("this should not happen; please report it")
            }
        }
    }
}

impl From<LaunchError> for CliError {
    fn from(error: LaunchError) -> Self {
        let told = Self::of(error.exit(), &error);
        match error {
            LaunchError::NotFound { .. } => {
                told.hint("is it installed, and its directory in PATH?")
            }
            LaunchError::NotExecutable { .. } => {
                told.hint("is it a program, and executable? for a script: sh SCRIPT")
            }
            LaunchError::NoCommand => told.hint("for example: ddgate run -- claude"),
            LaunchError::Start { .. } => told.hint("is the machine out of processes or memory?"),
            LaunchError::Sandbox(_) => {
                told.hint("--enforce=auto runs it all the same, and records that it was not held")
            }
            LaunchError::Signals(_) | LaunchError::Wait(_) => {
                told.hint("this should not happen; please report it")
            }
        }
    }
}
