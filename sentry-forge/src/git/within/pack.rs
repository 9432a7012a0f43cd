//! One pack as it arrives (gitformat-pack(5)): where each of its objects stands, what it weighs, and its id.
//!
//! Nothing is believed: every size is bounded before anything is allocated for it, every object's id is computed from its
//! content, and the sum at the end must be that of all bytes before. The pack itself is kept on the disk where it is large,
//! in a file without a name.

use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, Read, Seek as _, SeekFrom, Write as _};
use std::path::Path;

use tempfile::SpooledTempFile;

use super::fault::Fault;
use super::id::{Algorithm, Hasher, Id, Kind};
use super::inflate::{Inflater, Meter};
use super::resolve;

/// Packs up to this many bytes are kept in memory.
const IN_MEMORY: usize = 4 << 20;
/// The most objects that a pack may have.
const ENTRIES: u32 = 1_000_000;
/// The largest object that is held in memory, and the largest result of a delta.
pub(crate) const LARGEST: u64 = 32 << 20;
/// The largest object whose id is computed. A commit, tree or tag that is larger ends the fetch; a file is passed over.
const WEIGHED: u64 = 2 * LARGEST;

/// An object of a pack.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry {
    /// Where its compressed bytes begin.
    data: u64,
    /// What they inflate to.
    pub(crate) inflated: u64,
    /// What the object weighs: of a delta, once it is resolved, its result.
    pub(crate) weight: u64,
    pub(crate) base: Base,
}

/// What an entry is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Base {
    /// Of itself alone.
    Whole(Kind),
    /// Of the object at this index.
    At(u32),
    /// Of the object with this id, until that is found.
    Named(u32),
}

/// A pack that was read to its end.
pub(crate) struct Pack {
    file: SpooledTempFile,
    inflater: Inflater,
    pub(crate) algorithm: Algorithm,
    pub(crate) entries: Vec<Entry>,
    /// The ids that deltas name their bases by.
    pub(crate) named: Vec<Id>,
    /// Sorted once all are known.
    pub(crate) ids: Vec<(Id, u32)>,
    /// The largest object that was passed over, with its size.
    pub(crate) heavy: Option<u64>,
}

impl std::fmt::Debug for Pack {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pack").field("entries", &self.entries.len()).finish_non_exhaustive()
    }
}

impl Pack {
    /// Reads a pack that ends where its input does. `dir` is where it is kept if it is large.
    pub(crate) fn read(
        input: impl BufRead,
        algorithm: Algorithm,
        meter: &mut Meter,
        dir: &Path,
    ) -> Result<Self, Fault> {
        let mut input = Arriving::new(input, algorithm, dir);
        let count = head(&mut input)?;
        let mut pack = Self {
            file: tempfile::spooled_tempfile(0),
            inflater: Inflater::new(),
            algorithm,
            entries: Vec::new(),
            named: Vec::new(),
            ids: Vec::new(),
            heavy: None,
        };
        let mut starts = Vec::new();
        for _ in 0..count {
            let start = input.count;
            pack.entry(&mut input, start, &starts, meter)?;
            starts.push(start);
        }
        pack.file = input.end()?;
        drop(starts);
        resolve::all(&mut pack, meter)?;
        pack.ids.sort_unstable();
        Ok(pack)
    }

    /// Reads one object. `starts` are the places of those before it.
    fn entry<R: BufRead>(
        &mut self,
        input: &mut Arriving<R>,
        start: u64,
        starts: &[u64],
        meter: &mut Meter,
    ) -> Result<(), Fault> {
        let (kind, inflated) = object_head(input)?;
        let base = match kind {
            1 => Base::Whole(Kind::Commit),
            2 => Base::Whole(Kind::Tree),
            3 => Base::Whole(Kind::Blob),
            4 => Base::Whole(Kind::Tag),
            6 => {
                let back = distance(input)?;
                let at = start.checked_sub(back).and_then(|at| starts.binary_search(&at).ok());
                let at = at.and_then(|at| u32::try_from(at).ok());
                Base::At(
                    at.ok_or_else(|| Fault::garbled("has a delta whose base is not before it"))?,
                )
            }
            7 => {
                let mut bytes = vec![0; self.algorithm.length()];
                input.read_exact(&mut bytes)?;
                let id = Id::from_bytes(self.algorithm, &bytes);
                self.named.push(id.ok_or(Fault::Cut)?);
                Base::Named(index(self.named.len() - 1))
            }
            _ => return Err(Fault::garbled("has an object of a kind that git does not know")),
        };
        let (number, data) = (index(self.entries.len()), input.count);
        let whole = if let Base::Whole(kind) = base { Some(kind) } else { None };
        if let Some(kind) = whole.filter(|kind| *kind != Kind::Blob && inflated > WEIGHED) {
            return Err(too_large(kind.named(), inflated, WEIGHED));
        }
        let mut hasher =
            whole.filter(|_| inflated <= WEIGHED).map(|kind| kind.hasher(self.algorithm, inflated));
        let mut sink = |bytes: &[u8]| hasher.iter_mut().for_each(|hasher| hasher.update(bytes));
        self.inflater.run(input, inflated, meter, &mut sink)?;
        match hasher {
            Some(hasher) => self.ids.push((hasher.finish()?, number)),
            None if whole.is_some() => self.pass_over(inflated),
            None => {}
        }
        self.entries.push(Entry { data, inflated, weight: inflated, base });
        Ok(())
    }

    /// Notes that an object is too large to be read.
    pub(crate) fn pass_over(&mut self, weight: u64) {
        self.heavy = self.heavy.max(Some(weight));
    }

    /// The index of an object, by its id.
    pub(crate) fn find(&self, id: &Id) -> Option<u32> {
        let at = self.ids.binary_search_by(|(known, _)| known.cmp(id)).ok()?;
        Some(self.ids[at].1)
    }

    /// The kind and the weight of an object.
    pub(crate) fn weigh(&self, mut at: u32) -> Option<(Kind, u64)> {
        let weight = self.entries.get(at as usize)?.weight;
        loop {
            match self.entries.get(at as usize)?.base {
                Base::Whole(kind) => return Some((kind, weight)),
                Base::At(base) => at = base,
                Base::Named(_) => return None,
            }
        }
    }

    /// What the bytes of an entry inflate to, which are at most [`LARGEST`].
    pub(crate) fn inflate(&mut self, at: u32, meter: &mut Meter) -> Result<Vec<u8>, Fault> {
        let Entry { data, inflated, .. } = self.entries[at as usize];
        if inflated > LARGEST {
            return Err(too_large("a delta", inflated, LARGEST));
        }
        self.file.seek(SeekFrom::Start(data))?;
        let mut reader = BufReader::with_capacity(16 << 10, &mut self.file);
        let mut bytes = Vec::with_capacity(usize::try_from(inflated).unwrap_or_default());
        self.inflater
            .run(&mut reader, inflated, meter, &mut |more| bytes.extend_from_slice(more))?;
        Ok(bytes)
    }
}

/// An index in a list that is never longer than [`ENTRIES`].
fn index(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

/// What is refused for its size: `a tree`.
pub(crate) fn too_large(what: &str, size: u64, most: u64) -> Fault {
    Fault::TooLarge(format!("has {what} of {size} bytes, at most {most} allowed"))
}

/// The pack's head; how many objects it has.
fn head<R: BufRead>(input: &mut Arriving<R>) -> Result<u32, Fault> {
    let mut head = [0; 12];
    input.read_exact(&mut head)?;
    let word = |at: usize| u32::from_be_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    if &head[..4] != b"PACK" || !(2..=3).contains(&word(4)) {
        return Err(Fault::garbled("is no pack of version 2"));
    }
    match word(8) {
        count if count > ENTRIES => {
            Err(Fault::TooLarge(format!("has {count} objects, at most {ENTRIES} allowed")))
        }
        count => Ok(count),
    }
}

/// An object's kind, in git's numbers, and its size.
fn object_head<R: BufRead>(input: &mut Arriving<R>) -> Result<(u8, u64), Fault> {
    let mut byte = input.byte()?;
    let kind = (byte >> 4) & 7;
    let (mut size, mut shift) = (u64::from(byte & 15), 4);
    while byte & 128 != 0 {
        byte = input.byte()?;
        if shift > 56 {
            return Err(Fault::garbled("has an object of an impossible size"));
        }
        size |= u64::from(byte & 127) << shift;
        shift += 7;
    }
    Ok((kind, size))
}

/// How far before a delta its base begins.
fn distance<R: BufRead>(input: &mut Arriving<R>) -> Result<u64, Fault> {
    let mut byte = input.byte()?;
    let mut distance = u64::from(byte & 127);
    while byte & 128 != 0 {
        byte = input.byte()?;
        if distance >= 1 << 56 {
            return Err(Fault::garbled("has a delta at an impossible distance"));
        }
        distance = ((distance + 1) << 7) | u64::from(byte & 127);
    }
    Ok(distance)
}

/// A pack on its way to the disk: what is taken of it is counted, summed and kept.
struct Arriving<R> {
    input: R,
    sum: Hasher,
    file: SpooledTempFile,
    count: u64,
    algorithm: Algorithm,
    /// What went wrong when it was kept.
    failed: Option<io::Error>,
}

impl<R: BufRead> Arriving<R> {
    fn new(input: R, algorithm: Algorithm, dir: &Path) -> Self {
        let (sum, file) =
            (Hasher::for_sum(algorithm), tempfile::spooled_tempfile_in(IN_MEMORY, dir));
        Self { input, sum, file, count: 0, algorithm, failed: None }
    }

    fn byte(&mut self) -> Result<u8, Fault> {
        let mut byte = [0];
        self.read_exact(&mut byte)?;
        Ok(byte[0])
    }

    /// Compares the sum, and sees that nothing follows it.
    fn end(mut self) -> Result<SpooledTempFile, Fault> {
        self.failed.take().map_or(Ok(()), Err)?;
        let mut sum = vec![0; self.algorithm.length()];
        self.input.read_exact(&mut sum)?;
        let computed = self.sum.finish()?;
        if Id::from_bytes(self.algorithm, &sum) != Some(computed) {
            return Err(Fault::garbled("has another sum than its bytes"));
        }
        if !self.input.fill_buf()?.is_empty() {
            return Err(Fault::garbled("goes on after its end"));
        }
        Ok(self.file)
    }
}

impl<R: BufRead> Read for Arriving<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let given = self.fill_buf()?;
        let length = given.len().min(buffer.len());
        buffer[..length].copy_from_slice(&given[..length]);
        self.consume(length);
        Ok(length)
    }
}

impl<R: BufRead> BufRead for Arriving<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        self.input.fill_buf()
    }

    fn consume(&mut self, length: usize) {
        // It was filled before: nothing is waited for here.
        let taken = self.input.fill_buf().map(|given| &given[..length]);
        let kept = taken.and_then(|taken| {
            self.sum.update(taken);
            self.file.write_all(taken)
        });
        self.failed = self.failed.take().or(kept.err());
        self.input.consume(length);
        self.count += length as u64;
    }
}

/// The indices of objects by their ids, while not all of them are known yet.
pub(crate) type Waiting = HashMap<Id, Vec<u32>>;

#[cfg(test)]
mod tests;
