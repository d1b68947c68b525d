//! Sessions for tests: a script of leaves, and one session with everything in it.

use chrono::{DateTime, TimeDelta, Utc};

use crate::record::Tunnel;
use crate::record::event::{
    CallRequest, CallResponse, Commitment, DatadogSide, Decision, Durability, LEAF_VERSION,
    RedactionCount, SessionClose, SessionOpen, Tool,
};
use crate::record::{
    CallNumber, Effect, Event, HostFacts, Identity, Leaf, Outcome, Resource, SessionId, Via,
};

use super::Fold;
use super::view::{HeadContent, SessionView};

/// Leaves under construction, 100 ms apart.
pub(crate) struct Script {
    pub(crate) leaves: Vec<Leaf>,
    next: u64,
}

pub(crate) fn started() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).unwrap()
}

pub(crate) fn alice() -> Identity {
    Identity {
        issuer: "https://idp.example".into(),
        subject: "u-1".into(),
        name: Some("Alice".into()),
        email: Some("alice@example.com".into()),
        email_verified: Some(true),
        groups: vec!["eng".into(), "oncall".into()],
        groups_incomplete: false,
        via: Via::Device,
        expires: Some(started() + TimeDelta::hours(1)),
        workload: None,
    }
}

pub(crate) fn os_user() -> Identity {
    Identity {
        issuer: "local:laptop".into(),
        subject: "alice".into(),
        name: None,
        email: None,
        email_verified: None,
        groups: Vec::new(),
        groups_incomplete: false,
        via: Via::Local,
        expires: None,
        workload: None,
    }
}

pub(crate) fn content() -> HeadContent {
    HeadContent {
        who: Some(alice()),
        command: Some(
            ["claude", "-p", "tidy the monitors"]
                .map(str::to_owned)
                .into(),
        ),
        host: Some(HostFacts {
            name: "laptop".into(),
            os: "linux x86_64".into(),
            cwd: "/home/alice/app".into(),
        }),
    }
}

fn commitment() -> Commitment {
    Commitment {
        c: "x".into(),
        n: 1,
    }
}

impl Script {
    pub(crate) fn open() -> Self {
        let mut script = Self {
            leaves: Vec::new(),
            next: 0,
        };
        let mut id = [0; 16];
        id[..4].copy_from_slice(&[0x3f, 0x2a, 0x9c, 0x1e]);
        script.push(Event::SessionOpen(SessionOpen {
            session: SessionId::from_bytes(id),
            origin: "laptop/ddgate/3f2a9c1e".into(),
            who: commitment(),
            cmd: commitment(),
            host: commitment(),
            tool: Tool {
                version: "0.1.0".into(),
            },
            dd: DatadogSide {
                site: "datadoghq.eu".into(),
                credential: "keyring".into(),
                credential_name: None,
            },
            durability: Durability::default(),
            policy: None,
            enforce: None,
            egress: crate::record::EgressRule::Any,
            binding: None,
            bind: None,
            vkey: None,
            chain: None,
        }));
        script
    }

    pub(crate) fn push(&mut self, event: Event) {
        let i = self.next;
        self.next += 1;
        self.leaves.push(Leaf {
            v: LEAF_VERSION,
            i,
            ts: started() + TimeDelta::milliseconds(100 * i64::try_from(i).unwrap()),
            mono: i * 100_000_000,
            event,
        });
    }

    /// Leaves one index out.
    pub(crate) fn skip(&mut self) {
        self.next += 1;
    }

    /// Moves the clock of what follows.
    pub(crate) fn later(&mut self, seconds: u64) {
        for leaf in self.leaves.iter_mut().rev().take(1) {
            leaf.mono += seconds * 1_000_000_000;
        }
    }

    pub(crate) fn request(&mut self, call: u64, operation: &str) {
        self.push(Event::CallRequest(request(call, operation)));
    }

    pub(crate) fn denied(&mut self, call: u64, operation: &str, rule: &str) {
        self.push(Event::CallDenied(CallRequest {
            decision: Decision::Deny,
            rule: rule.into(),
            ..request(call, operation)
        }));
    }

    pub(crate) fn unknown(&mut self, call: u64, method: &str) {
        self.push(Event::CallRequest(CallRequest {
            method: method.into(),
            route: String::new(),
            op: None,
            access: Effect::Unknown,
            res: Vec::new(),
            ..request(call, "")
        }));
    }

    pub(crate) fn answer(&mut self, call: u64, status: u16) {
        self.push(Event::CallResponse(answer(call, status)));
    }

    pub(crate) fn close(&mut self, calls: u64, exit: Option<u8>) {
        self.push(Event::SessionClose(SessionClose {
            calls,
            reason: "exit".into(),
            exit,
        }));
    }
}

pub(crate) fn request(call: u64, operation: &str) -> CallRequest {
    let (method, access) = match operation {
        name if name.starts_with("Create") => ("POST", Effect::Write),
        name if name.starts_with("Update") => ("PUT", Effect::Write),
        name if name.starts_with("Delete") => ("DELETE", Effect::Destroy),
        _ => ("GET", Effect::Read),
    };
    let id = if ["GET", "POST"].contains(&method) {
        ""
    } else {
        "123"
    };
    CallRequest {
        call: CallNumber(call),
        method: method.into(),
        host: "api.datadoghq.eu".into(),
        route: "/api/v1/monitor".into(),
        op: Some(operation.into()),
        access,
        res: vec![Resource {
            kind: "monitor".into(),
            id: id.into(),
        }],
        decision: Decision::Allow,
        rule: "default".into(),
        by: None,
        level: None,
        target: commitment(),
        headers: commitment(),
        body: None,
        streamed: false,
        unkept: None,
        redactions: vec![RedactionCount {
            rule: "dd-api-key".into(),
            count: 1,
        }],
    }
}

pub(crate) fn answer(call: u64, status: u16) -> CallResponse {
    CallResponse {
        call: CallNumber(call),
        re: 0,
        outcome: Outcome::Answered,
        status: Some(status),
        dur_us: 12_340 * call,
        wait_us: Some(12_000),
        headers: None,
        body: None,
        unkept: None,
        error: None,
        redactions: Vec::new(),
    }
}

/// Reads, writes, a delete, a refusal, a failure, a hostile path, a call in doubt, a tunnel.
pub(crate) fn session() -> SessionView {
    let mut script = Script::open();
    script.request(1, "ListMonitors");
    script.answer(1, 200);
    script.request(2, "CreateMonitor");
    script.answer(2, 200);
    script.request(3, "UpdateMonitor");
    script.answer(3, 404);
    script.denied(4, "DeleteMonitor", "read-only");
    script.request(5, "DeleteMonitor");
    script.answer(5, 204);
    script.request(6, "GetMonitor");
    script.push(Event::CallResponse(CallResponse {
        outcome: Outcome::Failed,
        status: None,
        error: Some("the connection was reset by \x1b[31mupstream".into()),
        ..answer(6, 0)
    }));
    script.unknown(7, "POST");
    script.answer(7, 202);
    script.push(Event::Tunnel(Tunnel {
        host: "registry.example:443".into(),
        sent: 2_000,
        received: 3_000_000,
        dur_us: 1_500_000,
        error: None,
        rule: None,
        by: None,
    }));
    script.request(8, "CreateMonitor");
    script.later(65);
    let mut fold = Fold::new();
    script.leaves.into_iter().for_each(|leaf| fold.push(leaf));
    let mut view = fold.finish(content(), false).unwrap();
    view.set_target(CallNumber(7), "/api/v9/監視/\x1b[2Jnew?x=1".into());
    view
}
