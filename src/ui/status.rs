//! What `status`, `keys list` and `config show` show. The views are plain data, filled by the
//! verbs; their field names are the field names of `--json`. None of them can hold a secret.

use chrono::{DateTime, Utc};

use super::escape::escape;
use super::people;
use super::style::{Look, Tone};
use super::table::{Cell, Column, Table, fields};
use super::workload::{self, WorkloadView};

/// What stands behind an identity that was renewed without an ID token.
const BY_USERINFO: &str = "the provider's userinfo, not by a signed token";
/// How moments are written.
pub(super) const MOMENT: &str = "%Y-%m-%d %H:%M:%S %:z";

/// Everything `ddgate status` knows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StatusView {
    /// The stored sign-in, if there is one.
    pub sign_in: Option<SignIn>,
    /// The workload that a run would be, where it is none of a person.
    pub workload: Option<WorkloadView>,
    /// The profile in force.
    pub profile: Option<String>,
    /// What a run would record: `oidc` or `local`.
    pub identity_mode: String,
    /// The configured identity provider.
    pub issuer: Option<String>,
    /// The keys the gate would use.
    pub keys: Vec<KeyView>,
    /// Datadog's site.
    pub site: String,
    /// Where calls go instead, if so.
    pub upstream: Option<String>,
    /// Where sessions are kept.
    pub data_dir: String,
    /// The configuration files read, in the order they were read.
    pub config_files: Vec<String>,
    /// Sessions on this machine.
    pub sessions: u64,
}

/// A stored sign-in, as far as it is known without asking the provider.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct SignIn {
    /// The identity provider.
    pub issuer: String,
    /// `sub` of the person.
    pub subject: String,
    /// Their name, if the provider sent one.
    pub name: Option<String>,
    /// Their e-mail address, if sent.
    pub email: Option<String>,
    /// Whether the provider vouches for it, if it said so.
    pub email_verified: Option<bool>,
    /// Their groups, as of the last renewal.
    pub groups: Vec<String>,
    /// True when there are more.
    pub groups_incomplete: bool,
    /// Whether the provider's userinfo said so, in the place of a signed ID token.
    pub by_userinfo: bool,
    /// Where it is kept.
    pub kept_in: String,
    /// When it was last renewed.
    #[serde(serialize_with = "super::json::serialize_time")]
    pub renewed: DateTime<Utc>,
    /// When the identity verified then expires, if that is known.
    #[serde(serialize_with = "super::json::serialize_optional_time")]
    pub expires: Option<DateTime<Utc>>,
    /// When a run that is under way renews it.
    #[serde(serialize_with = "super::json::serialize_optional_time")]
    pub next_refresh: Option<DateTime<Utc>>,
}

/// A profile, and who is signed in there.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct ProfileView {
    /// Its name; none is what the configuration says without any.
    pub profile: Option<String>,
    /// Its identity provider.
    pub issuer: Option<String>,
    /// Its Datadog site.
    pub site: String,
    /// The stored sign-in, if there is one.
    pub signed_in: Option<SignIn>,
}

impl SignIn {
    /// The short label people know somebody by: e-mail, else name, else subject.
    fn label(&self) -> &str {
        let name = self.email.as_deref().or(self.name.as_deref());
        name.unwrap_or(&self.subject)
    }
}

/// A key the gate holds, without its value.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct KeyView {
    /// `api-key`, `app-key`, `bearer` or `redaction-key`.
    pub name: String,
    /// Where it comes from: `the system keyring`, `DD_API_KEY`, `credential_command`. None when
    /// it is not set.
    pub source: Option<String>,
    /// The credential it belongs to, where the settings list several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credential: Option<String>,
    /// The groups that credential is for; none: everybody.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
}

impl KeyView {
    /// A key that belongs to no credential of a list.
    #[must_use]
    pub fn of(name: &str, source: Option<String>) -> Self {
        Self {
            name: name.to_owned(),
            source,
            credential: None,
            groups: Vec::new(),
        }
    }
}

/// One setting.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct ConfigEntry {
    /// Its name in the configuration file.
    pub key: String,
    /// Its value; none when it is not set.
    pub value: Option<String>,
    /// Where the value came from: `default`, a file, a variable, a flag.
    pub source: String,
}

/// Renders `ddgate status`.
#[must_use]
pub fn status(view: &StatusView, look: &Look) -> String {
    let mut rows = match &view.workload {
        // Whoever else has signed in: here it is the job or nobody.
        Some(workload) => workload::rows(workload, look),
        None => vec![("signed in", sign_in(view, look))],
    };
    if let (Some(sign_in), None) = (&view.sign_in, &view.workload) {
        rows.extend(person(sign_in, look));
    }
    if let Some(profile) = &view.profile {
        rows.push(("profile", escape(profile).into_owned()));
    }
    rows.push((
        "issuer",
        optional(view.issuer.as_deref(), "none configured", look),
    ));
    rows.push(("site", escape(&view.site).into_owned()));
    if let Some(upstream) = &view.upstream {
        rows.push(("upstream", escape(upstream).into_owned()));
    }
    rows.push((
        "sessions",
        format!("{} in {}", view.sessions, escape(&view.data_dir)),
    ));
    let files: Vec<_> = view.config_files.iter().map(|file| escape(file)).collect();
    let files = (!files.is_empty()).then(|| files.join(", "));
    rows.push((
        "config",
        files.unwrap_or_else(|| look.paint(Tone::Dim, "no file")),
    ));
    let mut text = fields(&rows, look);
    text.push('\n');
    text.push_str(&keys(&view.keys, look));
    if let Some(workload) = &view.workload {
        text.push_str(&workload::advice(workload, look));
    }
    text
}

fn sign_in(view: &StatusView, look: &Look) -> String {
    match &view.sign_in {
        Some(sign_in) => {
            let label = look.paint(Tone::Strong, &escape(sign_in.label()));
            format!("{label} at {}", escape(&sign_in.issuer))
        }
        None if view.identity_mode == "local" => {
            look.paint(Tone::Warn, "no; runs record the OS user, unverified")
        }
        None => look.paint(Tone::Warn, "no; sign in with: ddgate login"),
    }
}

/// What is known of the person beside their label.
fn person(sign_in: &SignIn, look: &Look) -> Vec<(&'static str, String)> {
    let mut rows = vec![("subject", escape(&sign_in.subject).into_owned())];
    if let Some(email) = &sign_in.email {
        let verified = match sign_in.email_verified {
            Some(true) => look.paint(Tone::Good, "verified"),
            Some(false) => look.paint(Tone::Warn, "not verified"),
            None => look.paint(
                Tone::Dim,
                "the provider does not say whether it is verified",
            ),
        };
        rows.push(("e-mail", format!("{} ({verified})", escape(email))));
    }
    let groups = people::group_list(&sign_in.groups, sign_in.groups_incomplete);
    rows.push((
        "groups",
        groups.unwrap_or_else(|| look.paint(Tone::Dim, "none")),
    ));
    if sign_in.by_userinfo {
        rows.push(("verified by", BY_USERINFO.to_owned()));
    }
    rows.push(("kept in", escape(&sign_in.kept_in).into_owned()));
    let moment = |at| look.moment(at, MOMENT);
    rows.push(("renewed", moment(sign_in.renewed)));
    if let Some(expires) = sign_in.expires {
        rows.push(("expires", format!("{}, unless renewed", moment(expires))));
    }
    rows.push((
        "next refresh",
        match sign_in.next_refresh {
            Some(at) => format!("when a run begins, or in one at {}", moment(at)),
            None => "when a run begins".to_owned(),
        },
    ));
    rows
}

/// Renders `ddgate status --all`.
#[must_use]
pub fn profiles(profiles: &[ProfileView], look: &Look) -> String {
    let mut table = Table::new(&[
        Column::text("PROFILE"),
        Column::text("SIGNED IN").shrinking(12),
        Column::text("AT").shrinking(12),
        Column::text("SITE"),
        Column::text("EXPIRES"),
    ]);
    for profile in profiles {
        let dim = |text: &str| Cell::new(Tone::Dim, text);
        let sign_in = profile.signed_in.as_ref();
        let expires = sign_in.and_then(|sign_in| sign_in.expires);
        table.row(vec![
            profile
                .profile
                .as_deref()
                .map_or_else(|| dim("(none)"), Cell::plain),
            sign_in.map_or_else(|| dim("no"), |sign_in| Cell::plain(sign_in.label())),
            profile
                .issuer
                .as_deref()
                .map_or_else(|| dim("not configured"), Cell::plain),
            Cell::plain(&profile.site),
            expires.map_or_else(|| dim(""), |at| Cell::plain(&look.moment(at, MOMENT))),
        ]);
    }
    table.render(look)
}

/// Renders `ddgate keys list`.
#[must_use]
pub fn keys(keys: &[KeyView], look: &Look) -> String {
    let is_list = keys.iter().any(|key| key.credential.is_some());
    let mut columns = vec![Column::text("KEY"), Column::text("FROM").shrinking(12)];
    if is_list {
        columns.splice(
            0..0,
            [
                Column::text("CREDENTIAL"),
                Column::text("FOR").shrinking(9).optional(),
            ],
        );
    }
    let mut table = Table::new(&columns);
    for key in keys {
        let mut cells = vec![
            Cell::plain(&key.name),
            match &key.source {
                Some(source) => Cell::plain(source),
                None => Cell::new(Tone::Dim, "not set"),
            },
        ];
        if is_list {
            let whose = match (&key.credential, key.groups.is_empty()) {
                (None, _) => String::new(),
                (Some(_), true) => "everybody".to_owned(),
                (Some(_), false) => key.groups.join(", "),
            };
            let credential = key.credential.as_deref().unwrap_or_default();
            cells.splice(0..0, [Cell::plain(credential), Cell::plain(&whose)]);
        }
        table.row(cells);
    }
    table.render(look)
}

/// Renders `ddgate config show`.
#[must_use]
pub fn config(entries: &[ConfigEntry], look: &Look) -> String {
    let mut table = Table::new(&[
        Column::text("SETTING"),
        Column::text("VALUE").shrinking(16),
        Column::text("FROM").shrinking(12),
    ]);
    for entry in entries {
        let is_default = entry.source == "default";
        table.row(vec![
            Cell::plain(&entry.key),
            match &entry.value {
                Some(value) => Cell::plain(value),
                None => Cell::new(Tone::Dim, "not set"),
            },
            Cell::new(
                if is_default { Tone::Dim } else { Tone::Good },
                &entry.source,
            ),
        ]);
    }
    table.render(look)
}

fn optional(value: Option<&str>, otherwise: &str, look: &Look) -> String {
    match value {
        Some(value) => escape(value).into_owned(),
        None => look.paint(Tone::Dim, otherwise),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::style::test_look;
    use super::*;
    use crate::replay::sample::{alice, started};

    pub(in super::super) fn view() -> StatusView {
        let who = alice();
        StatusView {
            sign_in: Some(SignIn {
                issuer: who.issuer,
                subject: who.subject,
                name: who.name,
                email: who.email,
                email_verified: Some(true),
                groups: who.groups,
                groups_incomplete: false,
                by_userinfo: false,
                kept_in: "the system keyring".into(),
                renewed: started(),
                expires: Some(started() + chrono::TimeDelta::minutes(60)),
                next_refresh: Some(started() + chrono::TimeDelta::minutes(48)),
            }),
            workload: None,
            profile: None,
            identity_mode: "oidc".into(),
            issuer: Some("https://idp.example".into()),
            keys: vec![
                KeyView::of("api-key", Some("the system keyring".into())),
                KeyView::of("app-key", None),
            ],
            site: "datadoghq.eu".into(),
            upstream: None,
            data_dir: "/home/alice/.local/share/ddgate".into(),
            config_files: vec!["/home/alice/.config/ddgate/ddgate.toml".into()],
            sessions: 12,
        }
    }

    #[test]
    fn status_says_who_and_where() {
        insta::assert_snapshot!(status(&view(), &test_look()), @r"
        signed in     alice@example.com at https://idp.example
        subject       u-1
        e-mail        alice@example.com (verified)
        groups        eng, oncall
        kept in       the system keyring
        renewed       2027-01-15 10:00:00 +02:00
        expires       2027-01-15 11:00:00 +02:00, unless renewed
        next refresh  when a run begins, or in one at 2027-01-15 10:48:00 +02:00
        issuer        https://idp.example
        site          datadoghq.eu
        sessions      12 in /home/alice/.local/share/ddgate
        config        /home/alice/.config/ddgate/ddgate.toml

        KEY      FROM
        api-key  the system keyring
        app-key  not set
        ");
    }

    #[test]
    fn what_nobody_vouches_for_is_said() {
        let mut view = view();
        view.profile = Some("work".into());
        let who = view.sign_in.as_mut().unwrap();
        who.email_verified = None;
        who.groups.clear();
        who.groups_incomplete = true;
        (who.expires, who.next_refresh) = (None, None);
        let text = status(&view, &test_look());
        for line in [
            "e-mail        alice@example.com (the provider does not say whether it is verified)",
            "groups        not known",
            "next refresh  when a run begins\n",
            "profile       work",
        ] {
            assert!(text.contains(line), "{text}");
        }
        view.sign_in.as_mut().unwrap().by_userinfo = true;
        let line = "verified by   the provider's userinfo, not by a signed token\n";
        assert!(status(&view, &test_look()).contains(line));
        view.sign_in.as_mut().unwrap().email_verified = Some(false);
        assert!(status(&view, &test_look()).contains("alice@example.com (not verified)"));
    }

    #[test]
    fn every_profile_has_a_line() {
        let signed_in = ProfileView {
            profile: Some("work".into()),
            issuer: Some("https://idp.example".into()),
            site: "datadoghq.eu".into(),
            signed_in: view().sign_in,
        };
        let none = ProfileView {
            profile: None,
            issuer: None,
            site: "datadoghq.com".into(),
            signed_in: None,
        };
        insta::assert_snapshot!(profiles(&[none, signed_in], &test_look()), @r"
        PROFILE  SIGNED IN          AT                   SITE           EXPIRES
        (none)   no                 not configured       datadoghq.com
        work     alice@example.com  https://idp.example  datadoghq.eu   2027-01-15 11:00:00 +02:00
        ");
    }

    #[test]
    fn status_without_a_sign_in_says_what_to_do() {
        let mut view = StatusView {
            sign_in: None,
            issuer: None,
            ..view()
        };
        view.config_files.clear();
        view.upstream = Some("http://127.0.0.1:9".into());
        insta::assert_snapshot!(status(&view, &test_look()), @r"
        signed in  no; sign in with: ddgate login
        issuer     none configured
        site       datadoghq.eu
        upstream   http://127.0.0.1:9
        sessions   12 in /home/alice/.local/share/ddgate
        config     no file

        KEY      FROM
        api-key  the system keyring
        app-key  not set
        ");
        view.identity_mode = "local".into();
        assert!(status(&view, &test_look()).contains("OS user, unverified"));
    }

    #[test]
    fn config_says_where_each_value_came_from() {
        let entry = |key: &str, value: Option<&str>, source: &str| ConfigEntry {
            key: key.into(),
            value: value.map(Into::into),
            source: source.into(),
        };
        let entries = [
            entry("site", Some("datadoghq.com"), "default"),
            entry("issuer", Some("https://idp\x1b[2J"), "DDGATE_ISSUER"),
            entry("upstream", None, "default"),
        ];
        insta::assert_snapshot!(config(&entries, &test_look()), @r"
        SETTING   VALUE                 FROM
        site      datadoghq.com         default
        issuer    https://idp\u{1b}[2J  DDGATE_ISSUER
        upstream  not set               default
        ");
    }
}
