//! Where a token comes from, and how it is fetched: over HTTP, from a command, a variable, a file.
//!
//! Invariant: everything has a limit of time and size, nothing goes through a shell, and no error
//! holds an answer, an output or a token.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use serde_json::{Map, Value};
use url::Url;
use zeroize::Zeroizing;

use super::env::{Env, TOKEN, TOKEN_ENV, TOKEN_FILE};
use super::error::WorkloadError;
use crate::auth::credential::{self, CommandLine, CredentialError};
use crate::limits::ID_TOKEN_BYTES_MAX;
use crate::net::HttpsClient;
use crate::record::Secret;

/// Where a token comes from.
#[derive(Clone, Debug)]
pub(super) enum Source {
    /// Asked for with GET, the audience in the query; the answer's `value` (GitHub).
    Get { url: String, bearer: Secret<String> },
    /// Asked for with POST, no audience; the answer's `oidcToken` (Azure DevOps).
    Post { url: String, bearer: Secret<String> },
    /// Printed by a program.
    Command(Vec<String>),
    /// In a variable.
    Variable { name: String, token: Secret<String> },
    /// In a file that is read anew each time.
    File(PathBuf),
    /// Google's metadata server, or the one in its place.
    Metadata { host: Option<String> },
    /// A variable that was named is not set.
    Unset(String),
}

/// Google's own name for it.
const METADATA_HOST: &str = "metadata.google.internal";
const METADATA_PATH: &str = "/computeMetadata/v1/instance/service-accounts/default/identity";
const METADATA_FLAVOR: &str = "metadata-flavor";
const API_VERSION: &str = "7.1-preview.1";

impl Source {
    /// The token that somebody named: a file, else a variable, else the usual variable.
    pub(super) fn named(env: &Env) -> Option<Self> {
        if let Some(path) = env.value(TOKEN_FILE) {
            return Some(Self::File(path.into()));
        }
        if let Some(name) = env.value(TOKEN_ENV) {
            return Some(Self::variable(env, name).unwrap_or_else(|| Self::Unset(name.to_owned())));
        }
        Self::variable(env, TOKEN)
    }

    pub(super) fn variable(env: &Env, name: &str) -> Option<Self> {
        let name = name.to_owned();
        let token = env.secret(&name)?.clone();
        Some(Self::Variable { name, token })
    }

    pub(super) fn command(words: &[&str]) -> Self {
        Self::Command(words.iter().map(|&word| word.to_owned()).collect())
    }

    /// Whether it gives another token later.
    pub(super) const fn is_renewable(&self) -> bool {
        !matches!(self, Self::Variable { .. } | Self::Unset(_))
    }

    /// Fetches a token for an audience.
    pub(super) async fn fetch(
        &self,
        audience: &str,
        http: &HttpsClient,
    ) -> Result<Secret<String>, WorkloadError> {
        match self {
            Self::Get { url, bearer } => {
                let mut url = parsed(url)?;
                url.query_pairs_mut().append_pair("audience", audience);
                let request = request(http::Method::GET, &url, bearer)?;
                field(&answer(http, request, &url).await?, &url, "value")
            }
            Self::Post { url, bearer } => {
                let mut url = parsed(url)?;
                url.query_pairs_mut()
                    .append_pair("api-version", API_VERSION);
                let mut request = request(http::Method::POST, &url, bearer)?;
                // Else a refused token is answered with a page to sign in at.
                let suppress = HeaderValue::from_static("Suppress");
                request
                    .headers_mut()
                    .insert("x-tfs-fedauthredirect", suppress);
                field(&answer(http, request, &url).await?, &url, "oidcToken")
            }
            Self::Command(words) => from_command(words).await,
            Self::Variable { name, token } => {
                word(token.expose(), || format!("the variable {name}"))
            }
            Self::File(path) => from_file(path),
            Self::Metadata { host } => from_metadata(host.as_deref(), audience).await,
            Self::Unset(name) => Err(WorkloadError::Unset(name.clone())),
        }
    }
}

fn parsed(text: &str) -> Result<Url, WorkloadError> {
    Url::parse(text).map_err(|_| WorkloadError::Answer {
        from: "the job's environment".to_owned(),
        why: "the address to ask at is no URL",
    })
}

fn request(
    method: http::Method,
    url: &Url,
    bearer: &Secret<String>,
) -> Result<http::Request<Vec<u8>>, WorkloadError> {
    let from = || host(url);
    let value = Zeroizing::new(format!("Bearer {}", bearer.expose().trim()));
    let mut value = HeaderValue::from_str(&value).map_err(|_| WorkloadError::Answer {
        from: from(),
        why: "the token to ask it with holds characters no token has",
    })?;
    value.set_sensitive(true);
    let mut request = http::Request::new(Vec::new());
    *request.method_mut() = method;
    // What is no `Uri` stays `/`, which the client refuses.
    *request.uri_mut() = url.as_str().parse().unwrap_or_default();
    let json = HeaderValue::from_static("application/json");
    let headers = request.headers_mut();
    headers.insert(ACCEPT, json.clone());
    headers.insert(CONTENT_TYPE, json);
    headers.insert(AUTHORIZATION, value);
    Ok(request)
}

fn host(url: &Url) -> String {
    url.host_str().unwrap_or_default().to_owned()
}

async fn answer(
    http: &HttpsClient,
    request: http::Request<Vec<u8>>,
    url: &Url,
) -> Result<Zeroizing<Vec<u8>>, WorkloadError> {
    let from = host(url);
    let answer = http.send(request).await;
    let answer = answer.map_err(|source| WorkloadError::Unreachable {
        from: from.clone(),
        source,
    })?;
    match answer.status() {
        http::StatusCode::OK => Ok(Zeroizing::new(answer.into_body())),
        status => Err(WorkloadError::Refused {
            from,
            status: status.as_u16(),
        }),
    }
}

fn field(body: &[u8], url: &Url, name: &str) -> Result<Secret<String>, WorkloadError> {
    let unreadable = || WorkloadError::Answer {
        from: host(url),
        why: "what it sent holds no token",
    };
    let mut members: Map<String, Value> = serde_json::from_slice(body).map_err(|_| unreadable())?;
    match members.remove(name) {
        Some(Value::String(token)) => word(&Zeroizing::new(token), || host(url)),
        _ => Err(unreadable()),
    }
}

async fn from_command(words: &[String]) -> Result<Secret<String>, WorkloadError> {
    let line = CommandLine::Argv(words.to_vec());
    let program = line.program();
    let output = credential::output(line).await.map_err(|error| {
        let why = match error {
            CredentialError::CommandNotRun { source, .. } => source.to_string(),
            CredentialError::CommandFailed { status, .. } => status,
            CredentialError::CommandTooSlow { limit, .. } => format!("no end within {limit:?}"),
            CredentialError::CommandOutput { why, .. } => why,
            other => other.to_string(),
        };
        WorkloadError::Command {
            program: program.clone(),
            why,
        }
    })?;
    let text = std::str::from_utf8(&output).unwrap_or_default();
    word(text, || format!("the command `{program}`"))
}

fn from_file(path: &Path) -> Result<Secret<String>, WorkloadError> {
    let failed = |source| WorkloadError::File {
        path: path.to_owned(),
        source,
    };
    // Reserved at once: a buffer that grows leaves copies behind.
    let mut text = Zeroizing::new(String::with_capacity(ID_TOKEN_BYTES_MAX as usize + 1));
    let file = File::open(path).map_err(failed)?;
    file.take(ID_TOKEN_BYTES_MAX + 1)
        .read_to_string(&mut text)
        .map_err(failed)?;
    word(&text, || format!("the file {}", path.display()))
}

async fn from_metadata(
    host: Option<&str>,
    audience: &str,
) -> Result<Secret<String>, WorkloadError> {
    let mut url = parsed(&format!("http://{}", host.unwrap_or(METADATA_HOST)))?;
    url.set_path(METADATA_PATH);
    url.query_pairs_mut()
        .append_pair("audience", audience)
        .append_pair("format", "full");
    let google = HeaderValue::from_static("Google");
    let mut request = http::Request::new(Vec::new());
    *request.uri_mut() = url.as_str().parse().unwrap_or_default();
    request
        .headers_mut()
        .insert(METADATA_FLAVOR, google.clone());
    let from = self::host(&url);
    let answer = HttpsClient::for_metadata().send(request).await;
    let answer = answer.map_err(|source| WorkloadError::Unreachable {
        from: from.clone(),
        source,
    })?;
    // Anybody can sit at that address; only the real server says this.
    if answer.headers().get(METADATA_FLAVOR) != Some(&google) {
        return Err(WorkloadError::Answer {
            from,
            why: "it is not Google's metadata server",
        });
    }
    if answer.status() != http::StatusCode::OK {
        let status = answer.status().as_u16();
        return Err(WorkloadError::Refused { from, status });
    }
    let body = Zeroizing::new(answer.into_body());
    word(std::str::from_utf8(&body).unwrap_or_default(), || from)
}

/// A text that may be a token: one word of bounded length.
fn word(text: &str, from: impl FnOnce() -> String) -> Result<Secret<String>, WorkloadError> {
    let token = text.trim();
    let why = if token.is_empty() {
        "it is empty"
    } else if token.len() as u64 > ID_TOKEN_BYTES_MAX {
        "it is too long for a token"
    } else if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        "it is no token"
    } else {
        return Ok(Secret::new(token.to_owned()));
    };
    Err(WorkloadError::Answer { from: from(), why })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(variables: &[(&str, &str)]) -> Env {
        Env::read(&|name| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn what_is_named_comes_in_order() {
        let both = env(&[(TOKEN_FILE, "/t"), (TOKEN_ENV, "X"), (TOKEN, "a")]);
        assert!(matches!(Source::named(&both), Some(Source::File(_))));
        let named = env(&[(TOKEN_ENV, "X"), ("X", "a"), (TOKEN, "b")]);
        let source = Source::named(&named).unwrap();
        assert!(matches!(&source, Source::Variable { name, .. } if name == "X"));
        assert!(!source.is_renewable());
        let unset = env(&[(TOKEN_ENV, "X"), (TOKEN, "b")]);
        assert!(matches!(Source::named(&unset), Some(Source::Unset(name)) if name == "X"));
        assert!(matches!(
            Source::named(&env(&[(TOKEN, "b")])),
            Some(Source::Variable { .. })
        ));
        assert!(Source::named(&env(&[("X", "a")])).is_none());
    }

    #[test]
    fn what_is_no_token_is_not_repeated() {
        for (text, why) in [
            (" \n", "empty"),
            ("hunter2 hunter2", "no token"),
            ("hunter2\u{1b}", "no token"),
            (&"hunter2".repeat(10_000), "too long"),
        ] {
            let error = word(text, || "x".to_owned()).unwrap_err();
            let text = format!("{error} {error:?}");
            assert!(text.contains(why) && !text.contains("hunter2"), "{text}");
        }
        assert_eq!(word(" a.b.c\n", String::new).unwrap().expose(), "a.b.c");
        let shown = format!("{:?}", env(&[(TOKEN, "hunter2")]));
        assert!(!shown.contains("hunter2"), "{shown}");
    }

    #[tokio::test]
    async fn a_metadata_server_elsewhere_is_not_asked() {
        for host in [
            "192.0.2.1",
            "metadata.evil.test",
            "169.254.169.254@192.0.2.1",
        ] {
            let error = from_metadata(Some(host), "a").await.unwrap_err();
            let WorkloadError::Unreachable { source, .. } = error else {
                panic!("{error:?}");
            };
            assert!(
                matches!(source, crate::net::NetError::Scheme { .. }),
                "{source:?}"
            );
        }
    }
}
