//! Every environment variable ddgate reads, each a documented constant.
//!
//! Invariant: no other file spells the name of a variable that changes what ddgate does.
//! Nothing here decides what a variable means (see `resolve`), and nothing but [`process`]
//! looks at the real environment.

macro_rules! variables {
    ($($name:ident = $about:literal;)*) => {
        $(#[doc = $about] pub const $name: &str = stringify!($name);)*

        /// Name and meaning of every variable, in the order of the manual.
        pub const REGISTRY: &[(&str, &str)] = &[$(($name, $about)),*];
    };
}

variables! {
    DDGATE_CONFIG = "The user's configuration file, instead of `ddgate.toml` in the platform's configuration directory.";
    DDGATE_DATA_DIR = "Where sessions are kept (`data_dir`).";
    DDGATE_UPSTREAM = "A URL every Datadog host is sent to (`datadog.upstream`).";
    DDGATE_ISSUER = "The OpenID Connect issuer that signs people in (`identity.issuer`).";
    DDGATE_CLIENT_ID = "The client id registered with the issuer (`identity.client_id`).";
    DDGATE_CLIENT_SECRET = "The client secret, for an issuer that insists on one (`identity.client_secret`). Never handed to the child.";
    DDGATE_SITE = "The Datadog site, for example `datadoghq.eu` (`datadog.site`).";
    DDGATE_STORAGE = "Where the sign-in is kept: auto, keyring, file or memory (`identity.storage`).";
    DDGATE_PROMPT = "When a person may be asked: auto, always or never (`identity.prompt`).";
    DDGATE_FLOW = "How a person signs in: device or browser (`identity.flow`).";
    DDGATE_NO_BROWSER = "Set to anything: ddgate opens no browser.";
    DDGATE_PROFILE = "The profile of the user's file that is in force (`[profile.NAME]`).";
    DDGATE_IDENTITY = "Who opens the session: oidc or local (`identity.mode`).";
    DDGATE_DURABILITY = "What an acknowledged record survives: power-loss or process (`journal.durability`).";
    DDGATE_ENFORCE = "What the system holds the command to: auto, on, strict or off (`enforce.mode`).";
    DDGATE_EGRESS = "Whom the command may reach through the gate beside Datadog: any, listed or datadog-only (`egress.rule`).";
    DDGATE_RECIPIENTS = "Who can read what sessions hold: age recipients, blanks between them (`journal.recipients`).";
    DDGATE_AGE_IDENTITY = "A file with the age identity that opens sealed sessions; several as in PATH (`journal.age_identities`).";
    DD_SITE = "The Datadog site, as Datadog's own tools read it. DDGATE_SITE wins.";
    DATADOG_SITE = "The same as DD_SITE, which wins.";
    DD_HOST = "A Datadog URL, as older tools read it: names the site when nothing else does.";
    DATADOG_HOST = "The same as DD_HOST, which wins.";
    DD_API_KEY = "The real API key. The child gets a placeholder.";
    DATADOG_API_KEY = "The same as DD_API_KEY, which wins.";
    DD_APP_KEY = "The real application key. The child gets a placeholder.";
    DATADOG_APP_KEY = "The same as DD_APP_KEY, which wins.";
    DD_APPLICATION_KEY = "The same as DD_APP_KEY, which wins.";
    DATADOG_APPLICATION_KEY = "The same as DD_APP_KEY, which wins.";
    DDGATE_REDACTION_KEY = "The key of pseudonyms, any text (`redaction.key`); `ddgate keys set redaction-key` wins. Never handed to the child.";
    HTTPS_PROXY = "A proxy that ddgate itself goes through to reach the outside (also `https_proxy`).";
    ALL_PROXY = "The same as HTTPS_PROXY, which wins (also `all_proxy`).";
    NO_PROXY = "Hosts ddgate reaches without that proxy (also `no_proxy`).";
    SSL_CERT_FILE = "Root certificates ddgate trusts instead of the platform's, and hands on to the child.";
    SSL_CERT_DIR = "The same, as a directory.";
    BROWSER = "The person's own choice of browsers, with `:` between. One for terminals: ddgate opens none.";
    DISPLAY = "Names the X server. Without it and WAYLAND_DISPLAY there is no browser to be opened (Linux).";
    WAYLAND_DISPLAY = "Names the Wayland compositor, see DISPLAY.";
    SSH_CONNECTION = "Set by SSH: the person is on another machine, and ddgate opens no browser.";
    SSH_TTY = "The same.";
    NO_COLOR = "Set to anything: no colours.";
    CI = "Set to anything but `false`: nobody is there to be asked.";
}

/// Reads one variable of this process, for the edge that starts [`super::load`].
///
/// Bytes that are not Unicode become U+FFFD, which `resolve` refuses by name instead of using.
#[must_use]
pub fn process(name: &str) -> Option<String> {
    std::env::var_os(name).map(|value| value.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_explained() {
        for (at, (name, about)) in REGISTRY.iter().enumerate() {
            assert!(about.ends_with('.'), "{name}");
            assert!(
                REGISTRY[at + 1..].iter().all(|(other, _)| other != name),
                "{name} stands twice"
            );
        }
    }
}
