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
            return Err(too_large(kind.word(), inflated, WEIGHED));
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

/// What is refused for its size.
pub(crate) fn too_large(what: &str, size: u64, most: u64) -> Fault {
    Fault::TooLarge(format!("has an object ({what}) of {size} bytes, at most {most} allowed"))
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
mod tests {
    use super::super::resolve::content;
    use super::*;
    use std::time::{Duration, Instant};

    /// Compressed without compression, so that a flipped bit is a byte of the object's or of the stream's frame.
    fn deflated(bytes: &[u8]) -> Vec<u8> {
        let mut writer = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::none());
        writer.write_all(bytes).unwrap();
        writer.finish().unwrap()
    }

    fn object(kind: u8, head: &[u8], bytes: &[u8]) -> Vec<u8> {
        let size = bytes.len();
        assert!(size < 2048);
        let first = (kind << 4) | u8::try_from(size & 15).unwrap() | 128;
        [&[first, u8::try_from(size >> 4).unwrap()], head, &deflated(bytes)].concat()
    }

    fn sum(bytes: &[u8]) -> Vec<u8> {
        let mut hasher = Hasher::for_sum(Algorithm::Sha1);
        hasher.update(bytes);
        data_encoding::HEXLOWER.decode(hasher.finish().unwrap().to_string().as_bytes()).unwrap()
    }

    fn pack(objects: &[Vec<u8>]) -> Vec<u8> {
        let count = u32::try_from(objects.len()).unwrap();
        [b"PACK".as_slice(), &2u32.to_be_bytes(), &count.to_be_bytes(), &objects.concat()].concat()
    }

    fn summed(pack: Vec<u8>) -> Vec<u8> {
        let sum = sum(&pack);
        [pack, sum].concat()
    }

    fn id(kind: Kind, bytes: &[u8]) -> Id {
        let mut hasher = kind.hasher(Algorithm::Sha1, bytes.len() as u64);
        hasher.update(bytes);
        hasher.finish().unwrap()
    }

    fn meter(most: u64) -> Meter {
        Meter::new(most, Instant::now() + Duration::from_secs(600))
    }

    fn read(bytes: &[u8]) -> Result<Pack, Fault> {
        let input = BufReader::with_capacity(11, bytes);
        Pack::read(input, Algorithm::Sha1, &mut meter(1 << 30), &std::env::temp_dir())
    }

    fn contents(pack: &mut Pack) -> Vec<(Id, Vec<u8>)> {
        let ids = pack.ids.clone();
        let read = |(id, at)| (id, content(pack, at, &mut meter(1 << 30)).unwrap());
        ids.into_iter().map(read).collect()
    }

    const BASE: &[u8] = b"0123456789abcdef";
    /// "Copy 10 from 0, insert x": what a delta makes of [`BASE`].
    const MADE: &[u8] = b"0123456789x";
    const DELTA: &[u8] = &[16, 11, 0x90, 10, 1, b'x'];
    /// The same of [`MADE`]: "copy 4 from 7".
    const AGAIN: &[u8] = &[11, 4, 0x91, 7, 4];

    fn bytes_of(id: &Id) -> Vec<u8> {
        data_encoding::HEXLOWER.decode(id.to_string().as_bytes()).unwrap()
    }

    /// A file, a delta by its distance, a delta of that by its base's id, which stands before it is known, and a commit.
    fn sample() -> Vec<u8> {
        let by_id = object(7, &bytes_of(&id(Kind::Blob, MADE)), AGAIN);
        let base = object(3, &[], BASE);
        let back = u8::try_from(base.len()).unwrap();
        let by_place = object(6, &[back], DELTA);
        pack(&[by_id, base, by_place, object(1, &[], b"tree x")])
    }

    #[test]
    fn objects_and_deltas_of_both_kinds_are_found_by_their_ids() {
        let mut pack = read(&summed(sample())).unwrap();
        let mut expected = vec![
            (id(Kind::Blob, BASE), BASE.to_vec()),
            (id(Kind::Blob, MADE), MADE.to_vec()),
            (id(Kind::Blob, b"789x"), b"789x".to_vec()),
            (id(Kind::Commit, b"tree x"), b"tree x".to_vec()),
        ];
        expected.sort();
        assert_eq!(contents(&mut pack), expected);
        let weigh = |id: &Id| pack.weigh(pack.find(id).unwrap()).unwrap();
        assert_eq!(weigh(&id(Kind::Blob, b"789x")), (Kind::Blob, 4));
        assert_eq!(weigh(&id(Kind::Commit, b"tree x")), (Kind::Commit, 6));
        assert!(pack.find(&id(Kind::Blob, b"x")).is_none());
    }

    #[test]
    fn every_cut_and_every_flipped_bit_is_an_error() {
        let whole = summed(sample());
        for end in 0..whole.len() {
            assert!(read(&whole[..end]).is_err(), "cut at {end}");
        }
        for bit in 0..whole.len() * 8 {
            let mut other = whole.clone();
            other[bit / 8] ^= 1 << (bit % 8);
            assert!(read(&other).is_err(), "bit {bit}");
        }
        assert!(read(&[&whole[..], b"x"].concat()).is_err(), "something behind its end");
    }

    /// Somebody who flips a bit can as well sum it all up again: then ids are what tells.
    #[test]
    fn whatever_the_sum_says_an_object_has_the_id_of_its_own_content() {
        let whole = sample();
        for bit in 0..whole.len() * 8 {
            let mut other = whole.clone();
            other[bit / 8] ^= 1 << (bit % 8);
            let Ok(mut pack) = read(&summed(other)) else { continue };
            for (id, bytes) in contents(&mut pack) {
                let kinds = [Kind::Blob, Kind::Commit, Kind::Tree, Kind::Tag];
                assert!(kinds.iter().any(|kind| self::id(*kind, &bytes) == id), "bit {bit}");
            }
        }
    }

    #[test]
    fn what_no_pack_has_is_refused_before_it_takes_room() {
        let huge = |kind: u8, size: u64| {
            let mut head = vec![(kind << 4) | u8::try_from(size & 15).unwrap()];
            let mut rest = size >> 4;
            while rest > 0 {
                *head.last_mut().unwrap() |= 128;
                head.push(u8::try_from(rest & 127).unwrap());
                rest >>= 7;
            }
            [head, deflated(b"x")].concat()
        };
        let many = [b"PACK".as_slice(), &2u32.to_be_bytes(), &u32::MAX.to_be_bytes()].concat();
        let own_base = object(6, &[0], DELTA);
        let before_all = object(6, &[127], DELTA);
        let nobody = object(7, &[9; 20], DELTA);
        let bomb = [16, 0xff, 0xff, 0xff, 0xff, 0x0f, 0x90, 10];
        let base = object(2, &[], BASE);
        let back = u8::try_from(base.len()).unwrap();
        for (what, bytes, is_too_large) in [
            ("4,294,967,295 objects", many, true),
            ("a commit of 2^50 bytes", pack(&[huge(1, 1 << 50)]), true),
            ("a tree of 64 MiB and a byte", pack(&[huge(2, WEIGHED + 1)]), true),
            (
                "a tree that a delta makes of 4 GiB",
                pack(&[base.clone(), object(6, &[back], &bomb)]),
                true,
            ),
            ("a file that is larger than it says", pack(&[huge(3, 0)]), false),
            ("a file that is smaller than it says", pack(&[huge(3, 2)]), false),
            ("an object of kind 0", pack(&[object(0, &[], b"x")]), false),
            ("an object of kind 5", pack(&[object(5, &[], b"x")]), false),
            ("a delta of itself", pack(&[own_base]), false),
            ("a delta of what is before the pack", pack(&[before_all]), false),
            ("a delta of what nobody has", pack(&[nobody]), false),
            ("a delta for another size", pack(&[base, object(6, &[back], AGAIN)]), false),
            ("another version", [b"PACK\0\0\0\x04".as_slice(), &[0; 4]].concat(), false),
            ("another head", [b"JACK\0\0\0\x02".as_slice(), &[0; 4]].concat(), false),
        ] {
            let error = read(&summed(bytes)).map(|_| ()).unwrap_err();
            assert_eq!(matches!(error, Fault::TooLarge(_)), is_too_large, "{what}: {error}");
        }
        assert!(read(&summed(pack(&[]))).unwrap().ids.is_empty());
    }

    #[test]
    fn all_that_is_inflated_is_bounded_together() {
        let objects: Vec<_> = (0..10u8).map(|n| object(3, &[], &[n; 100])).collect();
        let bytes = summed(pack(&objects));
        for (most, fits) in [(1_000, true), (999, false)] {
            let dir = std::env::temp_dir();
            let read = Pack::read(&bytes[..], Algorithm::Sha1, &mut meter(most), &dir);
            assert_eq!(read.is_ok(), fits, "{most}");
        }
    }

    /// Each is made of the one before, and all of them together are more than is held at once.
    #[test]
    fn a_long_chain_of_large_objects_is_resolved_within_a_bound() {
        let size = 8 << 20;
        let mut plain = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
        plain.write_all(&vec![b'x'; size]).unwrap();
        // 8 MiB and their head; the size in seven bits a byte.
        let head = |kind: u8| vec![(kind << 4) | 128, 128, 128, 32];
        let mut objects = vec![[head(3), plain.finish().unwrap()].concat()];
        for n in 0..20u8 {
            // "Insert n, copy all but the last byte", in two copies of at most 16 MiB less one.
            let sizes = [0x80, 0x80, 0x80, 4];
            let delta = [&sizes[..], &sizes, &[1, n, 0xf0, 0xff, 0xff, 0x7f]].concat();
            let back = objects.last().map(Vec::len).unwrap();
            let mut distance = vec![u8::try_from(back & 127).unwrap()];
            let mut rest = back >> 7;
            while rest > 0 {
                rest -= 1;
                distance.insert(0, u8::try_from(rest & 127).unwrap() | 128);
                rest >>= 7;
            }
            objects.push(object(6, &distance, &delta));
        }
        let mut pack = read(&summed(pack(&objects))).unwrap();
        assert_eq!((pack.ids.len(), pack.heavy), (21, None));
        let mut last = vec![b'x'; size];
        (0..20u8).for_each(|n| {
            last.insert(0, n);
            last.pop();
        });
        let at = pack.find(&id(Kind::Blob, &last)).unwrap();
        assert_eq!(content(&mut pack, at, &mut meter(1 << 30)).unwrap(), last);
    }
}
