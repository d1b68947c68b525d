//! Long bodies: alone, in company, and broken off in the middle.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use super::super::content::{self, Opening};
use super::super::frame::Kind;
use super::super::wal::{Position, Scanner, Step};
use super::*;
use crate::limits;

/// Bytes that no other seed gives, in pieces as they may come over the wire.
fn noise(seed: u8, bytes: usize) -> Vec<Bytes> {
    let mut state = u64::from(seed) + 1;
    let bytes: Vec<u8> = (0..bytes)
        .map(|_| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            // Half of it packs.
            (state >> 60) as u8
        })
        .collect();
    let pieces = bytes.chunks(17_000);
    pieces.map(Bytes::copy_from_slice).collect()
}

/// Contents of which a piece stands behind the opening that names them.
fn late(dir: &SessionDir) -> Vec<u64> {
    let mut scanner = Scanner::open(dir.path(), Position::START).unwrap();
    let (mut opened, mut late) = (Vec::new(), Vec::new());
    while let Step::Frame(_, _, frame) = scanner.step().unwrap() {
        match frame.kind {
            Kind::Opening => opened.push(Opening::parse(&frame.header).unwrap().content),
            Kind::Content => {
                let (content, _) = content::parse_content_header(&frame.header).unwrap();
                late.extend(opened.contains(&content).then_some(content));
            }
            _ => {}
        }
    }
    late
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn long_bodies_are_whole_alone_and_in_company() {
    let sessions = tempfile::tempdir().unwrap();
    let (dir, journal) = session(sessions.path(), 1);
    let mut recorded = Vec::new();
    for company in [1, 2, 5] {
        let bodies: Vec<_> = (0..company).map(|i| noise(company + i, 400_000)).collect();
        let mut streams: Vec<_> = bodies.iter().map(|_| ContentStream::new("body")).collect();
        for at in 0..bodies[0].len() {
            for (body, stream) in bodies.iter().zip(&mut streams) {
                let piece = clean(body[at].clone());
                stream.push(&journal, piece).await.unwrap();
                if at == 11 || at + 1 == body.len() {
                    // Nobody waits for it before the end.
                    drop(stream.flush(&journal).await.unwrap());
                }
            }
        }
        for (body, stream) in bodies.iter().zip(streams) {
            let content = stream.finish(&journal).await.unwrap();
            let permit = call_with(&journal, content).await;
            recorded.push((permit.request_leaf(), body.concat()));
        }
    }
    journal.close(closing()).unwrap();
    assert!(late(&dir).is_empty());
    let reader = SessionReader::open(dir).unwrap();
    assert!(!reader.check(|_, _| {}).unwrap().findings.is_broken());
    for (leaf, body) in recorded {
        assert_eq!(body_of(&reader, leaf), body);
    }
}

/// A session that ends stops its uploads wherever they are.
#[tokio::test]
async fn a_push_that_is_broken_off_leaves_no_hole() {
    let sessions = tempfile::tempdir().unwrap();
    let (dir, journal) = session(sessions.path(), 2);
    let company = [ContentStream::new("body"), ContentStream::new("body")];
    let mut recorded = Vec::new();
    for mut stream in company {
        let mut broken_off = 0;
        for piece in noise(7, 1_500_000) {
            let mut push = pin!(stream.push(&journal, clean(piece)));
            // Asked once, and then given up.
            let pushed = poll_fn(|cx| Poll::Ready(push.as_mut().poll(cx))).await;
            broken_off += u32::from(pushed.is_pending());
        }
        assert!(broken_off > 0);
        let content = stream.finish(&journal).await.unwrap();
        recorded.push(call_with(&journal, content).await.request_leaf());
    }
    journal.close(closing()).unwrap();
    let reader = SessionReader::open(dir).unwrap();
    assert!(!reader.check(|_, _| {}).unwrap().findings.is_broken());
    for leaf in recorded {
        assert!(body_of(&reader, leaf).len() > limits::BODY_PIECE_BYTES_MAX);
    }
}
