//! What a server says it can do, before it is asked for anything (gitprotocol-v2(5), "Capability Advertisement").

use super::id::Algorithm;
use crate::git::pkt_line::{Packet, Packets};

/// What a server speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Speaks {
    /// An older protocol alone.
    Old,
    /// Protocol 2, with these capabilities.
    Two(Capabilities),
}

/// What counts of a server's capabilities.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Capabilities {
    /// It sends parts of a commit.
    pub(crate) filter: bool,
    /// It sends a commit without its past.
    pub(crate) shallow: bool,
    /// The hash of its ids.
    pub(crate) algorithm: Algorithm,
}

/// Reads the answer to `info/refs`; the error is a clause.
pub(crate) fn parse(body: &[u8]) -> Result<Speaks, String> {
    let mut packets = Packets::new(body);
    let mut line = || match packets.next() {
        None => Err("ends before its end".to_owned()),
        Some(packet) => match packet? {
            Packet::Data(line) => Ok(Some(line.strip_suffix(b"\n").unwrap_or(line))),
            Packet::Flush => Ok(None),
            Packet::Delimiter => Err("has an extra section".to_owned()),
        },
    };
    let mut first = line()?;
    // Some servers greet protocol 2 as well as they do the older ones.
    if first.is_some_and(|line| line.starts_with(b"# service=")) {
        if line()?.is_some() {
            return Err("lacks the end of its greeting".to_owned());
        }
        first = line()?;
    }
    match first {
        Some(b"version 2") => {}
        Some(line) if line.starts_with(b"ERR ") => {
            return Err(format!("says {:?}", String::from_utf8_lossy(&line[4..])));
        }
        _ => return Ok(Speaks::Old),
    }
    let (mut fetch, mut algorithm) = (None, Algorithm::Sha1);
    while let Some(line) = line()? {
        let (name, value) = match line.iter().position(|&b| b == b'=') {
            Some(at) => (&line[..at], &line[at + 1..]),
            None => (line, &b""[..]),
        };
        match (name, value) {
            (b"fetch", features) => fetch = Some(features),
            (b"object-format", b"sha1") => algorithm = Algorithm::Sha1,
            (b"object-format", b"sha256") => algorithm = Algorithm::Sha256,
            (b"object-format", _) => return Err("has ids of a kind that nobody knows".to_owned()),
            _ => {}
        }
    }
    let features = fetch.ok_or("offers no `fetch`")?;
    let has = |feature: &[u8]| features.split(|&b| b == b' ').any(|one| one == feature);
    Ok(Speaks::Two(Capabilities { filter: has(b"filter"), shallow: has(b"shallow"), algorithm }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::git::pkt_line::push_line;

    fn advertisement(greeting: bool, lines: &[&str]) -> Vec<u8> {
        let mut body = Vec::new();
        if greeting {
            push_line(&mut body, "# service=git-upload-pack");
            body.extend_from_slice(b"0000");
        }
        lines.iter().for_each(|line| push_line(&mut body, line));
        body.extend_from_slice(b"0000");
        body
    }

    #[test]
    fn what_a_server_can_do_is_read_with_and_without_a_greeting() {
        for greeting in [false, true] {
            for (fetch, format, expected) in [
                (
                    "fetch=shallow wait-for-done filter",
                    "object-format=sha1",
                    (true, true, Algorithm::Sha1),
                ),
                ("fetch=shallow", "object-format=sha256", (false, true, Algorithm::Sha256)),
                ("fetch", "agent=x", (false, false, Algorithm::Sha1)),
                ("fetch=filters unshallow", "server-option", (false, false, Algorithm::Sha1)),
            ] {
                let body = advertisement(greeting, &["version 2", "agent=git/2.47", fetch, format]);
                let (filter, shallow, algorithm) = expected;
                let two = Speaks::Two(Capabilities { filter, shallow, algorithm });
                assert_eq!(parse(&body), Ok(two), "{fetch} {format}");
            }
        }
    }

    #[test]
    fn a_list_of_refs_is_an_older_protocol_and_anything_else_an_error() {
        let refs = format!("{} HEAD\0multi_ack", "1".repeat(40));
        assert_eq!(parse(&advertisement(true, &[&refs])), Ok(Speaks::Old));
        assert_eq!(parse(&advertisement(true, &["version 1", &refs])), Ok(Speaks::Old));
        assert_eq!(parse(&advertisement(true, &[])), Ok(Speaks::Old), "an empty repository");
        let whole = advertisement(true, &["version 2", "fetch=filter"]);
        for end in 0..whole.len() {
            assert!(parse(&whole[..end]).is_err(), "cut at {end}");
        }
        for (bad, why) in [
            (advertisement(false, &["version 2"]), "offers no `fetch`"),
            (advertisement(false, &["version 2", "object-format=md5", "fetch"]), "nobody knows"),
            (advertisement(false, &["ERR access denied"]), "access denied"),
            (b"<!DOCTYPE html>".to_vec(), "lacks an expected packet"),
            (b"0001".to_vec(), "extra section"),
        ] {
            let error = parse(&bad).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
    }
}
