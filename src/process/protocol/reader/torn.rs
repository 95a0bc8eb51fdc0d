//! Streams that arrive in pieces of any length, and damaged.
#![forbid(unsafe_code)]

use std::io;
use std::ops::ControlFlow;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;

use fastrand::Rng;
use rustix::net::{RecvFlags, SendFlags, send};

use super::{READ, Reader};
use crate::process::protocol::frame::{HEADER, Header, ItemsHead, Kind, TaskHead, put, take_item};
use crate::process::protocol::reply;
use crate::process::seeds;

const STREAMS: u64 = 300;
const LONGEST: usize = 5000;

type Frame = (Header, Vec<u8>);

/// Returns random frames and their bytes.
fn stream(rng: &mut Rng, limit: usize) -> (Vec<Frame>, Vec<u8>) {
    let (mut frames, mut bytes) = (Vec::new(), Vec::new());
    for _ in 0..rng.usize(1..12) {
        let length = if rng.bool() { rng.usize(..40) } else { rng.usize(..=limit) };
        let body: Vec<u8> = (0..length.min(limit)).map(|_| rng.u8(..)).collect();
        let (kind, slot, sequence) = (Kind::ALL[rng.usize(..Kind::ALL.len())], rng.u8(..), rng.u64(..));
        put(&mut bytes, kind, slot, sequence, &body);
        frames.push((Header::new(kind, slot, sequence, body.len()), body));
    }
    (frames, bytes)
}

/// Returns what a reader makes of these pieces until they end or are not valid.
fn read(pieces: &[&[u8]], limit: usize) -> (Vec<Frame>, Option<io::Error>) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let (mut reader, mut frames) = (Reader::new(limit as u64), Vec::new());
    let mut take = |reader: &mut Reader| {
        loop {
            match reader.next() {
                Ok(Some((header, body))) => frames.push((header, reader.body(body).to_vec())),
                Ok(None) => return ControlFlow::Continue(()),
                Err(error) => return ControlFlow::Break(error),
            }
        }
    };
    for piece in pieces.iter().filter(|piece| !piece.is_empty()) {
        assert_eq!(send(&theirs, piece, SendFlags::empty()).unwrap(), piece.len());
        let received = reader.fill(ours.as_fd(), RecvFlags::DONTWAIT);
        assert!(reader.buffer.len() <= HEADER + limit + READ, "more is kept than the longest frame takes");
        let error = match received {
            Ok(received) => {
                assert_eq!(received, piece.len());
                take(&mut reader).break_value()
            }
            Err(error) => Some(error),
        };
        if error.is_some() {
            assert!(reader.next().is_err(), "nothing is read behind what makes no sense");
            return (frames, error);
        }
    }
    drop(theirs);
    assert_eq!(reader.fill(ours.as_fd(), RecvFlags::empty()).unwrap(), 0);
    (frames, None)
}

fn pieces<'a>(mut bytes: &'a [u8], rng: &mut Rng) -> Vec<&'a [u8]> {
    let longest = [2, 30, 1000, 60_000][rng.usize(..4)];
    let mut pieces = Vec::new();
    while !bytes.is_empty() {
        let (piece, rest) = bytes.split_at(rng.usize(1..=longest).min(bytes.len()));
        pieces.push(piece);
        bytes = rest;
    }
    pieces
}

#[test]
fn a_stream_split_at_any_byte_gives_the_same_frames() {
    let (frames, bytes) = stream(&mut Rng::with_seed(7), 60);
    for at in 0..=bytes.len() {
        let (head, tail) = bytes.split_at(at);
        let (read, error) = read(&[head, tail], 60);
        assert!(read == frames && error.is_none(), "torn at {at}");
    }
}

#[test]
fn streams_split_at_random_give_the_same_frames() {
    seeds::each(STREAMS, || {
        |seed, _| {
            let mut rng = Rng::with_seed(seed);
            let limit = rng.usize(1..LONGEST);
            let (frames, bytes) = stream(&mut rng, limit);
            let (read, error) = read(&pieces(&bytes, &mut rng), limit);
            assert!(read == frames && error.is_none());
        }
    });
}

#[test]
fn a_damaged_stream_is_read_up_to_the_damage() {
    seeds::each(STREAMS, || {
        |seed, _| {
            let mut rng = Rng::with_seed(seed);
            let limit = rng.usize(1..LONGEST);
            let (frames, mut bytes) = stream(&mut rng, limit);
            let at = rng.usize(..bytes.len());
            match rng.u32(..4) {
                0 => bytes.truncate(at),
                1 => drop(bytes.drain(at..(at + rng.usize(1..30)).min(bytes.len()))),
                2 => drop(bytes.splice(at..at, std::iter::repeat_with(|| rng.u8(..)).take(10))),
                _ => bytes[at] ^= 1 << rng.u32(..8),
            }
            let (read, _) = read(&pieces(&bytes, &mut rng), limit);
            let mut end = 0;
            for (sent, read) in frames.iter().zip(&read) {
                end += HEADER + sent.1.len();
                assert!(end > at || sent == read, "what came before the damage is as it was");
            }
            assert!(read.iter().all(|(header, body)| body.len() as u64 == header.length && body.len() <= limit));
        }
    });
}

/// A worker that a task has damaged may send anything.
#[test]
fn random_bodies_are_read_or_refused() {
    seeds::each(STREAMS, || {
        |seed, _| {
            let mut rng = Rng::with_seed(seed);
            let mut body: Vec<u8> = (0..rng.usize(..80)).map(|_| rng.u8(..)).collect();
            if rng.bool() {
                // Small numbers are lengths that fit, and kinds that exist.
                body.iter_mut().for_each(|byte| *byte %= 12);
            }
            let _ = (TaskHead::parse(&body), reply::from_bytes(&body));
            let (mut items, mut count) = (ItemsHead::parse(&body).map_or(&body[..], |(_, items)| items), 0);
            while take_item(&mut items).is_some() {
                count += 1;
            }
            assert!(count <= body.len());
        }
    });
}
