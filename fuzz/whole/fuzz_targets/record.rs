//! A write-ahead file of any frames, with checksums made right so that what is inside is reached:
//! checked, read and walked without a panic or a hang.

#![no_main]

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::LazyLock;

use ddgate::journal::catalog::SessionDir;
use ddgate::journal::{Depth, Expected, Pass, audit, walk};
use ddgate::record::SessionId;
use libfuzzer_sys::fuzz_target;

static SESSIONS: LazyLock<PathBuf> = LazyLock::new(|| {
    let made = tempfile::tempdir().map(tempfile::TempDir::keep);
    made.unwrap_or_default()
});

/// Frames out of raw bytes: kind, flags, two lengths, header, payload, and so on.
fn frames(mut raw: &[u8], file: &mut Vec<u8>) {
    let mut seq = 1_u64;
    while let [kind, flags, header, payload, rest @ ..] = raw {
        let (header, payload) = (usize::from(*header), usize::from(*payload) * 4);
        let header = &rest[..header.min(rest.len())];
        let after = &rest[header.len()..];
        let payload = &after[..payload.min(after.len())];
        frame(file, *kind % 10, *flags, seq, header, payload);
        seq += u64::from(*flags & 0x80 == 0);
        raw = &after[payload.len()..];
    }
    file.extend_from_slice(raw);
}

fn frame(file: &mut Vec<u8>, kind: u8, flags: u8, seq: u64, header: &[u8], payload: &[u8]) {
    let start = file.len();
    file.extend_from_slice(b"DDW1");
    file.extend_from_slice(&[kind, flags & 0x7f]);
    file.extend_from_slice(&(header.len() as u16).to_le_bytes());
    file.extend_from_slice(&(payload.len() as u32).to_le_bytes());
    file.extend_from_slice(&[0; 4]);
    file.extend_from_slice(&seq.to_le_bytes());
    file.extend_from_slice(header);
    file.extend_from_slice(payload);
    let crc = crc32c::crc32c(&file[start..start + 12]);
    let crc = crc32c::crc32c_append(crc, &file[start + 16..]);
    file[start + 12..start + 16].copy_from_slice(&crc.to_le_bytes());
    file.resize((file.len()).next_multiple_of(8), 0);
}

fuzz_target!(|raw: &[u8]| {
    let id = SessionId::from_bytes([7; 16]);
    let dir = SessionDir::new(&SESSIONS, id);
    let _ = std::fs::create_dir_all(dir.path());
    let mut head = id.to_string().into_bytes();
    head.extend_from_slice(&1_u32.to_le_bytes());
    head.extend_from_slice(&1_u32.to_le_bytes());
    let mut file = Vec::new();
    frame(&mut file, 1, 0, 0, &head, &[]);
    frames(raw, &mut file);
    if std::fs::write(dir.path().join("wal-000001.ddw"), &file).is_err() {
        return;
    }
    let _ = audit(&dir, &Expected::default());
    if let Ok(pass) = Pass::open(dir.clone()) {
        let _ = pass.read(Depth::Contents, |_, _| ControlFlow::Continue(()));
    }
    if let Ok(walk) = walk::walk(&dir) {
        for found in walk.flatten() {
            if let walk::Found::Opening(opening) = found {
                opening.pieces().for_each(drop);
            }
        }
    }
});
