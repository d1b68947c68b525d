//! How places in the file become rows of the index, and back. Pure.
//!
//! A cell is one number: where a leaf stands, which leaf answers a call. Sixty-four neighbours share
//! a row, because a row costs sled about a hundred bytes and a few microseconds whatever is in it.
//! A row is the differences between its cells, zigzag and LEB128: about two bytes each, and never
//! more than sled keeps in its log ([`super::db`]).
//!
//! | key (integers big-endian) | cells |
//! |---|---|
//! | `p` leaf / 64 | place of the leaf's frame |
//! | `n` call / 16 | leaves of the call: request, stream of the request, response, none |
//! | `c` content / 64 | place of its first frame |
//! | `d` content, piece / 64 | place of the frame of a later piece |

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use super::content;
use super::db::Row;
use super::frame::{Frame, Kind};
use super::says::Says;
use super::wal::Position;
use crate::record::event::Side;
use crate::record::tool::Via;
use crate::record::{CallNumber, Event, Leaf};

const ROW_CELLS: u64 = 64;
const CALL_CELLS: u64 = 4;
/// An offset takes this much of a place: segments are rolled long before.
const OFFSET_BITS: u32 = 40;

/// The leaves a call may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CallLeaf {
    Request,
    RequestStream,
    Response,
}

/// One fact the index keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cell {
    Leaf(u64, Position),
    Call(CallNumber, CallLeaf, u64),
    Content(u64, u32, Position),
}

impl Cell {
    /// The cells of a leaf that was just made.
    pub(super) fn of_leaf(leaf: &Leaf, at: Position) -> impl Iterator<Item = Self> {
        let call = match &leaf.event {
            Event::CallRequest(e) | Event::CallDenied(e) => Some((e.call, CallLeaf::Request)),
            Event::CallStream(e) if e.side == Side::Request => {
                Some((e.call, CallLeaf::RequestStream))
            }
            Event::CallResponse(e) => Some((e.call, CallLeaf::Response)),
            // The tools of a wrapped server have no HTTP exchange.
            Event::McpCall(e) if e.via == Via::Stdio => Some((e.call, CallLeaf::Request)),
            Event::McpResult(e) if e.via == Via::Stdio => Some((e.call, CallLeaf::Response)),
            _ => None,
        };
        Self::of(leaf.i, at, call)
    }

    /// The cells of a frame of the file.
    pub(super) fn of_frame(frame: &Frame, at: Position) -> Vec<Self> {
        match frame.kind {
            Kind::Leaf => {
                let Some(says) = Says::of(&frame.payload) else {
                    return Vec::new();
                };
                let Some(i) = says.number("i") else {
                    return Vec::new();
                };
                Self::of(i, at, call_leaf(&says)).collect()
            }
            Kind::Content => Self::of_content(frame, at).into_iter().collect(),
            Kind::Opening
            | Kind::Segment
            | Kind::Seal
            | Kind::Checkpoint
            | Kind::Keys
            | Kind::Erased => Vec::new(),
        }
    }

    /// The cell of a piece of content.
    pub(super) fn of_content(frame: &Frame, at: Position) -> Option<Self> {
        let (content, piece) = content::parse_content_header(&frame.header)?;
        Some(Self::Content(content, piece, at))
    }

    fn of(
        i: u64,
        at: Position,
        call: Option<(CallNumber, CallLeaf)>,
    ) -> impl Iterator<Item = Self> {
        let call = call.map(|(call, kind)| Self::Call(call, kind, i));
        [Self::Leaf(i, at)].into_iter().chain(call)
    }

    /// Its row, its place in it, and what stands there; never zero.
    fn put(self) -> (Vec<u8>, usize, u64) {
        match self {
            Self::Leaf(i, at) => put(Slot::leaf(i), place(at)),
            Self::Call(call, kind, i) => put(Slot::call(call, kind), i + 1),
            Self::Content(content, piece, at) => put(Slot::content(content, piece), place(at)),
        }
    }
}

fn put(slot: Slot, number: u64) -> (Vec<u8>, usize, u64) {
    (slot.row, slot.n, number)
}

fn call_leaf(says: &Says<'_>) -> Option<(CallNumber, CallLeaf)> {
    let kind = match (says.text("t")?, says.text("side")) {
        ("call.request" | "call.denied", _) => CallLeaf::Request,
        ("call.stream", Some("request")) => CallLeaf::RequestStream,
        ("call.response", _) => CallLeaf::Response,
        ("mcp.call", _) if says.text("via") == Some("stdio") => CallLeaf::Request,
        ("mcp.result", _) if says.text("via") == Some("stdio") => CallLeaf::Response,
        _ => return None,
    };
    Some((CallNumber(says.number("call")?), kind))
}

/// A position as one number; never zero.
pub(super) fn place(at: Position) -> u64 {
    u64::from(at.segment) << OFFSET_BITS | at.offset
}

/// Undoes [`place`].
pub(super) fn position(place: u64) -> Position {
    Position {
        segment: (place >> OFFSET_BITS) as u32,
        offset: place & ((1 << OFFSET_BITS) - 1),
    }
}

/// Where a cell is.
pub(super) struct Slot {
    /// The key of its row.
    pub(super) row: Vec<u8>,
    n: usize,
}

impl Slot {
    pub(super) fn leaf(i: u64) -> Self {
        Self::in_table(b"p", i)
    }

    pub(super) fn call(call: CallNumber, kind: CallLeaf) -> Self {
        Self::in_table(b"n", call.0.saturating_mul(CALL_CELLS) + kind as u64)
    }

    pub(super) fn content(content: u64, piece: u32) -> Self {
        match piece {
            0 => Self::in_table(b"c", content),
            _ => Self::in_table(&pieces(content), piece.into()),
        }
    }

    fn in_table(table: &[u8], cell: u64) -> Self {
        let mut row = table.to_vec();
        row.extend_from_slice(&(cell / ROW_CELLS).to_be_bytes());
        Self {
            row,
            n: (cell % ROW_CELLS) as usize,
        }
    }

    /// What stands there.
    pub(super) fn read(&self, value: &[u8]) -> Option<u64> {
        cells(value).nth(self.n).filter(|cell| *cell != 0)
    }
}

/// How the keys of the rows of leaves begin.
pub(super) const LEAVES: &[u8] = b"p";

/// How the keys of the rows of a content's later pieces begin.
pub(super) fn pieces(content: u64) -> Vec<u8> {
    let mut prefix = vec![b'd'];
    prefix.extend_from_slice(&content.to_be_bytes());
    prefix
}

/// The leaves that a row of leaves tells the places of.
pub(super) fn leaves_in(key: &[u8], value: &[u8]) -> Vec<u64> {
    let Some(row) = key.get(1..).and_then(|row| row.first_chunk()) else {
        return Vec::new();
    };
    let first = u64::from_be_bytes(*row).saturating_mul(ROW_CELLS);
    (first..)
        .zip(cells(value))
        .filter_map(|(i, cell)| (cell != 0).then_some(i))
        .collect()
}

/// The cells of a row that have something, in order.
pub(super) fn filled(value: &[u8]) -> impl Iterator<Item = u64> {
    cells(value).filter(|cell| *cell != 0)
}

/// Rows as they are with some cells set: those that were there come from `known`.
pub(super) fn merge<E>(
    cells: &[Cell],
    mut known: impl FnMut(&[u8]) -> Result<Option<Vec<u8>>, E>,
) -> Result<Vec<Row>, E> {
    let mut rows: BTreeMap<Vec<u8>, [u64; ROW_CELLS as usize]> = BTreeMap::new();
    for cell in cells {
        let (key, n, number) = cell.put();
        let row = match rows.entry(key) {
            Entry::Occupied(row) => row.into_mut(),
            Entry::Vacant(space) => {
                let mut row = [0; ROW_CELLS as usize];
                if let Some(value) = known(space.key())? {
                    row.iter_mut()
                        .zip(self::cells(&value))
                        .for_each(|(to, from)| *to = from);
                }
                space.insert(row)
            }
        };
        row[n] = number;
    }
    Ok(rows
        .into_iter()
        .map(|(key, row)| (key, encode(&row)))
        .collect())
}

/// Writes a row; empty cells at its end are left out.
fn encode(cells: &[u64]) -> Vec<u8> {
    let used = cells
        .iter()
        .rposition(|cell| *cell != 0)
        .map_or(0, |n| n + 1);
    let mut value = Vec::with_capacity(used * 2 + 8);
    let mut before = 0;
    for &cell in &cells[..used] {
        if cell == 0 {
            // No difference means no cell: no two of a row are the same.
            value.push(0);
            continue;
        }
        let difference = cell.wrapping_sub(before) as i64;
        leb128((difference << 1 ^ difference >> 63) as u64, &mut value);
        before = cell;
    }
    value
}

fn leb128(mut number: u64, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Reads a row, whatever it holds.
fn cells(value: &[u8]) -> impl Iterator<Item = u64> {
    let mut bytes = value.iter();
    let mut before = 0u64;
    std::iter::from_fn(move || {
        let (mut zigzag, mut shift) = (0u64, 0);
        loop {
            let byte = *bytes.next()?;
            zigzag |= u64::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
            shift += 7;
            if byte & 0x80 == 0 {
                break;
            }
        }
        if zigzag == 0 {
            return Some(0);
        }
        let difference = (zigzag >> 1) as i64 ^ -((zigzag & 1) as i64);
        before = before.wrapping_add(difference as u64);
        Some(before)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_position() -> impl Strategy<Value = Position> {
        (1u32..1 << 20, 0u64..1 << OFFSET_BITS)
            .prop_map(|(segment, offset)| Position { segment, offset })
    }

    /// Cells as a session makes them: no two of a table have the same value.
    fn row_of_distinct() -> impl Strategy<Value = Vec<u64>> {
        prop::collection::vec(prop_oneof![Just(0), any::<u64>()], 0..=64).prop_map(|mut cells| {
            let mut seen = std::collections::HashSet::new();
            for cell in &mut cells {
                if !seen.insert(*cell) {
                    *cell = 0;
                }
            }
            cells
        })
    }

    proptest! {
        #[test]
        fn a_row_reads_back(cells in row_of_distinct()) {
            let value = encode(&cells);
            // What sled keeps in its log: 1/80 of a segment.
            prop_assert!(value.len() <= (64 << 10) / 80);
            let mut read: Vec<u64> = super::cells(&value).collect();
            read.resize(cells.len(), 0);
            prop_assert_eq!(read, cells);
        }

        #[test]
        fn any_bytes_are_safe(value in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = cells(&value).count();
        }

        #[test]
        fn what_is_put_is_found_in_any_order_and_portion(
            places in prop::collection::btree_map(0u64..500, any_position(), 1..80),
            portions in prop::collection::vec(1usize..10, 1..20),
        ) {
            let mut distinct = places.clone();
            let mut seen = std::collections::HashSet::new();
            distinct.retain(|_, at| seen.insert((at.segment, at.offset)));
            let mut rows = BTreeMap::new();
            let all: Vec<Cell> = distinct.iter().rev().map(|(i, at)| Cell::Leaf(*i, *at)).collect();
            let mut rest = &all[..];
            for most in portions.iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                let (some, more) = rest.split_at((*most).min(rest.len()));
                let known = |key: &[u8]| Ok::<_, ()>(rows.get(key).cloned());
                let merged = merge(some, known).unwrap();
                rows.extend(merged);
                rest = more;
            }
            for (i, at) in &distinct {
                let slot = Slot::leaf(*i);
                let found = slot.read(&rows[&slot.row]).map(position);
                prop_assert_eq!(found, Some(*at));
            }
            let listed: Vec<u64> = rows.iter().flat_map(|(key, value)| leaves_in(key, value)).collect();
            prop_assert_eq!(listed, distinct.keys().copied().collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_call_has_its_leaves_beside_each_other_and_a_content_its_pieces() {
        let at = |offset| Position { segment: 3, offset };
        let cells = [
            Cell::Call(CallNumber(17), CallLeaf::Response, 0),
            Cell::Call(CallNumber(17), CallLeaf::Request, 40),
            Cell::Content(9, 0, at(8)),
            Cell::Content(9, 1, at(800)),
            Cell::Content(9, 64, at(8000)),
        ];
        let rows: BTreeMap<_, _> = merge(&cells, |_| Ok::<_, ()>(None))
            .unwrap()
            .into_iter()
            .collect();
        let read = |slot: Slot| slot.read(&rows[&slot.row]);
        assert_eq!(
            read(Slot::call(CallNumber(17), CallLeaf::Response)),
            Some(1)
        );
        assert_eq!(
            read(Slot::call(CallNumber(17), CallLeaf::Request)),
            Some(41)
        );
        assert_eq!(
            read(Slot::call(CallNumber(17), CallLeaf::RequestStream)),
            None
        );
        assert_eq!(read(Slot::content(9, 0)).map(position), Some(at(8)));
        let later: Vec<Position> = rows
            .range(pieces(9)..)
            .filter(|(key, _)| key.starts_with(&pieces(9)))
            .flat_map(|(_, value)| filled(value).map(position).collect::<Vec<_>>())
            .collect();
        assert_eq!(later, [at(800), at(8000)]);
    }
}
