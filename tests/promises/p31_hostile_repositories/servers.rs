//! What a git server may offer, promise and send.

use std::io::Write as _;
use std::process::{Command, Stdio};

use sentry_tests::liar::{CAPABILITIES, Lies, Pack, object_head, pack_head, stored};
use sentry_tests::repo::{BareRepo, git};

use super::Reaches::{Harmless, Nothing};
use super::{Case, Ground, HONEST};

/// An honest commit, and a pack of all that it holds.
fn honest(b: &BareRepo) -> (String, Vec<u8>) {
    let sha = b.commit("main", &HONEST, "honest");
    let mut pack = git(b.path())
        .args(["pack-objects", "--all", "--stdout", "-q"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    drop(pack.stdin.take());
    (sha, pack.wait_with_output().unwrap().stdout)
}

/// Honest, but for what is changed.
fn lies(b: &BareRepo, change: impl FnOnce(&mut Lies)) -> Lies {
    let (sha, pack) = honest(b);
    let mut lies = Lies::about(&sha, Pack::Bytes(pack));
    change(&mut lies);
    lies
}

fn offers(name: &'static str, tries: &'static str, offer: fn(&Ground) -> String) -> Case {
    Case::liar(name, tries, Harmless, move |b, g| {
        lies(b, |lies| {
            lies.capabilities = [CAPABILITIES.map(str::to_owned).into(), vec![offer(g)]].concat()
        })
    })
}

fn section(
    name: &'static str,
    tries: &'static str,
    title: &'static str,
    lines: fn(&Ground) -> Vec<String>,
) -> Case {
    Case::liar(name, tries, Nothing, move |b, g| {
        lies(b, |lies| lies.sections.push((title.to_owned(), lines(g))))
    })
}

fn refs(name: &'static str, tries: &'static str, refs: fn(&str) -> Vec<(String, String)>) -> Case {
    Case::liar(name, tries, Nothing, move |b, _| lies(b, |lies| lies.refs = refs(&lies.refs[0].0)))
}

fn pack(name: &'static str, tries: &'static str, change: fn(Vec<u8>) -> Vec<u8>) -> Case {
    Case::liar(name, tries, Nothing, move |b, _| {
        let (sha, pack) = honest(b);
        Lies::about(&sha, Pack::Bytes(change(pack)))
    })
}

/// The pack with the sum that belongs to it.
fn summed(mut pack: Vec<u8>) -> Vec<u8> {
    let mut sum =
        Command::new("sha1sum").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    sum.stdin.take().unwrap().write_all(&pack).unwrap();
    let text = String::from_utf8(sum.wait_with_output().unwrap().stdout).unwrap();
    let byte = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
    pack.extend((0..40).step_by(2).map(byte));
    pack
}

/// A number as deltas have it.
fn number(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value > 127 {
        bytes.push(u8::try_from(value & 127).unwrap() | 128);
        value >>= 7;
    }
    bytes.push(u8::try_from(value).unwrap());
    bytes
}

/// A pack of a few kilobytes whose one delta, of an object of this kind, unfolds to so many bytes.
pub(crate) fn delta_bomb(kind: u8, size: u64) -> Vec<u8> {
    const BASE: u64 = 64 << 10;
    let copies = size / BASE;
    let base = [object_head(kind, BASE), stored(&vec![0; usize::try_from(BASE).unwrap()])].concat();
    let mut delta = [number(BASE), number(BASE * copies)].concat();
    // "Copy 65,536 bytes from the start": a copy without a size.
    delta.extend(std::iter::repeat_n(0x80, usize::try_from(copies).unwrap()));
    let back = u64::try_from(base.len()).unwrap();
    let mut distance = vec![u8::try_from(back & 127).unwrap()];
    let mut rest = back >> 7;
    while rest > 0 {
        rest -= 1;
        distance.insert(0, u8::try_from(rest & 127).unwrap() | 128);
        rest >>= 7;
    }
    summed(
        [pack_head(2), base, object_head(6, delta.len() as u64), distance, stored(&delta)].concat(),
    )
}

pub(super) fn cases() -> Vec<Case> {
    [offered(), sections(), listed(), packed()].into_iter().flatten().collect()
}

fn offered() -> Vec<Case> {
    vec![
        offers(
            "bundle-uri",
            "the server offers a bundle to be loaded from elsewhere first",
            |_| "bundle-uri".into(),
        ),
        offers("promisor remote", "the server names another remote for what is missing", |g| {
            format!("promisor-remote=name=x,url=file://{}", g.dir)
        }),
        offers(
            "object-info and session ids",
            "capabilities nobody asked for, one with a command in it",
            |g| format!("session-id=$(cat {})", g.file.replace("canary", "c")),
        ),
        offers("a capability of 60,000 bytes", "a capability as long as a packet may be", |_| {
            "x".repeat(60_000)
        }),
        Case::liar(
            "another hash",
            "the server says that its ids are of another kind",
            Nothing,
            |b, _| {
                lies(b, |lies| {
                    lies.capabilities.retain(|capability| !capability.starts_with("object-format"));
                    lies.capabilities.push("object-format=sha256".into());
                })
            },
        ),
    ]
}

fn sections() -> Vec<Case> {
    vec![
        Case::liar("no capabilities", "the server says that it can do nothing", Nothing, |b, _| {
            lies(b, |lies| lies.capabilities.clear())
        }),
        section(
            "packfile-uris",
            "part of the pack is to be loaded from elsewhere",
            "packfile-uris",
            |g| vec![format!("{} {}/pack", "12".repeat(20), g.url)],
        ),
        section(
            "packfile-uris of a file",
            "part of the pack is to be loaded from this machine",
            "packfile-uris",
            |g| vec![format!("{} file://{}", "12".repeat(20), g.file)],
        ),
        section(
            "wanted-refs",
            "the server sends refs into the repository that were not asked for",
            "wanted-refs",
            |_| {
                vec![
                    format!("{} refs/heads/../../config", "12".repeat(20)),
                    format!("{} HEAD", "12".repeat(20)),
                ]
            },
        ),
        section(
            "a section that nobody knows",
            "a section called like an option",
            "--exec=id",
            |_| vec!["x".into()],
        ),
    ]
}

fn listed() -> Vec<Case> {
    vec![
        refs("a branch that climbs", "the server lists refs/heads/../../x and no main", |sha| {
            vec![(sha.into(), "refs/heads/../../x".into())]
        }),
        refs("main twice", "the server lists main twice, with different commits", |sha| {
            vec![
                (sha.into(), "refs/heads/main".into()),
                ("12".repeat(20), "refs/heads/main".into()),
            ]
        }),
        refs("an id with an option in it", "the server lists main at `--upload-pack=id`", |_| {
            vec![("--upload-pack=id".into(), "refs/heads/main".into())]
        }),
        refs("an id that is too short", "the server lists main at six digits", |_| {
            vec![("c0ffee".into(), "refs/heads/main".into())]
        }),
        refs("a NUL in a name", "the server lists main, a NUL and more", |sha| {
            vec![(sha.into(), "refs/heads/main\0x".into())]
        }),
        refs("a symbolic ref elsewhere", "the server says that main stands for a file", |sha| {
            vec![(sha.into(), "refs/heads/other symref-target:../../../etc/passwd".into())]
        }),
        refs("400,000 branches", "a list of refs of 30 MB", |sha| {
            (0..400_000).map(|n| (sha.to_owned(), format!("refs/heads/{n:040}"))).collect()
        }),
    ]
}

fn packed() -> Vec<Case> {
    vec![
        pack("no pack", "the server sends nothing", |_| Vec::new()),
        pack("a page", "the server sends a web page for a pack", |_| {
            b"<html>Sign in</html>".to_vec()
        }),
        pack("a cut pack", "the pack ends in the middle", |pack| pack[..pack.len() / 2].to_vec()),
        pack("a flipped bit", "one bit of the pack is another one", |mut pack| {
            let middle = pack.len() / 2;
            pack[middle] ^= 4;
            pack
        }),
        pack("a pack of 4,000,000,000 objects", "a head that promises more than is sent", |pack| {
            [pack_head(4_000_000_000), pack[12..].to_vec()].concat()
        }),
        pack("an object of 2^60 bytes", "an object whose size no memory has", |_| {
            summed([pack_head(1), object_head(3, 1 << 60), stored(b"x")].concat())
        }),
        pack("a pack bomb", "a delta that unfolds to 1 GiB", |_| delta_bomb(3, 1 << 30)),
        pack("a delta of itself", "a delta whose base it is itself", |_| {
            summed([pack_head(1), object_head(6, 4), vec![0], stored(&[1, 1, 1, b'x'])].concat())
        }),
        pack("another pack", "a whole pack, without the commit that was asked for", |_| {
            summed([pack_head(1), object_head(3, 1), stored(b"x")].concat())
        }),
    ]
}
