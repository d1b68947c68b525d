//! The calls that are measured, and the targets beside them.

use bytes::Bytes;
use http::Method;

pub(crate) const SMALL_PATH: &str = "/api/v1/monitor/1203110";
pub(crate) const SMALL_BYTES: usize = 300;
const PAGE_PATH: &str = "/api/v1/dashboard/abc-def-ghi";
const PAGE_BYTES: usize = 20 << 10;
const SERIES_PATH: &str = "/api/v1/query";
const SERIES_BYTES: usize = 200 << 10;
const LOGS_PATH: &str = "/api/v2/logs/events";
const LOGS_BYTES: usize = 2 << 20;
const INTAKE_PATH: &str = "/api/v2/logs";
pub(crate) const INTAKE_BYTES: usize = 5 << 20;
const EVENTS_PATH: &str = "/api/unstable/mcp-server/mcp";

/// What is sent and what must come back.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// A small answer on a kept connection.
    Small,
    /// The same on a connection of its own.
    Fresh,
    /// 20 KiB.
    Page,
    /// 200 KiB.
    Series,
    /// 2 MiB.
    Logs,
    /// An upload of 5 MiB.
    Intake,
    /// A stream of events; what counts is how late each one is.
    Events,
}

impl Class {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Small => "300 B answer",
            Self::Fresh => "new connection, 300 B",
            Self::Page => "20 KiB answer",
            Self::Series => "200 KiB answer",
            Self::Logs => "2 MiB answer",
            Self::Intake => "5 MiB upload",
            Self::Events => "event delay (SSE)",
        }
    }

    pub(crate) const fn method(self) -> Method {
        match self {
            Self::Intake => Method::POST,
            _ => Method::GET,
        }
    }

    pub(crate) const fn path(self) -> &'static str {
        match self {
            Self::Small | Self::Fresh => SMALL_PATH,
            Self::Page => PAGE_PATH,
            Self::Series => SERIES_PATH,
            Self::Logs => LOGS_PATH,
            Self::Intake => INTAKE_PATH,
            Self::Events => EVENTS_PATH,
        }
    }

    /// The class a request to this path belongs to.
    pub(crate) fn of(path: &str) -> Option<Self> {
        [
            Self::Small,
            Self::Page,
            Self::Series,
            Self::Logs,
            Self::Intake,
            Self::Events,
        ]
        .into_iter()
        .find(|class| class.path() == path)
    }

    /// Bytes of the answer, where they are known beforehand.
    pub(crate) const fn answer_bytes(self) -> Option<usize> {
        match self {
            Self::Small | Self::Fresh => Some(SMALL_BYTES),
            Self::Page => Some(PAGE_BYTES),
            Self::Series => Some(SERIES_BYTES),
            Self::Logs => Some(LOGS_BYTES),
            Self::Intake => Some(2),
            Self::Events => None,
        }
    }

    pub(crate) fn request_body(self) -> Bytes {
        match self {
            Self::Intake => lines(INTAKE_BYTES),
            _ => Bytes::new(),
        }
    }

    pub(crate) fn answer_body(self) -> Bytes {
        match self {
            Self::Intake => Bytes::from_static(b"{}"),
            other => lines(other.answer_bytes().unwrap_or(0)),
        }
    }
}

/// JSON that looks like log lines and compresses about as well: made the same way each time.
fn lines(bytes: usize) -> Bytes {
    use std::fmt::Write;
    let mut text = String::with_capacity(bytes + 256);
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    text.push('[');
    while text.len() < bytes {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        // Writing to a string cannot fail.
        let _ = write!(
            text,
            "{{\"timestamp\":17000{:08},\"status\":\"info\",\"service\":\"checkout-{}\",\
             \"trace\":\"{state:016x}\",\"message\":\"served request in {} ms\"}},",
            state % 100_000_000,
            state % 7,
            state % 997
        );
    }
    text.truncate(bytes.saturating_sub(1));
    text.push(']');
    text.into()
}

/// The goals, as ratios to direct: [`OVER_THE_LEAST`] times what a least proxy took (see
/// [`super::least`]) on another machine, on another day, with another client. They stay, so that runs
/// can be compared; where this run's own least proxy was slower than that one, they ask too much.
#[derive(Clone, Copy)]
pub(crate) struct Target {
    pub(crate) base: f64,
    pub(crate) connect: f64,
}

/// What may be taken for looking, hashing and packing, over the least proxy.
pub(crate) const OVER_THE_LEAST: f64 = 1.3;

const fn target(base: f64, connect: f64) -> Target {
    Target {
        base: base * OVER_THE_LEAST,
        connect: connect * OVER_THE_LEAST,
    }
}

/// One line of the table.
#[derive(Clone, Copy)]
pub(crate) struct Cell {
    pub(crate) class: Class,
    pub(crate) concurrency: usize,
    /// Calls of one round.
    pub(crate) calls: usize,
    pub(crate) target: Target,
}

/// The cell of this name and concurrency.
pub(crate) fn asked(name: &str, concurrency: usize) -> Option<&'static Cell> {
    let mut all = CELLS.iter().chain([&ONE_CALL]);
    all.find(|cell| cell.class.name() == name && cell.concurrency == concurrency)
}

const fn cell(class: Class, concurrency: usize, calls: usize, target: Target) -> Cell {
    Cell {
        class,
        concurrency,
        calls,
        target,
    }
}

pub(crate) const CELLS: &[Cell] = &[
    cell(Class::Small, 1, 300, target(36.0, 120.0)),
    cell(Class::Small, 8, 1200, target(23.0, 38.0)),
    cell(Class::Small, 64, 2560, target(5.7, 6.9)),
    cell(Class::Page, 1, 200, target(16.0, 20.0)),
    cell(Class::Page, 8, 800, target(8.5, 8.3)),
    cell(Class::Page, 64, 1600, target(3.5, 3.6)),
    cell(Class::Series, 1, 100, target(5.9, 8.2)),
    cell(Class::Series, 8, 240, target(4.6, 11.0)),
    cell(Class::Series, 64, 320, target(3.5, 2.7)),
    cell(Class::Logs, 1, 16, target(3.5, 2.9)),
    cell(Class::Logs, 8, 48, target(2.1, 2.4)),
    cell(Class::Logs, 64, 64, target(2.0, 2.2)),
    cell(Class::Intake, 1, 8, target(3.3, 4.1)),
    cell(Class::Intake, 8, 24, target(2.5, 2.8)),
    cell(Class::Intake, 64, 64, target(1.8, 1.7)),
    cell(Class::Fresh, 1, 80, target(0.9, 2.9)),
    cell(Class::Fresh, 8, 240, target(0.9, 1.6)),
    cell(Class::Events, 1, 2, target(1.0, 1.0)),
    cell(Class::Events, 8, 8, target(1.0, 1.0)),
];

/// One call, to have a gate at rest with everything built.
pub(crate) const ONE_CALL: Cell = cell(Class::Small, 1, 1, target(0.0, 0.0));
