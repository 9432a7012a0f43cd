//! git's pkt-line framing (gitprotocol-common(5)): four hex digits of length, then the payload. Pure.

/// The longest payload of one packet.
const LONGEST: usize = 65_516;

/// One packet of an answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Packet<'a> {
    /// A payload.
    Data(&'a [u8]),
    /// `0000`: the end of a message.
    Flush,
    /// `0001`: the border between sections.
    Delimiter,
}

/// What the four digits before a packet say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Length {
    /// `0000`.
    Flush,
    /// `0001`.
    Delimiter,
    /// A payload of so many bytes, at most 65,516.
    Data(usize),
}

impl Length {
    /// Reads the digits; the error is a clause.
    pub(crate) fn of(digits: [u8; 4]) -> Result<Self, &'static str> {
        // `from_str_radix` alone would take a sign.
        let are_digits = digits.iter().all(u8::is_ascii_hexdigit);
        let length = std::str::from_utf8(&digits)
            .ok()
            .filter(|_| are_digits)
            .and_then(|hex| usize::from_str_radix(hex, 16).ok())
            .ok_or("lacks an expected packet")?;
        match length {
            0 => Ok(Self::Flush),
            1 => Ok(Self::Delimiter),
            4.. if length - 4 <= LONGEST => Ok(Self::Data(length - 4)),
            _ => Err("has a packet of an invalid length"),
        }
    }
}

/// Reads packet after packet; ends after the first error.
#[derive(Debug)]
pub(crate) struct Packets<'a> {
    rest: &'a [u8],
}

impl<'a> Packets<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    fn read(&mut self) -> Result<Packet<'a>, &'static str> {
        let (head, tail) = self.rest.split_at_checked(4).ok_or("is truncated inside a length")?;
        let head = head.try_into().map_err(|_| "is truncated inside a length")?;
        let length = Length::of(head)?;
        let size = if let Length::Data(size) = length { size } else { 0 };
        let (data, rest) = tail.split_at_checked(size).ok_or("is truncated inside a packet")?;
        self.rest = rest;
        Ok(match length {
            Length::Flush => Packet::Flush,
            Length::Delimiter => Packet::Delimiter,
            Length::Data(_) => Packet::Data(data),
        })
    }
}

impl<'a> Iterator for Packets<'a> {
    type Item = Result<Packet<'a>, &'static str>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let packet = self.read();
        if packet.is_err() {
            self.rest = &[];
        }
        Some(packet)
    }
}

/// Appends one packet with a line; a line is always far shorter than the longest packet.
pub(crate) fn push_line(out: &mut Vec<u8>, line: &str) {
    debug_assert!(line.len() < LONGEST, "a line of {} bytes", line.len());
    out.extend_from_slice(format!("{:04x}{line}\n", line.len() + 5).as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let mut bytes = Vec::new();
        push_line(&mut bytes, "command=ls-refs");
        bytes.extend_from_slice(b"00010000");
        assert!(bytes.starts_with(b"0014command=ls-refs\n"));
        let packets: Vec<_> = Packets::new(&bytes).collect();
        let expected = [Packet::Data(b"command=ls-refs\n"), Packet::Delimiter, Packet::Flush];
        assert_eq!(packets, expected.map(Ok));
    }

    #[test]
    fn cut_and_garbled_packets_are_errors_and_end_the_reading() {
        for bad in
            ["0", "000", "0010abc", "<html>", "0003", "0002", "+00a12345", "fffffff", "00 5x"]
        {
            let packets: Vec<_> = Packets::new(bad.as_bytes()).collect();
            assert_eq!(packets.len(), 1, "{bad}");
            assert!(packets[0].is_err(), "{bad}");
        }
    }

    #[test]
    fn a_packet_is_as_long_as_the_protocol_allows_and_no_longer() {
        for (length, is_read) in [(LONGEST, true), (LONGEST + 1, false)] {
            let mut bytes = format!("{:04x}", length + 4).into_bytes();
            bytes.resize(4 + length, b'x');
            let packets: Vec<_> = Packets::new(&bytes).collect();
            assert_eq!(packets == [Ok(Packet::Data(&bytes[4..]))], is_read, "{length}");
        }
    }
}
