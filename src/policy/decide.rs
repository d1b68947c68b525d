//! The decision: may this be done in this session?
//!
//! Read-only first, then what is denied, then what is allowed: the narrowest word comes last, and
//! each can only say no. `decide` knows nothing of HTTP, so that whatever has a name and an effect
//! (an operation of the REST API, a tool of an MCP server) is judged the same way.

use std::borrow::Cow;

use super::pattern::Pattern;
use crate::record::policy::PolicyInForce;
use crate::record::{Effect, Operation};

/// The rule of a session without a policy, and of whatever no rule says anything about.
pub const DEFAULT: &str = "default";
/// The rule, and the verdict, of a session that may only read.
const READ_ONLY: &str = "read-only";
/// The rule, and the verdict, of a call that no allow-list holds.
const NOT_ALLOWED: &str = "not-allowed";
/// The verdict of a call that a pattern denies.
const DENIED: &str = "denied";
/// So many patterns are named to the agent; all of them stand in the first leaf.
const PATTERNS_NAMED: usize = 8;

/// What a session may do. The default is everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    read_only: bool,
    allow: Vec<Vec<Pattern>>,
    deny: Vec<Pattern>,
}

impl Policy {
    /// Adds what one place says (the user's file, a project's, the command line). It can only
    /// take away: a list of what is allowed narrows those before it, and none is as good as no
    /// list.
    pub fn restrict(&mut self, read_only: bool, allow: Vec<Pattern>, deny: Vec<Pattern>) {
        self.read_only |= read_only;
        if !allow.is_empty() {
            self.allow.push(allow);
        }
        self.deny.extend(deny);
    }

    /// Whether everything may be done.
    #[must_use]
    pub fn is_open(&self) -> bool {
        *self == Self::default()
    }

    /// How many patterns there are in all.
    #[must_use]
    pub fn patterns(&self) -> usize {
        self.deny.len() + self.allow.iter().map(Vec::len).sum::<usize>()
    }

    /// As the first leaf says it; none when everything is allowed.
    #[must_use]
    pub fn in_force(&self) -> Option<PolicyInForce> {
        let texts = |list: &Vec<Pattern>| {
            list.iter()
                .map(|pattern| pattern.text().to_owned())
                .collect()
        };
        (!self.is_open()).then(|| PolicyInForce {
            read_only: self.read_only,
            allow: self.allow.iter().map(texts).collect(),
            deny: texts(&self.deny),
        })
    }
}

/// What somebody wants to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked<'a> {
    /// What it is called (`CreateMonitor`, the name of a tool); none when nobody knows it.
    pub id: Option<&'a str>,
    /// The group it belongs to, or empty.
    pub tag: &'a str,
    /// What it does to the account.
    pub effect: Effect,
    /// What it is where it has no name: the HTTP method.
    pub kind: &'a str,
}

impl<'a> Asked<'a> {
    /// A call of Datadog's REST API.
    #[must_use]
    pub fn call(method: &'a str, operation: &Operation) -> Self {
        Self {
            id: operation.id,
            tag: operation.group,
            effect: operation.effect,
            kind: method,
        }
    }

    /// How the agent is told what it asked for.
    fn name(&self) -> String {
        match self.id {
            Some(id) => id.to_owned(),
            None => format!("this {}", self.kind),
        }
    }

    /// What is wrong with it where only reads may be done.
    fn is_no_read(&self) -> String {
        let what = match self.effect {
            Effect::Read => "a read",
            Effect::Write => "a write",
            Effect::Destroy => "a deletion",
            Effect::Unknown => "not known to be a read",
        };
        match self.id {
            Some(id) => format!("{id} is {what}"),
            None if self.effect == Effect::Unknown => format!(
                "this {} is not an operation ddgate knows, so it does not count as a read",
                self.kind
            ),
            None => format!(
                "this {} is not an operation ddgate knows, so it counts as {what}",
                self.kind
            ),
        }
    }
}

/// What was decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It may be done.
    Allow {
        /// The rule that says so.
        rule: Cow<'static, str>,
    },
    /// It may not.
    Deny {
        /// The rule that says so, for the record.
        rule: Cow<'static, str>,
        /// The same in one word, for programs.
        word: &'static str,
        /// The same for the agent, in plain words.
        why: String,
    },
}

/// Decides.
#[must_use]
pub fn decide(policy: &Policy, asked: &Asked<'_>) -> Verdict {
    let is_meant = |pattern: &&Pattern| pattern.matches(asked.id, asked.tag);
    if policy.read_only && asked.effect != Effect::Read {
        let why = format!("{}, and this session is read-only", asked.is_no_read());
        return deny(READ_ONLY.into(), READ_ONLY, &why);
    }
    if let Some(pattern) = policy.deny.iter().find(is_meant) {
        let text = pattern.text();
        let why = format!("{} is denied in this session by `{text}`", asked.name());
        return deny(format!("deny:{text}").into(), DENIED, &why);
    }
    let mut rule = Cow::Borrowed(if policy.read_only { READ_ONLY } else { DEFAULT });
    for list in &policy.allow {
        match list.iter().find(is_meant) {
            Some(pattern) => rule = format!("allow:{}", pattern.text()).into(),
            None => {
                let why = format!(
                    "{} is not among what this session may do (only {})",
                    asked.name(),
                    named(list)
                );
                return deny(NOT_ALLOWED.into(), NOT_ALLOWED, &why);
            }
        }
    }
    Verdict::Allow { rule }
}

fn deny(rule: Cow<'static, str>, word: &'static str, why: &str) -> Verdict {
    Verdict::Deny {
        rule,
        word,
        why: format!(
            "{why}; it was not sent, and trying again will not help: the person who started \
             ddgate decides what is allowed"
        ),
    }
}

fn named(list: &[Pattern]) -> String {
    let first = list.iter().take(PATTERNS_NAMED).map(Pattern::text);
    let mut text = first.collect::<Vec<_>>().join(", ");
    if let Some(more) = list.len().checked_sub(PATTERNS_NAMED).filter(|n| *n > 0) {
        text.push_str(&format!(" and {more} more"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::datadog::classify;
    use http::Method;
    use proptest::prelude::*;

    /// Read here once more, by column: the catalogue is not to be its own judge.
    static TABLE: &str = include_str!("../datadog/operations.tsv");

    fn policy(read_only: bool, allow: &[&str], deny: &[&str]) -> Policy {
        let mut policy = Policy::default();
        policy.restrict(read_only, patterns(allow), patterns(deny));
        policy
    }

    fn patterns(texts: &[&str]) -> Vec<Pattern> {
        texts.iter().map(|t| Pattern::parse(t).unwrap()).collect()
    }

    fn call(policy: &Policy, method: &str, host: &str, path: &str) -> Verdict {
        let method: Method = method.parse().unwrap();
        decide(
            policy,
            &Asked::call(method.as_str(), &classify(&method, host, path)),
        )
    }

    fn api(policy: &Policy, method: &str, path: &str) -> Verdict {
        call(policy, method, "api.datadoghq.com", path)
    }

    fn rule(verdict: &Verdict) -> (bool, &str) {
        match verdict {
            Verdict::Allow { rule } => (true, rule),
            Verdict::Deny { rule, .. } => (false, rule),
        }
    }

    fn host(word: &str) -> &'static str {
        match word {
            "logs-intake" => "http-intake.logs.datadoghq.com",
            "event-intake" => "event-management-intake.datadoghq.com",
            "browser-intake" => "browser-intake-datadoghq.com",
            "on-call" => "navy.oncall.datadoghq.com",
            "ip-ranges" => "ip-ranges.datadoghq.com",
            _ => "api.datadoghq.com",
        }
    }

    #[test]
    fn read_only_is_judged_by_the_whole_catalogue_and_not_by_the_verb() {
        let read_only = policy(true, &[], &[]);
        let (mut posted_reads, mut denied, mut rows) = (0, 0, 0);
        for line in TABLE.lines().filter(|line| !line.starts_with('#')).skip(1) {
            let columns: Vec<_> = line.split('\t').collect();
            let [method, route, id, _, kind, _, on, ..] = columns[..] else {
                panic!("{line}");
            };
            let path = route.replace(['{', '}'], "");
            let verdict = call(&read_only, method, host(on), &path);
            assert_eq!(
                rule(&verdict),
                (kind == "read", "read-only"),
                "{method} {route}"
            );
            if let Verdict::Deny { why, .. } = &verdict {
                let word = if kind == "delete" {
                    "a deletion"
                } else {
                    "a write"
                };
                assert!(
                    why.starts_with(&format!("{id} is {word}, and this session is read-only;")),
                    "{why}"
                );
            }
            posted_reads += usize::from(kind == "read" && method == "POST");
            denied += usize::from(kind != "read");
            rows += 1;
        }
        assert!(posted_reads > 50 && denied > 800 && rows > 1700);
    }

    #[test]
    fn read_only_and_what_nobody_knows() {
        let read_only = policy(true, &[], &[]);
        for (method, path, allowed) in [
            ("GET", "/api/v1/validate", true),
            ("HEAD", "/api/v1/monitor/1", true),
            ("POST", "/api/v2/logs/events/search", true),
            ("POST", "/api/v1/monitor", false),
            ("GET", "/api/v1/graph/snapshot", false),
            ("GET", "/api/v9/thing", false),
            ("HEAD", "/api/v9/thing", false),
            ("OPTIONS", "/api/v1/monitor", false),
            ("POST", "/api/v9/thing", false),
            ("DELETE", "/api/v9/thing", false),
            ("PURGE", "/api/v1/monitor", false),
        ] {
            assert_eq!(
                rule(&api(&read_only, method, path)),
                (allowed, "read-only"),
                "{method} {path}"
            );
        }
        for method in ["GET", "POST", "DELETE"] {
            let verdict = call(&read_only, method, "mcp.datadoghq.com", "/v1/mcp");
            assert_eq!(rule(&verdict), (false, "read-only"));
        }
        let why = |method| match api(&read_only, method, "/api/v9/thing") {
            Verdict::Deny { why, word, .. } => {
                assert_eq!(word, "read-only");
                why
            }
            Verdict::Allow { .. } => panic!("{method}"),
        };
        assert!(why("GET").starts_with(
            "this GET is not an operation ddgate knows, so it does not count as a read, and this \
             session is read-only; it was not sent"
        ));
        assert!(why("POST").contains("so it counts as a write"));
        assert!(why("DELETE").contains("so it counts as a deletion"));
    }

    #[test]
    fn deny_wins_and_an_allow_list_is_all_there_is() {
        let (create, list, delete) = (
            ("POST", "/api/v1/monitor"),
            ("GET", "/api/v1/monitor"),
            ("DELETE", "/api/v1/monitor/1"),
        );
        let unknown = ("POST", "/api/v9/thing");
        for (allow, deny, (method, path), expected) in [
            (&[][..], &[][..], create, (true, "default")),
            (
                &[],
                &["CreateMonitor"],
                create,
                (false, "deny:CreateMonitor"),
            ),
            (&[], &["tag:monitors"], list, (false, "deny:tag:monitors")),
            (&[], &["Delete*"], create, (true, "default")),
            (&[], &["Delete*"], delete, (false, "deny:Delete*")),
            (&["tag:Monitors"], &[], create, (true, "allow:tag:Monitors")),
            (&["ListMonitors"], &[], create, (false, "not-allowed")),
            (
                &["*Monitor*"],
                &["Delete*"],
                delete,
                (false, "deny:Delete*"),
            ),
            (
                &["*Monitor*"],
                &["Delete*"],
                list,
                (true, "allow:*Monitor*"),
            ),
            (&["*Monitor*"], &[], unknown, (false, "not-allowed")),
            (&["*"], &[], unknown, (true, "allow:*")),
            (&[], &["*"], unknown, (false, "deny:*")),
            (&[], &["tag:*"], unknown, (true, "default")),
        ] {
            let policy = policy(false, allow, deny);
            let verdict = api(&policy, method, path);
            assert_eq!(
                rule(&verdict),
                expected,
                "{allow:?} {deny:?} {method} {path}"
            );
        }
    }

    #[test]
    fn a_second_place_only_takes_away() {
        let mut both = policy(true, &["tag:Monitors"], &[]);
        both.restrict(false, patterns(&["List*", "Create*"]), Vec::new());
        let list = api(&both, "GET", "/api/v1/monitor");
        assert_eq!(rule(&list), (true, "allow:List*"));
        let other = api(&both, "GET", "/api/v1/dashboard");
        assert_eq!(rule(&other), (false, "not-allowed"));
        let one = api(&both, "GET", "/api/v1/monitor/1");
        assert_eq!(rule(&one), (false, "not-allowed"));
        let create = api(&both, "POST", "/api/v1/monitor");
        assert_eq!(rule(&create), (false, "read-only"), "still read-only");
        let said = both.in_force().unwrap().to_string();
        assert_eq!(said, "read-only; only tag:Monitors; only List*, Create*");
        assert_eq!(both.patterns(), 3);
        assert_eq!(Policy::default().in_force(), None);
    }

    #[test]
    fn whatever_has_a_name_and_an_effect_is_judged_alike() {
        let tool = |effect| Asked {
            id: Some("search_logs"),
            tag: "",
            effect,
            kind: "tool call",
        };
        let read_only = policy(true, &[], &[]);
        assert!(matches!(
            decide(&read_only, &tool(Effect::Read)),
            Verdict::Allow { .. }
        ));
        let Verdict::Deny { why, .. } = decide(&read_only, &tool(Effect::Unknown)) else {
            panic!("an unknown tool is no read");
        };
        assert!(
            why.starts_with("search_logs is not known to be a read, and"),
            "{why}"
        );
    }

    proptest! {
        /// More rules never allow more.
        #[test]
        fn a_rule_more_never_allows_more(
            row in 0..1700_usize,
            read_only in any::<bool>(),
            (allow, deny) in (0..4_usize, 0..4_usize),
        ) {
            const PATTERNS: [&[&str]; 4] = [&[], &["List*"], &["tag:Monitors", "*Log*"], &["*"]];
            let line = TABLE.lines().filter(|line| !line.starts_with('#')).nth(1 + row).unwrap();
            let columns: Vec<_> = line.split('\t').collect();
            let path = columns[1].replace(['{', '}'], "");
            let before = policy(false, PATTERNS[allow], &[]);
            let mut after = before.clone();
            after.restrict(read_only, patterns(PATTERNS[deny]), patterns(PATTERNS[(deny + allow) % 4]));
            let (one, two) = (api(&before, columns[0], &path), api(&after, columns[0], &path));
            prop_assert!(rule(&one).0 || !rule(&two).0, "{line}");
        }
    }
}
