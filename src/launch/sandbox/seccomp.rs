//! The filter of system calls: closes what passes Landlock's TCP rules by. The only importer of
//! `seccompiler`.
//!
//! It looks at numbers only, never at memory, so it cannot be raced. Refused, with EPERM: sockets
//! that are neither local nor plain TCP or UDP (multipath TCP, SCTP, raw, packet, VSOCK), TCP Fast
//! Open, and `io_uring`, which would do either unseen; containers refuse that one as well. A
//! program for another architecture than the gate's (32-bit) ends with SIGSYS: its system calls
//! have numbers of their own.

use std::collections::BTreeMap;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch,
};

use super::NotHeld;

/// A filter the kernel has not yet seen.
#[derive(Debug)]
pub(super) struct Filter {
    program: BpfProgram,
    strict: bool,
}

/// The low bits of a socket's type; flags stand above them (`SOCK_CLOEXEC`).
const TYPE_MASK: u64 = 0xf;
/// Local families; the internet's two are looked at closer.
const FAMILIES: [i32; 5] = [
    libc::AF_UNIX,
    libc::AF_INET,
    libc::AF_INET6,
    libc::AF_NETLINK,
    libc::AF_ALG,
];
/// Socket types of the internet families that are never let through.
const TYPES: [i32; 4] = [
    libc::SOCK_RAW,
    libc::SOCK_RDM,
    libc::SOCK_SEQPACKET,
    SOCK_DCCP,
];
const SOCK_DCCP: i32 = 6;
/// Protocols of stream sockets: the default, and TCP.
const STREAMS: [i32; 2] = [0, libc::IPPROTO_TCP];
/// Protocols of datagram sockets: the default, UDP, and `ping` without privileges.
const DATAGRAMS: [i32; 4] = [
    0,
    libc::IPPROTO_UDP,
    libc::IPPROTO_ICMP,
    libc::IPPROTO_ICMPV6,
];

/// System calls by number: those of x32, a second set under x86-64's own name, as well.
#[cfg(target_arch = "x86_64")]
mod call {
    const X32: i64 = 0x4000_0000;
    pub(super) const SOCKET: &[i64] = &[libc::SYS_socket, X32 + libc::SYS_socket];
    pub(super) const SENDTO: &[i64] = &[libc::SYS_sendto, X32 + libc::SYS_sendto];
    pub(super) const SENDMSG: &[i64] = &[libc::SYS_sendmsg, X32 + 518];
    pub(super) const SENDMMSG: &[i64] = &[libc::SYS_sendmmsg, X32 + 538];
    pub(super) const IO_URING: &[i64] = &[libc::SYS_io_uring_setup, X32 + libc::SYS_io_uring_setup];
}
#[cfg(not(target_arch = "x86_64"))]
mod call {
    pub(super) const SOCKET: &[i64] = &[libc::SYS_socket as i64];
    pub(super) const SENDTO: &[i64] = &[libc::SYS_sendto as i64];
    pub(super) const SENDMSG: &[i64] = &[libc::SYS_sendmsg as i64];
    pub(super) const SENDMMSG: &[i64] = &[libc::SYS_sendmmsg as i64];
    pub(super) const IO_URING: &[i64] = &[libc::SYS_io_uring_setup as i64];
}

impl Filter {
    /// `strict`: no UDP either.
    pub(super) fn build(strict: bool) -> Result<Self, NotHeld> {
        let machine = TargetArch::try_from(std::env::consts::ARCH)
            .map_err(|_| NotHeld("there is no system call filter for this processor".to_owned()))?;
        let program = program(strict, machine)
            .map_err(|error| NotHeld(format!("the system call filter: {error}")))?;
        Ok(Self { program, strict })
    }

    pub(super) const fn is_strict(&self) -> bool {
        self.strict
    }

    /// Puts it on the calling thread.
    pub(super) fn enter(&self) -> Result<(), NotHeld> {
        seccompiler::apply_filter(&self.program).map_err(|error| NotHeld(error.to_string()))
    }
}

fn program(strict: bool, machine: TargetArch) -> Result<BpfProgram, seccompiler::BackendError> {
    let fast_open = |argument| rule(vec![has(argument, libc::MSG_FASTOPEN)]);
    let mut rules = BTreeMap::new();
    for (calls, chain) in [
        (call::SOCKET, sockets(strict)?),
        (call::SENDTO, vec![fast_open(3)?]),
        (call::SENDMSG, vec![fast_open(2)?]),
        (call::SENDMMSG, vec![fast_open(3)?]),
        // No rule: whatever its arguments.
        (call::IO_URING, Vec::new()),
    ] {
        for number in calls {
            rules.insert(*number, chain.clone());
        }
    }
    let refused = SeccompAction::Errno(libc::EPERM.unsigned_abs());
    SeccompFilter::new(rules, SeccompAction::Allow, refused, machine)?.try_into()
}

/// `socket(family, type, protocol)`: what is refused.
fn sockets(strict: bool) -> Result<Vec<SeccompRule>, seccompiler::BackendError> {
    let mut refused = vec![rule(FAMILIES.map(|family| is_not(0, family)).into())?];
    for family in [libc::AF_INET, libc::AF_INET6] {
        for kind in TYPES {
            refused.push(rule(vec![is(0, family), is_type(kind)])?);
        }
        let mut streams = vec![is(0, family), is_type(libc::SOCK_STREAM)];
        streams.extend(STREAMS.map(|protocol| is_not(2, protocol)));
        refused.push(rule(streams)?);
        let mut datagrams = vec![is(0, family), is_type(libc::SOCK_DGRAM)];
        if !strict {
            datagrams.extend(DATAGRAMS.map(|protocol| is_not(2, protocol)));
        }
        refused.push(rule(datagrams)?);
    }
    Ok(refused)
}

type Condition = Result<SeccompCondition, seccompiler::BackendError>;

fn rule(conditions: Vec<Condition>) -> Result<SeccompRule, seccompiler::BackendError> {
    SeccompRule::new(conditions.into_iter().collect::<Result<_, _>>()?)
}

fn condition(argument: u8, operation: SeccompCmpOp, value: i32) -> Condition {
    let value = u64::from(value.unsigned_abs());
    SeccompCondition::new(argument, SeccompCmpArgLen::Dword, operation, value)
}

fn is(argument: u8, value: i32) -> Condition {
    condition(argument, SeccompCmpOp::Eq, value)
}

fn is_not(argument: u8, value: i32) -> Condition {
    condition(argument, SeccompCmpOp::Ne, value)
}

fn is_type(kind: i32) -> Condition {
    condition(1, SeccompCmpOp::MaskedEq(TYPE_MASK), kind)
}

fn has(argument: u8, flag: i32) -> Condition {
    let flag_bits = u64::from(flag.unsigned_abs());
    condition(argument, SeccompCmpOp::MaskedEq(flag_bits), flag)
}
