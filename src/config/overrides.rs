//! The first layer: what the command line says. It checks nothing, and has no defaults of its own.

use std::path::PathBuf;

/// What the command line says. Everything is text: this room says what it means.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overrides {
    /// `--upstream URL`
    pub upstream: Option<String>,
    /// `--identity oidc|local`
    pub identity: Option<String>,
    /// `--site SITE`
    pub site: Option<String>,
    /// `--data-dir DIRECTORY`
    pub data_dir: Option<PathBuf>,
    /// `--issuer URL`
    pub issuer: Option<String>,
    /// `--client-id ID`
    pub client_id: Option<String>,
    /// `--storage auto|keyring|file|memory`
    pub storage: Option<String>,
    /// `--prompt auto|always|never`
    pub prompt: Option<String>,
    /// `--browser` or `--device`, with the flag itself.
    pub flow: Option<(&'static str, String)>,
    /// `--profile NAME`
    pub profile: Option<String>,
    /// `--durability power-loss|process`
    pub durability: Option<String>,
    /// `--enforce auto|on|strict|off`
    pub enforce: Option<String>,
    /// `--allow-port PORT`, each
    pub allow_ports: Vec<u16>,
    /// `--egress any|listed|datadog-only`
    pub egress: Option<String>,
    /// `--allow-host HOST[:PORT]`, each
    pub allow_hosts: Vec<String>,
    /// `--age-identity FILE`, each
    pub age_identities: Vec<PathBuf>,
    /// `--read-only`
    pub read_only: bool,
    /// `--allow PATTERN`, each
    pub allow: Vec<String>,
    /// `--deny PATTERN`, each
    pub deny: Vec<String>,
}
