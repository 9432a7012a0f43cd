//! The answer to `fetch` (gitprotocol-v2(5)): sections, and in the last of them a pack between other things.

use std::io::{self, BufRead, Read};

use super::fault::Fault;
use crate::git::pkt_line::Length;

/// The most lines that are read before the pack.
const LINES: usize = 100_000;

/// What comes before the pack, and the pack itself as a reader.
pub(crate) struct Answer<R> {
    /// The history goes on behind what is sent.
    pub(crate) is_shallow: bool,
    pub(crate) pack: Band<R>,
}

/// Reads up to the pack. `None` if there is not one packet.
pub(crate) fn open<R: BufRead>(mut input: R) -> Result<Option<Answer<R>>, Fault> {
    if input.fill_buf()?.is_empty() {
        return Ok(None);
    }
    let mut is_shallow = false;
    let mut section = Vec::new();
    for _ in 0..LINES {
        let line = match packet(&mut input)? {
            Packet::Data(line) => line,
            Packet::Delimiter => {
                section.clear();
                continue;
            }
            Packet::Flush => return Err(Fault::garbled("has no pack")),
        };
        let line = line.strip_suffix(b"\n").unwrap_or(&line);
        if let Some(text) = line.strip_prefix(b"ERR ") {
            return Err(Fault::Refused(String::from_utf8_lossy(text).into_owned()));
        }
        match section.as_slice() {
            b"" if line == b"packfile" => {
                return Ok(Some(Answer { is_shallow, pack: Band::new(input) }));
            }
            b"" if line == b"shallow-info" => section = line.to_vec(),
            b"" => {
                let name: String = String::from_utf8_lossy(line).chars().take(40).collect();
                return Err(Fault::garbled(format!(
                    "has a section that nobody asked for: {name:?}"
                )));
            }
            _ => is_shallow |= line.starts_with(b"shallow "),
        }
    }
    Err(Fault::garbled("has too many lines before its pack"))
}

enum Packet {
    Data(Vec<u8>),
    Flush,
    Delimiter,
}

fn packet(input: &mut impl BufRead) -> Result<Packet, Fault> {
    Ok(match length(input)? {
        Length::Flush => Packet::Flush,
        Length::Delimiter => Packet::Delimiter,
        Length::Data(size) => {
            let mut bytes = vec![0; size];
            input.read_exact(&mut bytes)?;
            Packet::Data(bytes)
        }
    })
}

fn length(input: &mut impl BufRead) -> Result<Length, Fault> {
    let mut digits = [0; 4];
    input.read_exact(&mut digits)?;
    Length::of(digits).map_err(Fault::garbled)
}

/// The pack of an answer, without what is sent beside it.
#[derive(Debug)]
pub(crate) struct Band<R> {
    input: R,
    /// What is left of the packet that is being read.
    left: usize,
    ended: bool,
}

impl<R: BufRead> Band<R> {
    fn new(input: R) -> Self {
        Self { input, left: 0, ended: false }
    }

    /// Goes on to the next bytes of the pack.
    fn advance(&mut self) -> Result<(), Fault> {
        while self.left == 0 && !self.ended {
            let size = match length(&mut self.input)? {
                Length::Data(size) => size,
                Length::Delimiter => return Err(Fault::garbled("has an extra section")),
                Length::Flush if self.input.fill_buf()?.is_empty() => {
                    self.ended = true;
                    return Ok(());
                }
                Length::Flush => return Err(Fault::garbled("goes on after its end")),
            };
            let mut band = [0];
            let rest = size.checked_sub(1).ok_or_else(|| Fault::garbled("has an empty packet"))?;
            self.input.read_exact(&mut band)?;
            match band[0] {
                1 => self.left = rest,
                2 => self.skip(rest)?,
                3 => {
                    let mut text = vec![0; rest];
                    self.input.read_exact(&mut text)?;
                    return Err(Fault::Refused(String::from_utf8_lossy(&text).into_owned()));
                }
                _ => return Err(Fault::garbled("has a packet on a band that git does not know")),
            }
        }
        Ok(())
    }

    /// Progress, which nobody asked for.
    fn skip(&mut self, mut rest: usize) -> Result<(), Fault> {
        while rest > 0 {
            let given = self.input.fill_buf()?.len().min(rest);
            if given == 0 {
                return Err(Fault::Cut);
            }
            self.input.consume(given);
            rest -= given;
        }
        Ok(())
    }
}

impl<R: BufRead> Read for Band<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let given = self.fill_buf()?;
        let length = given.len().min(buffer.len());
        buffer[..length].copy_from_slice(&given[..length]);
        self.consume(length);
        Ok(length)
    }
}

impl<R: BufRead> BufRead for Band<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.advance()?;
        if self.ended {
            return Ok(&[]);
        }
        let left = self.left;
        let given = self.input.fill_buf()?;
        if given.is_empty() {
            return Err(Fault::Cut.into());
        }
        Ok(&given[..given.len().min(left)])
    }

    fn consume(&mut self, length: usize) {
        self.input.consume(length);
        self.left -= length;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::git::pkt_line::push_line;

    fn band(body: &mut Vec<u8>, band: u8, data: &[u8]) {
        body.extend(format!("{:04x}", data.len() + 5).bytes());
        body.push(band);
        body.extend_from_slice(data);
    }

    fn answer(sections: &[&str], pack: &[(u8, &[u8])]) -> Vec<u8> {
        let mut body = Vec::new();
        for line in sections {
            if *line == "|" { body.extend_from_slice(b"0001") } else { push_line(&mut body, line) }
        }
        push_line(&mut body, "packfile");
        pack.iter().for_each(|(number, data)| band(&mut body, *number, data));
        body.extend_from_slice(b"0000");
        body
    }

    fn read(body: &[u8]) -> Result<(bool, Vec<u8>), Fault> {
        // A small buffer: packets end in the middle of one.
        let input = std::io::BufReader::with_capacity(5, body);
        let mut answer = open(input)?.ok_or(Fault::Cut)?;
        let mut pack = Vec::new();
        answer.pack.read_to_end(&mut pack)?;
        Ok((answer.is_shallow, pack))
    }

    #[test]
    fn the_pack_is_what_stands_on_its_band() {
        let pack: &[(u8, &[u8])] =
            &[(2, b"Counting"), (1, b"PA"), (1, b"CK"), (2, b"\r"), (1, b"!")];
        assert_eq!(read(&answer(&[], pack)).unwrap(), (false, b"PACK!".to_vec()));
        let shallow = ["shallow-info", &format!("shallow {}", "1".repeat(40)), "|"];
        assert_eq!(read(&answer(&shallow, pack)).unwrap(), (true, b"PACK!".to_vec()));
        let not = ["shallow-info", &format!("unshallow {}", "1".repeat(40)), "|"];
        assert!(!read(&answer(&not, pack)).unwrap().0);
        assert!(open(&b""[..]).unwrap().is_none());
    }

    #[test]
    fn every_cut_of_an_answer_is_an_error() {
        let whole = answer(&["shallow-info", "shallow 1", "|"], &[(1, b"PACK"), (2, b"x")]);
        for end in 0..whole.len() {
            assert!(read(&whole[..end]).is_err(), "cut at {end}");
        }
    }

    #[test]
    fn what_a_server_says_instead_of_a_pack_is_its_own_words() {
        let mut refused = Vec::new();
        push_line(&mut refused, "ERR upload-pack: not our ref 1");
        for body in [refused, answer(&[], &[(1, b"PA"), (3, b"upload-pack: not our ref 1")])] {
            match read(&body) {
                Err(Fault::Refused(text)) => {
                    assert!(text.starts_with("upload-pack: not our"), "{text}")
                }
                other => panic!("{other:?}"),
            }
        }
        for (what, body) in [
            ("a section", answer(&["packfile-uris", "x", "|"], &[])),
            ("another end", b"0000".to_vec()),
            ("an unknown band", answer(&[], &[(4, b"x")])),
            ("more", [answer(&[], &[(1, b"x")]), b"0000".to_vec()].concat()),
            ("a delimiter", [answer(&[], &[])[..13].to_vec(), b"0001".to_vec()].concat()),
            ("an empty packet", [answer(&[], &[])[..13].to_vec(), b"0004".to_vec()].concat()),
        ] {
            assert!(matches!(read(&body), Err(Fault::Garbled(_))), "{what}: {:?}", read(&body));
        }
    }
}
