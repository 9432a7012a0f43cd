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
