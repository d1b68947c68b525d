//! What stands in the session's certificate files.
//!
//! Invariant: a client that replaces its roots by our bundle still trusts what it trusted
//! before, so that hosts that are not Datadog's keep working through the blind tunnel. It
//! reads files and writes none; the caller puts the contents where the environment says.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::env::value;
use super::jks;
use crate::limits::TRUST_FILE_BYTES_MAX;

/// Contents for the files of [`super::ChildFiles`] that are about certificates.
#[derive(Clone, Debug)]
pub(super) struct TrustFiles {
    /// The session's CA, and what NODE_EXTRA_CA_CERTS named before.
    pub ca: Vec<u8>,
    /// Roots and the session's CA.
    pub bundle: Vec<u8>,
    /// The same as a Java trust store.
    pub jks: Vec<u8>,
    /// The user's lines, and the bundle.
    pub wgetrc: Vec<u8>,
    /// What could not be carried over. The session goes on; people should be told once.
    pub warnings: Vec<TrustWarning>,
}

/// Something of the user's that could not be carried over.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum TrustWarning {
    /// A file that a variable names, or that a tool would have read.
    #[error("{named_by} names {}, which is left out: {reason}", path.display())]
    LeftOut {
        /// The variable, or the tool's usual place.
        named_by: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// There is no store of root certificates: only Datadog will be trusted by clients that
    /// replace their roots.
    #[error("no root certificates found on this machine: only the gate itself will be trusted")]
    NoRoots,
}

/// Variables that may already name a bundle of the user's own.
const NAMED_BUNDLES: &[&str] = &["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"];

/// Where distributions keep all roots in one file: Debian, Fedora, SUSE, Alpine and BSD.
/// macOS and Windows keep them in a store that only the system can read out.
const STORE_FILES: &[&str] = if cfg!(any(windows, target_os = "macos")) {
    &[]
} else {
    &[
        "/etc/ssl/certs/ca-certificates.crt",
        "/etc/pki/tls/certs/ca-bundle.crt",
        "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
        "/etc/ssl/ca-bundle.pem",
        "/etc/ssl/cert.pem",
        "/usr/local/share/certs/ca-root-nss.crt",
    ]
};

/// Settings that would lead wget past the gate, as wget writes them: no case, `-` or `_`.
const WGET_OVERRULED: &[&str] = &[
    "cacertificate",
    "httpproxy",
    "httpsproxy",
    "noproxy",
    "useproxy",
];

/// Builds the contents from what the parent's environment names.
///
/// `session_ca` is PEM. `bundle` is where the bundle will stand; `gate` the proxy.
#[must_use]
pub(super) fn files(
    parent: &[(OsString, OsString)],
    home: Option<&Path>,
    session_ca: &str,
    bundle: &Path,
    gate: SocketAddr,
) -> TrustFiles {
    let mut warnings = Vec::new();
    let mut ca = session_ca.as_bytes().to_vec();
    if let Some(path) = named(parent, "NODE_EXTRA_CA_CERTS") {
        let extra = certificates(&path);
        append(
            &mut ca,
            note(extra, "NODE_EXTRA_CA_CERTS", &path, &mut warnings),
        );
    }
    let mut roots = named_roots(parent, &mut warnings);
    if roots.is_empty() {
        roots = platform_roots();
    }
    if roots.is_empty() {
        warnings.push(TrustWarning::NoRoots);
    }
    append(&mut roots, Some(session_ca.as_bytes().to_vec()));
    let wgetrc = wgetrc(parent, home, bundle, gate, &mut warnings);
    let java = java_roots(parent, &mut warnings);
    let mut in_jks: Vec<&[u8]> = java
        .as_deref()
        .and_then(jks::certificates)
        .unwrap_or_default();
    let in_bundle = der(&roots);
    in_jks.extend(in_bundle.iter().map(AsRef::as_ref));
    TrustFiles {
        ca,
        jks: jks::store(&in_jks),
        bundle: roots,
        wgetrc,
        warnings,
    }
}

/// What the parent's variables name, each file once.
fn named_roots(parent: &[(OsString, OsString)], warnings: &mut Vec<TrustWarning>) -> Vec<u8> {
    let mut roots = Vec::new();
    let mut seen = Vec::new();
    for variable in NAMED_BUNDLES {
        let Some(path) = named(parent, variable).filter(|path| !seen.contains(path)) else {
            continue;
        };
        append(
            &mut roots,
            note(certificates(&path), variable, &path, warnings),
        );
        seen.push(path);
    }
    roots
}

/// The store that the user's own Java options name, if it can be carried over.
fn java_roots(
    parent: &[(OsString, OsString)],
    warnings: &mut Vec<TrustWarning>,
) -> Option<Vec<u8>> {
    const NAMED_BY: &str = "JAVA_TOOL_OPTIONS";
    let options = value(parent, NAMED_BY)?.to_str()?;
    let store = options.split_whitespace().rev().find_map(|option| {
        let option = option.replace(['"', '\''], "");
        option
            .strip_prefix("-Djavax.net.ssl.trustStore=")
            .map(PathBuf::from)
    })?;
    let bytes = read(&store).map_err(|error| error.to_string());
    let bytes = bytes.and_then(|bytes| match jks::certificates(&bytes) {
        Some(_) => Ok(bytes),
        None => Err("not a store of the format JKS".to_owned()),
    });
    note(bytes, NAMED_BY, &store, warnings)
}

fn platform_roots() -> Vec<u8> {
    STORE_FILES
        .iter()
        .find_map(|path| certificates(Path::new(path)).ok())
        .unwrap_or_else(|| pem(&rustls_native_certs::load_native_certs().certs))
}

/// Reads a PEM file as it is; a directory (OpenSSL's, which `requests` takes as well) is read
/// certificate by certificate.
fn certificates(path: &Path) -> Result<Vec<u8>, String> {
    if path.is_dir() {
        let found = rustls_native_certs::load_certs_from_paths(None, Some(path));
        return match found.certs.as_slice() {
            [] => Err("no certificate in it".to_owned()),
            certificates => Ok(pem(certificates)),
        };
    }
    let bytes = read(path).map_err(|error| error.to_string())?;
    let marker: &[u8] = b"CERTIFICATE-----";
    if !bytes.windows(marker.len()).any(|window| window == marker) {
        return Err("no certificate in it".to_owned());
    }
    Ok(bytes)
}

/// The certificates of a PEM text. What is none, or broken, every reader of the text skips as well.
fn der(pem: &[u8]) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_slice_iter(pem).flatten().collect()
}

fn pem(certificates: &[impl AsRef<[u8]>]) -> Vec<u8> {
    let mut text = Vec::new();
    for certificate in certificates {
        text.extend_from_slice(b"-----BEGIN CERTIFICATE-----\n");
        // RFC 7468: lines of 64 characters.
        for line in STANDARD.encode(certificate).as_bytes().chunks(64) {
            text.extend_from_slice(line);
            text.push(b'\n');
        }
        text.extend_from_slice(b"-----END CERTIFICATE-----\n");
    }
    text
}

/// The user's lines, less those that would lead wget past the gate. `WGETRC` replaces
/// `~/.wgetrc`, so its lines have to come along.
fn wgetrc(
    parent: &[(OsString, OsString)],
    home: Option<&Path>,
    bundle: &Path,
    gate: SocketAddr,
    warnings: &mut Vec<TrustWarning>,
) -> Vec<u8> {
    let previous = match (named(parent, "WGETRC"), home) {
        (Some(path), _) => {
            let lines = read(&path).map_err(|error| error.to_string());
            note(lines, "WGETRC", &path, warnings)
        }
        (None, Some(home)) => {
            let path = home.join(".wgetrc");
            let lines = path
                .exists()
                .then(|| read(&path).map_err(|error| error.to_string()));
            lines.and_then(|lines| note(lines, "wget", &path, warnings))
        }
        (None, None) => None,
    };
    let mut text = Vec::new();
    for line in previous
        .unwrap_or_default()
        .split_inclusive(|b| *b == b'\n')
    {
        if !is_overruled(line) {
            text.extend_from_slice(line);
        }
    }
    let mut ours = b"ca_certificate = ".to_vec();
    ours.extend_from_slice(bundle.as_os_str().as_encoded_bytes());
    // A system-wide wgetrc may name a proxy, and beats the environment; this beats both.
    ours.extend_from_slice(
        format!("\nuse_proxy = on\nhttps_proxy = http://{gate}\nhttp_proxy = http://{gate}\n")
            .as_bytes(),
    );
    append(&mut text, Some(ours));
    text
}

fn is_overruled(line: &[u8]) -> bool {
    let name: Vec<u8> = line
        .iter()
        .take_while(|byte| **byte != b'=')
        .filter(|byte| !byte.is_ascii_whitespace() && !matches!(byte, b'-' | b'_'))
        .map(u8::to_ascii_lowercase)
        .collect();
    WGET_OVERRULED
        .iter()
        .any(|overruled| overruled.as_bytes() == name)
}

fn named(parent: &[(OsString, OsString)], variable: &str) -> Option<PathBuf> {
    value(parent, variable)
        .filter(|value| !value.is_empty())
        .map(PathBuf::from)
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?
        .take(TRUST_FILE_BYTES_MAX + 1)
        .read_to_end(&mut bytes)?;
    if bytes.len() as u64 > TRUST_FILE_BYTES_MAX {
        return Err(io::Error::other(format!(
            "larger than {TRUST_FILE_BYTES_MAX} bytes"
        )));
    }
    Ok(bytes)
}

/// Turns a failure into a warning.
fn note(
    result: Result<Vec<u8>, String>,
    named_by: &'static str,
    path: &Path,
    warnings: &mut Vec<TrustWarning>,
) -> Option<Vec<u8>> {
    result
        .map_err(|reason| {
            warnings.push(TrustWarning::LeftOut {
                named_by,
                path: path.to_owned(),
                reason,
            });
        })
        .ok()
}

/// Appends on a line of its own.
fn append(text: &mut Vec<u8>, more: Option<Vec<u8>>) {
    if let Some(more) = more {
        if text.last().is_some_and(|last| *last != b'\n') {
            text.push(b'\n');
        }
        text.extend(more);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SESSION: &str = "-----BEGIN CERTIFICATE-----\nsession\n-----END CERTIFICATE-----\n";
    const CORPORATE: &str = "-----BEGIN CERTIFICATE-----\ncorporate\n-----END CERTIFICATE-----";

    fn build(parent: &[(&str, &Path)], home: Option<&Path>) -> TrustFiles {
        let parent: Vec<_> = parent
            .iter()
            .map(|(name, value)| ((*name).into(), value.as_os_str().to_owned()))
            .collect();
        let gate = "127.0.0.1:4000".parse().unwrap();
        files(
            &parent,
            home,
            SESSION,
            Path::new("/run/s 1/bundle.pem"),
            gate,
        )
    }

    fn file(directory: &tempfile::TempDir, name: &str, text: &str) -> PathBuf {
        let path = directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    fn text(bytes: &[u8]) -> &str {
        std::str::from_utf8(bytes).unwrap()
    }

    #[test]
    fn bundles_of_the_users_own_are_carried_over_once() {
        let directory = tempfile::tempdir().unwrap();
        let corporate = file(&directory, "corp.pem", CORPORATE);
        let other = file(
            &directory,
            "other.pem",
            &CORPORATE.replace("corporate", "other"),
        );
        let built = build(
            &[
                ("SSL_CERT_FILE", &corporate),
                ("REQUESTS_CA_BUNDLE", &corporate),
                ("CURL_CA_BUNDLE", &other),
                ("NODE_EXTRA_CA_CERTS", &corporate),
            ],
            None,
        );
        assert_eq!(
            text(&built.bundle),
            format!(
                "{CORPORATE}\n{}\n{SESSION}",
                CORPORATE.replace("corporate", "other")
            )
        );
        assert_eq!(text(&built.ca), format!("{SESSION}{CORPORATE}"));
        assert_eq!(built.warnings, []);
    }

    #[test]
    fn without_one_the_platform_decides() {
        let built = build(&[], None);
        assert!(text(&built.bundle).ends_with(SESSION));
        assert_eq!(
            built.bundle.len() == SESSION.len(),
            built.warnings == [TrustWarning::NoRoots]
        );
        assert_eq!(text(&built.ca), SESSION);
    }

    #[test]
    fn what_cannot_be_read_is_said_and_falls_back() {
        let directory = tempfile::tempdir().unwrap();
        let empty = file(&directory, "empty.pem", "");
        let missing = directory.path().join("missing.pem");
        let plain = build(&[], None);
        let built = build(
            &[("SSL_CERT_FILE", &empty), ("NODE_EXTRA_CA_CERTS", &missing)],
            None,
        );
        assert_eq!(built.bundle, plain.bundle);
        assert_eq!(text(&built.ca), SESSION);
        let said: Vec<_> = built.warnings.iter().map(ToString::to_string).collect();
        assert!(
            said[0].starts_with("NODE_EXTRA_CA_CERTS names /"),
            "{said:?}"
        );
        assert!(
            said[1].ends_with("left out: no certificate in it"),
            "{said:?}"
        );
    }

    #[test]
    fn a_java_store_of_the_users_own_is_carried_over() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("corp.jks");
        std::fs::write(&path, jks::store(&[b"corporate"])).unwrap();
        let options = |path: &Path| {
            let path = path.display();
            PathBuf::from(format!("-Xmx1g '-Djavax.net.ssl.trustStore={path}' -ea"))
        };
        let built = build(&[("JAVA_TOOL_OPTIONS", &options(&path))], None);
        let carried = jks::certificates(&built.jks).unwrap();
        assert_eq!(carried[0], b"corporate");
        assert_eq!(carried.len(), 1 + der(&built.bundle).len());
        let pkcs = file(&directory, "corp.p12", "0");
        let built = build(&[("JAVA_TOOL_OPTIONS", &options(&pkcs))], None);
        assert!(
            built.warnings[0]
                .to_string()
                .ends_with("not a store of the format JKS")
        );
    }

    #[test]
    fn a_directory_is_read_file_by_file() {
        let directory = tempfile::tempdir().unwrap();
        let built = build(&[("REQUESTS_CA_BUNDLE", directory.path())], None);
        assert!(
            built.warnings[0]
                .to_string()
                .ends_with("no certificate in it")
        );
        let Some(store) = STORE_FILES.iter().map(Path::new).find(|path| path.exists()) else {
            return;
        };
        let text_of_store = std::fs::read_to_string(store).unwrap();
        let end = "-----END CERTIFICATE-----\n";
        let first = text_of_store.split_inclusive(end).next().unwrap();
        let first = &first[first.find("-----BEGIN").unwrap()..];
        file(&directory, "first.pem", first);
        let built = build(&[("REQUESTS_CA_BUNDLE", directory.path())], None);
        assert_eq!(text(&built.bundle), format!("{first}{SESSION}"));
    }

    #[test]
    fn wget_keeps_its_lines_but_not_its_way_around() {
        let directory = tempfile::tempdir().unwrap();
        let lines = "# mine\ntries = 3\nHTTPS-Proxy=http://old\nuse_proxy = off\nCA_Certificate = /old\ntimeout=5";
        file(&directory, ".wgetrc", lines);
        let ours = "ca_certificate = /run/s 1/bundle.pem\nuse_proxy = on\n\
                    https_proxy = http://127.0.0.1:4000\nhttp_proxy = http://127.0.0.1:4000\n";
        let built = build(&[], Some(directory.path()));
        assert_eq!(
            text(&built.wgetrc),
            format!("# mine\ntries = 3\ntimeout=5\n{ours}")
        );
        let named = file(&directory, "named", "quiet = on\n");
        let built = build(&[("WGETRC", &named)], Some(directory.path()));
        assert_eq!(text(&built.wgetrc), format!("quiet = on\n{ours}"));
        let elsewhere = tempfile::tempdir().unwrap();
        let built = build(&[], Some(elsewhere.path()));
        assert_eq!(text(&built.wgetrc), ours);
        assert_eq!(
            built
                .warnings
                .iter()
                .filter(|w| **w != TrustWarning::NoRoots)
                .count(),
            0
        );
    }
}
