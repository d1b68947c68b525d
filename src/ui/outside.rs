//! What a session did beside calls: tunnels to others, and programs that came for Datadog and did
//! not trust the session's certificate. Stands behind the calls of a timeline.

use crate::replay::{Distrusting, SeenTunnel};

use super::caller::{self, PARENTS_NAMED};
use super::escape::escape;
use super::style::{Look, Tone};
use super::table::{Cell, Column, Table};
use super::words;

/// The tunnels as a table, and an empty line; nothing when there are none.
pub(super) fn tunnels(tunnels: &[SeenTunnel], look: &Look) -> String {
    if tunnels.is_empty() {
        return String::new();
    }
    // Older sessions do not say.
    let are_named = tunnels.iter().any(|it| it.caller.is_some());
    let mut table = Table::new(&[
        Column::text("TUNNEL (NOT DATADOG, NOT READ)").shrinking(16),
        Column::number("SENT"),
        Column::number("RECEIVED"),
        Column::number("OPEN"),
        Column::text(if are_named { "BY" } else { "" }),
        Column::text(""),
    ]);
    for SeenTunnel { tunnel, caller, .. } in tunnels {
        let by = caller.as_deref().map(|it| caller::words(it, 0));
        table.row(vec![
            Cell::plain(&tunnel.host),
            Cell::plain(&words::bytes(tunnel.sent)),
            Cell::plain(&words::bytes(tunnel.received)),
            Cell::new(Tone::Dim, &words::duration(tunnel.dur_us)),
            Cell::plain(by.as_deref().unwrap_or_default()),
            Cell::new(Tone::Destroy, tunnel.error.as_deref().unwrap_or_default()),
        ]);
    }
    table.render(look) + "\n"
}

/// One line a host.
pub(super) fn distrusting(hosts: &[Distrusting], look: &Look) -> String {
    let line = |host| look.paint(Tone::Warn, &sentence(host)) + "\n";
    hosts.iter().map(line).collect()
}

fn sentence(host: &Distrusting) -> String {
    let mut text = format!(
        "the session's certificate for {} was not trusted: ",
        escape(&host.host)
    );
    let counts = [(host.refused, "refused it"), (host.left, "left at it")];
    let counts: Vec<String> = counts
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{} {what}", words::count(count, "connection")))
        .collect();
    text.push_str(&counts.join(", "));
    let by: Vec<String> = host
        .callers
        .iter()
        .map(|it| caller::words(it, PARENTS_NAMED))
        .collect();
    if !by.is_empty() {
        text.push_str(&format!(" (by {})", by.join("; ")));
    }
    text + "; nothing of them was sent"
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use chrono::DateTime;

    use super::super::style::test_look;
    use super::*;
    use crate::record::Program;
    use crate::record::Tunnel;
    use crate::replay::Caller;

    fn caller(pid: u32, exe: &str) -> Arc<Caller> {
        Arc::new(Caller {
            process: u64::from(pid),
            pid,
            is_child: false,
            foreign: false,
            program: Some(Program {
                exe: exe.into(),
                ..Program::default()
            }),
            parent: None,
        })
    }

    fn tunnel(host: &str, caller: Option<Arc<Caller>>) -> SeenTunnel {
        SeenTunnel {
            ended: DateTime::UNIX_EPOCH,
            tunnel: Tunnel {
                host: host.into(),
                sent: 2_000,
                received: 3_000,
                dur_us: 4_000,
                error: None,
                rule: None,
                by: caller.as_ref().map(|it| it.process),
            },
            caller,
        }
    }

    #[test]
    fn tunnels_name_their_process_where_it_is_known() {
        let known = tunnel(
            "registry.example:443",
            Some(caller(812, "/usr/bin/np\x1bm")),
        );
        let text = tunnels(&[known, tunnel("db.example:5432", None)], &test_look());
        insta::assert_snapshot!(text, @r"
        TUNNEL (NOT DATADOG, NOT READ)     SENT  RECEIVED    OPEN  BY
        registry.example:443            1.9 KiB   2.9 KiB  4.0 ms  np\u{1b}m 812
        db.example:5432                 1.9 KiB   2.9 KiB  4.0 ms
        ");
        let old = tunnels(&[tunnel("db.example:5432", None)], &test_look());
        assert!(!old.contains("BY"), "{old}");
    }

    #[test]
    fn who_did_not_trust_the_certificate_is_told_by_host() {
        let hosts = [
            Distrusting {
                host: "api.datadoghq.com".into(),
                refused: 2,
                left: 1,
                callers: vec![caller(7, "/opt/tool"), caller(9, "/opt/other")],
            },
            Distrusting {
                host: "mcp.datadoghq.com".into(),
                refused: 0,
                left: 3,
                callers: Vec::new(),
            },
        ];
        insta::assert_snapshot!(distrusting(&hosts, &test_look()), @r"
        the session's certificate for api.datadoghq.com was not trusted: 2 connections refused it, 1 connection left at it (by tool 7; other 9); nothing of them was sent
        the session's certificate for mcp.datadoghq.com was not trusted: 3 connections left at it; nothing of them was sent
        ");
    }
}
