//! The bridge between an answer that arrives and the thread that reads it.

use std::io::{self, BufRead, Read};
use std::path::Path;

use bytes::{Buf as _, Bytes};
use tokio::sync::mpsc::Receiver;

use super::answer;
use super::fault::Fault;
use super::id::Algorithm;
use super::inflate::Meter;
use super::pack::Pack;

/// What arrives, as a reader that waits for it. It ends where whoever sends ends.
#[derive(Debug)]
pub(crate) struct Pieces {
    from: Receiver<Bytes>,
    piece: Bytes,
    /// Bytes that arrived.
    count: u64,
}

impl Pieces {
    pub(crate) fn new(from: Receiver<Bytes>) -> Self {
        Self { from, piece: Bytes::new(), count: 0 }
    }
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let given = self.fill_buf()?;
        let length = given.len().min(buffer.len());
        buffer[..length].copy_from_slice(&given[..length]);
        self.consume(length);
        Ok(length)
    }
}

impl BufRead for Pieces {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.piece.is_empty() {
            match self.from.blocking_recv() {
                Some(piece) => {
                    self.count += piece.len() as u64;
                    self.piece = piece;
                }
                None => break,
            }
        }
        Ok(&self.piece)
    }

    fn consume(&mut self, length: usize) {
        self.piece.advance(length);
    }
}

/// What was made of an answer.
#[derive(Debug)]
pub(crate) struct Received {
    /// Whether the history goes on behind what was sent, and the pack; `None` if there was no answer at all.
    pub(crate) outcome: Result<Option<(bool, Pack)>, Fault>,
    pub(crate) meter: Meter,
    /// Bytes that arrived.
    pub(crate) bytes: u64,
}

/// Reads an answer to its end. Waits, so it has a thread of its own.
pub(crate) fn read(
    mut pieces: Pieces,
    algorithm: Algorithm,
    mut meter: Meter,
    dir: &Path,
) -> Received {
    let outcome = (|| {
        let Some(answer) = answer::open(&mut pieces)? else { return Ok(None) };
        let pack = Pack::read(answer.pack, algorithm, &mut meter, dir)?;
        Ok(Some((answer.is_shallow, pack)))
    })();
    Received { outcome, meter, bytes: pieces.count }
}
