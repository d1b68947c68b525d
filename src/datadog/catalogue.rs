//! The catalogue of Datadog's operations: method, host and path in, meaning out.
//!
//! Invariant: only a call the table names as a read is a read. Whatever looks odd (an empty or dot
//! segment, an encoded slash, a malformed escape) matches nothing and falls to the careful side.
//! It trusts the method: headers that override one must not reach Datadog.

use std::borrow::Cow;
use std::sync::OnceLock;

use http::Method;

use super::path;
use crate::record::{Effect, Operation, Resource};

static TABLE: &str = include_str!("operations.tsv");

/// Says what a call means.
///
/// `host` is the host the call is for, without port; `path` has no query. HEAD counts as GET, one
/// trailing slash is tolerated. A call that is not in the catalogue has no id and its literal path
/// as route: GET, HEAD and methods Datadog does not use are [`Effect::Unknown`], DELETE is
/// [`Effect::Destroy`], POST, PUT and PATCH are [`Effect::Write`]. The MCP hosts speak JSON-RPC,
/// which says nothing in its path: always [`Effect::Unknown`].
///
/// Resources hold the percent-decoded identifiers, the nearest object first; an identifier that is
/// itself a secret (a key in a path) is left out as `[REDACTED:<parameter>]`.
#[must_use]
pub fn classify(method: &Method, host: &str, path: &str) -> Operation {
    let host = HostKind::of(host);
    let found = Verb::of(method)
        .filter(|_| host != HostKind::Mcp)
        .and_then(|verb| {
            let segments = path::segments(path)?;
            let catalogue = catalogue();
            let mut captured = Vec::with_capacity(4);
            let node = catalogue.find(0, &segments, &mut captured)?;
            let row = catalogue.row(node, verb)?;
            // A read is a read only where it was read about; for the rest the path is enough.
            (row.host == host || row.effect != Effect::Read).then(|| row.operation(&captured))
        });
    found.unwrap_or_else(|| Operation {
        id: None,
        group: "",
        route: path.to_owned(),
        effect: unknown_effect(method, host),
        resources: Vec::new(),
        secret_request: &[],
        secret_response: &[],
    })
}

/// Every operation's id and tag, in the order of the table. Some ids stand there twice: for both
/// versions of the API.
pub fn known() -> impl Iterator<Item = (&'static str, &'static str)> {
    catalogue().rows.iter().map(|row| (row.id, row.group))
}

/// Whether a host is that of Datadog's remote MCP server.
#[must_use]
pub fn is_mcp_host(host: &str) -> bool {
    HostKind::of(host) == HostKind::Mcp
}

fn unknown_effect(method: &Method, host: HostKind) -> Effect {
    match *method {
        _ if host == HostKind::Mcp => Effect::Unknown,
        Method::DELETE => Effect::Destroy,
        Method::POST | Method::PUT | Method::PATCH => Effect::Write,
        _ => Effect::Unknown,
    }
}

/// The hosts that are told apart because an operation lives on one of them only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum HostKind {
    Api,
    LogsIntake,
    EventIntake,
    BrowserIntake,
    OnCall,
    IpRanges,
    Mcp,
}

impl HostKind {
    fn of(host: &str) -> Self {
        let starts = |prefix: &str| {
            host.get(..prefix.len())
                .is_some_and(|front| front.eq_ignore_ascii_case(prefix))
        };
        if starts("http-intake.logs.") {
            Self::LogsIntake
        } else if starts("event-management-intake.") {
            Self::EventIntake
        } else if starts("browser-intake-") {
            Self::BrowserIntake
        } else if starts("ip-ranges.") {
            Self::IpRanges
        } else if starts("mcp.") {
            Self::Mcp
        } else if host
            .split('.')
            .nth(1)
            .is_some_and(|label| label.eq_ignore_ascii_case("oncall"))
        {
            Self::OnCall
        } else {
            Self::Api
        }
    }

    fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "api" => Self::Api,
            "logs-intake" => Self::LogsIntake,
            "event-intake" => Self::EventIntake,
            "browser-intake" => Self::BrowserIntake,
            "on-call" => Self::OnCall,
            "ip-ranges" => Self::IpRanges,
            _ => return None,
        })
    }
}

/// The methods of the table; the value is a slot of [`Node::rows`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verb {
    Get = 0,
    Post = 1,
    Put = 2,
    Patch = 3,
    Delete = 4,
}

impl Verb {
    fn of(method: &Method) -> Option<Self> {
        Some(match *method {
            Method::GET | Method::HEAD => Self::Get,
            Method::POST => Self::Post,
            Method::PUT => Self::Put,
            Method::PATCH => Self::Patch,
            Method::DELETE => Self::Delete,
            _ => return None,
        })
    }

    fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "GET" => Self::Get,
            "POST" => Self::Post,
            "PUT" => Self::Put,
            "PATCH" => Self::Patch,
            "DELETE" => Self::Delete,
            _ => return None,
        })
    }
}

/// One line of the table.
struct Row {
    verb: Verb,
    route: &'static str,
    id: &'static str,
    group: &'static str,
    effect: Effect,
    host: HostKind,
    resources: Vec<Named>,
    secret_request: Vec<&'static str>,
    secret_response: Vec<&'static str>,
}

/// An object that a path names.
struct Named {
    kind: &'static str,
    /// What its identifier is made of.
    id: Vec<Part>,
}

#[derive(Clone, Copy)]
enum Part {
    /// The value of this parameter of the path.
    Captured(usize),
    /// A parameter that is a secret itself, by its name.
    Secret(&'static str),
}

impl Row {
    fn parse(line: &'static str) -> Option<Self> {
        let columns: Vec<_> = line.split('\t').collect();
        // The two that are left out are for people, and for rules to come.
        let [
            verb,
            route,
            id,
            group,
            effect,
            _,
            host,
            resources,
            _,
            secret_request,
            secret_response,
        ] = columns[..]
        else {
            return None;
        };
        let secret_request = list(secret_request);
        Some(Self {
            verb: Verb::parse(verb)?,
            route,
            id,
            group,
            effect: match effect {
                "read" => Effect::Read,
                "write" => Effect::Write,
                "delete" => Effect::Destroy,
                _ => return None,
            },
            host: HostKind::parse(host)?,
            resources: resources
                .split(',')
                .map(|item| Named::parse(item, route, &secret_request))
                .collect(),
            secret_request,
            secret_response: list(secret_response),
        })
    }

    fn operation(&'static self, captured: &[&str]) -> Operation {
        Operation {
            id: Some(self.id),
            group: self.group,
            route: self.route.to_owned(),
            effect: self.effect,
            resources: self
                .resources
                .iter()
                .map(|named| named.resource(captured))
                .collect(),
            secret_request: &self.secret_request,
            secret_response: &self.secret_response,
        }
    }
}

impl Named {
    /// Reads one item of the column, `kind` or `kind=parameter[/parameter]`.
    fn parse(item: &'static str, route: &str, secrets: &[&str]) -> Self {
        let (kind, parameters) = item.split_once('=').unwrap_or((item, ""));
        let part = |name: &'static str| {
            let is_secret = |secret: &&str| secret.strip_prefix("path:") == Some(name);
            if secrets.iter().any(is_secret) {
                return Some(Part::Secret(name));
            }
            let mut places = route.split('/').filter_map(parameter);
            places.position(|place| place == name).map(Part::Captured)
        };
        let names = parameters.split('/').filter(|name| !name.is_empty());
        Self {
            kind,
            id: names.filter_map(part).collect(),
        }
    }

    fn resource(&self, captured: &[&str]) -> Resource {
        let mut id = String::new();
        for part in &self.id {
            if !id.is_empty() {
                id.push('/');
            }
            match part {
                Part::Captured(place) => {
                    id.push_str(captured.get(*place).copied().unwrap_or_default())
                }
                Part::Secret(name) => {
                    id.push_str("[REDACTED:");
                    id.push_str(name);
                    id.push(']');
                }
            }
        }
        Resource {
            kind: self.kind.to_owned(),
            id,
        }
    }
}

fn list(column: &'static str) -> Vec<&'static str> {
    column.split(',').filter(|item| !item.is_empty()).collect()
}

/// The name inside `{…}`, if the segment of a template is a parameter.
fn parameter(segment: &str) -> Option<&str> {
    segment.strip_prefix('{')?.strip_suffix('}')
}

/// A place in the tree of segments. Zero stands for "none": the root is nobody's child.
#[derive(Default)]
struct Node {
    /// Sorted, because the table is.
    literals: Vec<(&'static str, u32)>,
    parameter: u32,
    /// By [`Verb`]: row index plus one.
    rows: [u16; 5],
}

struct Catalogue {
    rows: Vec<Row>,
    nodes: Vec<Node>,
}

/// The tree, built at first use: a session without a call does not pay for it.
fn catalogue() -> &'static Catalogue {
    static CATALOGUE: OnceLock<Catalogue> = OnceLock::new();
    CATALOGUE.get_or_init(|| Catalogue::build(TABLE))
}

impl Catalogue {
    /// Reads the table. A line that cannot be read is left out; a test holds that there is none.
    fn build(table: &'static str) -> Self {
        let mut built = Self {
            rows: Vec::with_capacity(2048),
            nodes: Vec::with_capacity(2048),
        };
        built.nodes.push(Node::default());
        for row in lines(table).filter_map(Row::parse) {
            let node = row
                .route
                .split('/')
                .filter(|segment| !segment.is_empty())
                .fold(0, |node, segment| built.child(node, segment));
            let slot = row.verb as usize;
            built.rows.push(row);
            built.nodes[node].rows[slot] = u16::try_from(built.rows.len()).unwrap_or_default();
        }
        built
    }

    fn child(&mut self, node: usize, segment: &'static str) -> usize {
        let next = self.nodes.len() as u32;
        let parent = &mut self.nodes[node];
        let known = if parameter(segment).is_some() {
            if parent.parameter == 0 {
                parent.parameter = next;
            }
            parent.parameter
        } else {
            // Sorted input: the child is the last one or a new one.
            match parent.literals.last() {
                Some(&(last, child)) if last == segment => child,
                _ => {
                    parent.literals.push((segment, next));
                    next
                }
            }
        };
        if known == next {
            self.nodes.push(Node::default());
        }
        known as usize
    }

    /// Finds the node of a path; literals win over parameters. A path the table knows literally is
    /// never also taken for a parameter, so that `POST …/{id}` cannot swallow `POST …/delete`.
    fn find<'a>(
        &self,
        node: usize,
        segments: &'a [Cow<'_, str>],
        captured: &mut Vec<&'a str>,
    ) -> Option<usize> {
        let here = &self.nodes[node];
        let Some((segment, rest)) = segments.split_first() else {
            return here.rows.iter().any(|&row| row != 0).then_some(node);
        };
        let literal = here
            .literals
            .binary_search_by(|(literal, _)| (*literal).cmp(segment))
            .ok()
            .and_then(|at| self.find(here.literals[at].1 as usize, rest, captured));
        if literal.is_some() || here.parameter == 0 {
            return literal;
        }
        captured.push(segment);
        let found = self.find(here.parameter as usize, rest, captured);
        if found.is_none() {
            captured.pop();
        }
        found
    }

    fn row(&self, node: usize, verb: Verb) -> Option<&Row> {
        let index = self.nodes[node].rows[verb as usize];
        self.rows.get(usize::from(index).checked_sub(1)?)
    }
}

/// The lines that hold operations: without comments and the line of column names.
fn lines(table: &'static str) -> impl Iterator<Item = &'static str> {
    table.lines().filter(|line| !line.starts_with('#')).skip(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    const API: &str = "api.datadoghq.com";

    fn host_of(kind: HostKind) -> &'static str {
        match kind {
            HostKind::Api => API,
            HostKind::LogsIntake => "http-intake.logs.datadoghq.eu",
            HostKind::EventIntake => "event-management-intake.datadoghq.com",
            HostKind::BrowserIntake => "browser-intake-us5-datadoghq.com",
            HostKind::OnCall => "navy.oncall.datadoghq.com",
            HostKind::IpRanges => "ip-ranges.datadoghq.com",
            HostKind::Mcp => "mcp.datadoghq.com",
        }
    }

    fn shape(segment: &'static str) -> &'static str {
        parameter(segment).map_or(segment, |_| "{}")
    }

    fn get(path: &str) -> Operation {
        classify(&Method::GET, API, path)
    }

    #[test]
    fn every_line_is_read_and_sorted() {
        let sort_key = |line: &'static str| {
            let mut columns = line.split('\t');
            let method = columns.next().unwrap_or_default();
            let path: Vec<_> = columns
                .next()
                .unwrap_or_default()
                .split('/')
                .map(shape)
                .collect();
            (path, method)
        };
        for line in lines(TABLE) {
            assert!(Row::parse(line).is_some(), "unknown word in: {line}");
            let (columns, effects, auth) = (
                line.split('\t').collect::<Vec<_>>(),
                [
                    "",
                    "ingest",
                    "notify",
                    "run",
                    "stop",
                    "destroy-data",
                    "presign",
                ],
                ["none", "api", "api+app", "api+app|oauth", "oauth"],
            );
            assert!(effects.contains(&columns[5]), "unknown effect in: {line}");
            assert!(auth.contains(&columns[8]), "unknown auth in: {line}");
        }
        let keys: Vec<_> = lines(TABLE).map(sort_key).collect();
        assert!(keys.is_sorted(), "the tree needs the table sorted");
        assert!(keys.len() > 1700);
    }

    #[test]
    fn every_operation_is_classified() {
        // What `tests/catalogue/refresh.py` adds, until somebody has read about it.
        let open: Vec<_> = lines(TABLE)
            .filter(|line| line.split('\t').nth(4) == Some("unclassified"))
            .collect();
        assert!(
            open.is_empty(),
            "is it read, write or delete? and which resources, which secrets? {open:#?}"
        );
    }

    #[test]
    fn no_two_lines_mean_the_same_request() {
        let mut seen = HashSet::new();
        for row in lines(TABLE).filter_map(Row::parse) {
            let shapes: Vec<_> = row.route.split('/').map(shape).collect();
            assert!(seen.insert((row.verb as usize, shapes)), "{}", row.route);
        }
        let built = catalogue();
        let slots = built.nodes.iter().flat_map(|node| node.rows);
        assert_eq!(slots.filter(|&row| row != 0).count(), built.rows.len());
    }

    #[test]
    fn every_operation_is_found_by_its_own_request() {
        for row in &catalogue().rows {
            let path: Vec<_> = row
                .route
                .split('/')
                .map(|segment| {
                    parameter(segment).map_or(segment.into(), |name| format!("x {name}"))
                })
                .map(|segment| segment.replace(' ', "%20"))
                .collect();
            let method = match row.verb {
                Verb::Get => Method::GET,
                Verb::Post => Method::POST,
                Verb::Put => Method::PUT,
                Verb::Patch => Method::PATCH,
                Verb::Delete => Method::DELETE,
            };
            let operation = classify(&method, host_of(row.host), &path.join("/"));
            assert_eq!(operation.id, Some(row.id), "{method} {}", row.route);
            assert_eq!(operation.route, row.route);
            assert_eq!(operation.effect, row.effect);
            assert!(!operation.resources.is_empty(), "{}", row.route);
            for resource in &operation.resources {
                assert!(!resource.kind.is_empty(), "{}", row.route);
                assert!(
                    resource.id.is_empty()
                        || resource.id.split('/').all(|id| {
                            id.strip_prefix("x ")
                                .is_some_and(|name| row.route.contains(name))
                                || id.starts_with("[REDACTED:")
                        }),
                    "{resource:?} of {}",
                    row.route
                );
            }
            // Every secret parameter is one of the route's: a misspelt one would show the secret.
            for secret in row.secret_request.iter().chain(&row.secret_response) {
                if let Some(name) = secret.strip_prefix("path:") {
                    let mut parameters = row.route.split('/').filter_map(parameter);
                    assert!(parameters.any(|p| p == name), "{}", row.route);
                    assert!(row.secret_request.contains(secret), "{}", row.route);
                }
            }
        }
        // And every parameter that names an object is one of the route's.
        for (line, row) in lines(TABLE).zip(&catalogue().rows) {
            let named = line.split('\t').nth(7).unwrap();
            let names = named.split(',').filter_map(|item| item.split_once('='));
            let count: usize = names.map(|(_, names)| names.split('/').count()).sum();
            let parts: usize = row.resources.iter().map(|it| it.id.len()).sum();
            assert_eq!(parts, count, "{line}");
        }
    }

    #[test]
    fn calls_are_named_as_people_name_them() {
        // Method, path, operation, effect, resources; `-` for none.
        let expected = "
            GET    /api/v1/monitor/123             GetMonitor           read    monitor:123
            HEAD   /api/v1/monitor/123/            GetMonitor           read    monitor:123
            POST   /api/v1/monitor                 CreateMonitor        write   monitor:
            DELETE /api/v1/monitor/1               DeleteMonitor        destroy monitor:1
            GET    /api/v1/dashboard/abc-def-ghi   GetDashboard         read    dashboard:abc-def-ghi
            GET    /api/v1/dashboard/lists         GetDashboard         read    dashboard:lists
            GET    /api/v1/dashboard/public        -                    unknown -
            POST   /api/v1/synthetics/tests/delete DeleteTests          destroy synthetics/test:
            GET    /api/v1/synthetics/tests/api/a1 GetAPITest           read    synthetics/test:a1
            POST   /api/v2/logs/events/search      ListLogs             read    logs/event:
            GET    /api/v1/graph/snapshot          GetGraphSnapshot     write   graph/snapshot:
            PUT    /api/v2/incidents/i1/impacts/i2 -                    write   -
            DELETE /api/v2/incidents/i1/impacts/i2 DeleteIncidentImpact destroy incident/impact:i2,incident:i1
            GET    /api/v2/csm/ownership/r1/team   GetOwnershipInference read   csm/ownership:r1/team
            GET    /api/v1/tags/hosts/web%2B01     GetHostTags          read    host:web+01
        ";
        for line in expected
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty())
        {
            let words: Vec<_> = line.split_whitespace().collect();
            let operation = classify(&words[0].parse().unwrap(), API, words[1]);
            let named: Vec<_> = operation
                .resources
                .iter()
                .map(|resource| format!("{}:{}", resource.kind, resource.id))
                .collect();
            let named = if named.is_empty() {
                "-".to_owned()
            } else {
                named.join(",")
            };
            let got = [operation.id.unwrap_or("-"), operation.effect.word(), &named];
            assert_eq!(got, words[2..], "{line}");
        }
    }

    #[test]
    fn intake_hosts_have_their_own_operations() {
        let logs = host_of(HostKind::LogsIntake);
        for path in ["/api/v2/logs", "/v1/input"] {
            let operation = classify(&Method::POST, logs, path);
            assert_eq!(operation.id, Some("SubmitLog"));
            assert_eq!(operation.effect, Effect::Write);
        }
        let key_in_path = classify(&Method::POST, logs, "/v1/input/0123456789");
        assert_eq!(key_in_path.secret_request, ["path:api_key"]);
        assert_eq!(
            classify(&Method::POST, API, "/api/v1/series").id,
            Some("SubmitMetrics")
        );
        assert_eq!(
            classify(&Method::GET, host_of(HostKind::IpRanges), "/").id,
            Some("GetIPRanges")
        );
        // The same path elsewhere is somebody's web page, not a documented read.
        assert_eq!(get("/").effect, Effect::Unknown);
        assert_eq!(
            classify(&Method::GET, logs, "/api/v1/monitor").effect,
            Effect::Unknown
        );
    }

    #[test]
    fn a_key_in_the_path_is_not_shown() {
        let operation = classify(&Method::DELETE, API, "/api/v1/api_key/0123456789abcdef");
        assert_eq!(operation.id, Some("DeleteAPIKey"));
        assert_eq!(operation.route, "/api/v1/api_key/{key}");
        assert_eq!(operation.resources[0].id, "[REDACTED:key]");
        assert!(!format!("{operation:?}").contains("0123456789abcdef"));
    }

    #[test]
    fn what_is_unknown_is_never_a_read() {
        for (method, effect) in [
            ("GET", Effect::Unknown),
            ("HEAD", Effect::Unknown),
            ("OPTIONS", Effect::Unknown),
            ("TRACE", Effect::Unknown),
            ("PROPFIND", Effect::Unknown),
            ("get", Effect::Unknown),
            ("POST", Effect::Write),
            ("PUT", Effect::Write),
            ("PATCH", Effect::Write),
            ("DELETE", Effect::Destroy),
        ] {
            let operation = classify(&method.parse().unwrap(), API, "/api/v9/nothing");
            assert_eq!(operation.id, None);
            assert_eq!(operation.route, "/api/v9/nothing");
            assert_eq!(operation.effect, effect, "{method}");
            let mcp = classify(&method.parse().unwrap(), "MCP.datadoghq.com", "/v1/mcp");
            assert_eq!((mcp.id, mcp.effect), (None, Effect::Unknown), "{method}");
        }
    }

    #[test]
    fn odd_paths_match_nothing() {
        for path in [
            "",
            "api/v1/monitor",
            "//api/v1/monitor",
            "/api//v1/monitor",
            "/api/v1/monitor//",
            "/api/v1/./monitor",
            "/api/v1/%2e/monitor",
            "/api/v1/monitor/..",
            "/api/v1/monitor/%2e%2E",
            "/api/v1/monitor/1%2Fmute",
            "/api/v1/monitor/1%252Fmute",
            "/api/v1/monitor/1%5cmute",
            "/api/v1/monitor/%zz%252f",
            "/api/v1/monitor/%",
            "/api/v1/monitor/%f",
            "/api/v1/monitor/%ff",
            "/api/v1/monitor/1%00",
            "/api/v1/monitor/1;x=y",
            "/API/v1/monitor",
        ] {
            assert_eq!(get(path).id, None, "{path}");
            assert_eq!(get(path).effect, Effect::Unknown, "{path}");
            assert_ne!(
                classify(&Method::POST, API, path).effect,
                Effect::Read,
                "{path}"
            );
        }
        assert_eq!(get("/api/v1/monitor/100%25").resources[0].id, "100%");
    }

    #[test]
    fn a_literal_hidden_in_escapes_is_still_that_literal() {
        let plain = classify(&Method::POST, API, "/api/v1/synthetics/tests/delete");
        let escaped = classify(&Method::POST, API, "/api/v1/synthetics/tests/%64elete");
        assert_eq!(escaped, plain);
    }

    proptest! {
        #[test]
        fn a_change_never_becomes_a_read_by_spelling(
            row in 0..1000_usize,
            filler in "[A-Za-z0-9._%/;-]{0,8}",
            at in 0..12_usize,
        ) {
            let rows = &catalogue().rows;
            let row = &rows[row % rows.len()];
            // A literal route, spoilt at one place by anything at all, sent with every method.
            let mut path: Vec<String> = row
                .route
                .split('/')
                .map(|segment| parameter(segment).unwrap_or(segment).to_owned())
                .collect();
            let place = 1 + at % (path.len() - 1);
            path[place].insert_str(0, &filler);
            let path = path.join("/");
            for method in [Method::PUT, Method::PATCH, Method::DELETE, Method::POST] {
                let operation = classify(&method, API, &path);
                if operation.effect != Effect::Read {
                    continue;
                }
                // Called a read: then the path, as sent, is that route and nothing cleverer.
                let sent: Vec<_> = path.strip_suffix('/').unwrap_or(&path).split('/').collect();
                let route: Vec<_> = operation.route.split('/').collect();
                prop_assert_eq!(sent.len(), route.len(), "{} {}", method, path);
                for (sent, route) in sent.into_iter().zip(route) {
                    let plain = parameter(route).is_some() && !sent.contains("..");
                    let spelt = sent == route || sent.contains('%');
                    prop_assert!(plain || spelt, "{} {}", method, path);
                }
            }
        }

        #[test]
        fn any_path_is_survived(path in "\\PC{0,64}", host in "\\PC{0,16}") {
            let operation = classify(&Method::POST, &host, &path);
            prop_assert!(operation.id.is_some() || operation.effect != Effect::Read);
        }
    }
}
