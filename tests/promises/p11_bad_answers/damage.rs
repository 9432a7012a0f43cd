//! Damage to answers.

use crate::clients::{JSON, REFS, SHA, Whole};

/// An answer as it went out.
#[derive(Debug, Clone)]
pub(super) struct Sent {
    /// The answer that the bytes stand for, if whoever reads HTTP rightly finds one in them.
    pub(super) answer: Option<Whole>,
    pub(super) bytes: Vec<u8>,
}

impl Sent {
    pub(super) fn whole(answer: Whole) -> Self {
        let bytes = [head(&answer, answer.body.len()), answer.body.clone()].concat();
        Self { answer: Some(answer), bytes }
    }

    fn broken(bytes: Vec<u8>) -> Self {
        Self { answer: None, bytes }
    }
}

fn head(answer: &Whole, length: usize) -> Vec<u8> {
    let mut text = format!("HTTP/1.1 {} Answer\r\nconnection: close\r\n", answer.status);
    for (name, value) in &answer.headers {
        text += &format!("{name}: {value}\r\n");
    }
    if answer.status != 304 {
        text += &format!("content-length: {length}\r\n");
    }
    format!("{text}\r\n").into_bytes()
}

const STATUSES: [u16; 24] = [
    201, 202, 203, 204, 205, 206, 300, 301, 302, 304, 307, 400, 401, 403, 404, 409, 410, 418, 422,
    429, 500, 502, 503, 504,
];
const CONTENTS: [&str; 9] = [
    "text/html",
    "text/plain",
    "application/octet-stream",
    "application/xml",
    "",
    "application/x-git-upload-pack-advertisement",
    JSON,
    REFS,
    SHA,
];
const BODIES: [&str; 20] = [
    "",
    "null",
    "[]",
    "{}",
    "0000",
    "00000000",
    "0001",
    "0002",
    "0004",
    "[{}]",
    "true",
    "\"main\"",
    "{\"message\": \"Not Found\"}",
    "{\"message\": \"404 Branch Not Found\"}",
    "{\"message\": \"No commit found for SHA: heads/main\"}",
    "{\"error\": \"not found\"}",
    "<!doctype html><title>Sign in</title>",
    "{\"name\": \"main\", \"commit\": null}",
    "001cERR access denied\n0000",
    "0000000000000000000000000000000000000000",
];

/// Numbers that look random and are the same every time.
#[derive(Debug)]
pub(super) struct Dice(u64);

impl Default for Dice {
    fn default() -> Self {
        Self(11)
    }
}

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % limit.max(1)
    }

    fn one<'a, T: ?Sized>(&mut self, of: &[&'a T]) -> &'a T {
        of[self.below(of.len())]
    }

    fn flip(&mut self, bytes: &mut [u8]) {
        if !bytes.is_empty() {
            let at = self.below(bytes.len());
            bytes[at] ^= 1 << self.below(8);
        }
    }

    /// One kind of damage, each as likely as the others.
    pub(super) fn damage(&mut self, real: Whole) -> Sent {
        match self.below(12) {
            0 => self.cut(&real),
            1 => self.lie_about_length(&real),
            2 => self.break_head(&real),
            3 => self.break_chunks(&real),
            4 => Sent::whole(Whole {
                status: 200,
                headers: vec![("content-type", "text/html".into())],
                body: b"<!doctype html><title>Sign in</title>".to_vec(),
            }),
            5 => Sent::whole(Whole { status: STATUSES[self.below(STATUSES.len())], ..real }),
            6 => Sent::whole(self.other_content(real)),
            7 => Sent::whole(Whole { body: self.one(&BODIES).into(), ..real }),
            8 => {
                let status = STATUSES[self.below(STATUSES.len())];
                Sent::whole(Whole { status, body: self.one(&BODIES).into(), ..real })
            }
            9 => Sent::whole(self.wrong_ids(real)),
            10 => Sent::whole(self.wrong_packets(real)),
            _ => Sent::whole(self.wrong_bytes(real)),
        }
    }

    fn cut(&mut self, real: &Whole) -> Sent {
        let mut bytes = Sent::whole(real.clone()).bytes;
        bytes.truncate(self.below(bytes.len()));
        Sent::broken(bytes)
    }

    fn lie_about_length(&mut self, real: &Whole) -> Sent {
        let length = real.body.len();
        let said = if self.below(2) == 0 { length + 1 + self.below(9) } else { self.below(length) };
        let answer =
            (said < length).then(|| Whole { body: real.body[..said].to_vec(), ..real.clone() });
        Sent { answer, bytes: [head(real, said), real.body.clone()].concat() }
    }

    /// The status' digits can become another status: then the body was never meant for it.
    fn break_head(&mut self, real: &Whole) -> Sent {
        let mut head = head(real, real.body.len());
        self.flip(&mut head);
        Sent::broken([head, real.body.clone()].concat())
    }

    fn break_chunks(&mut self, real: &Whole) -> Sent {
        let sizes = ["zz", "-1", "ffffffffffffffffff", "", "7"];
        let size = self.one(&sizes);
        let text = format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{size}\r\n");
        Sent::broken([text.as_bytes(), &real.body].concat())
    }

    fn other_content(&mut self, mut real: Whole) -> Whole {
        let content = self.one(&CONTENTS);
        real.headers.retain(|(name, _)| *name != "content-type");
        if !content.is_empty() {
            real.headers.push(("content-type", content.to_owned()));
        }
        real
    }

    fn wrong_ids(&mut self, mut real: Whole) -> Whole {
        let mut text = String::from_utf8_lossy(&real.body).into_owned();
        for id in [super::MAIN, super::DEV] {
            let wrong = match self.below(6) {
                0 => "0".repeat(40),
                1 => id[..39].to_owned(),
                2 => format!("{id}0"),
                3 => id.replace('e', "g"),
                4 => id.to_ascii_uppercase(),
                _ => format!("{id} "),
            };
            text = text.replace(id, &wrong);
        }
        real.body = text.into_bytes();
        real
    }

    fn wrong_packets(&mut self, mut real: Whole) -> Whole {
        let at = self.below(real.body.len().saturating_sub(4));
        let length = self
            .one(&["0000", "0001", "0002", "0003", "0004", "ffff", "fff0", "003c", "-001", "+03d"]);
        let starts: Vec<usize> = (0..real.body.len())
            .filter(|at| {
                real.body[*at..].starts_with(b"003") || real.body[*at..].starts_with(b"0000")
            })
            .collect();
        let at = if starts.is_empty() { at } else { starts[self.below(starts.len())] };
        match self.below(3) {
            0 => drop(real.body.splice(at..(at + 4).min(real.body.len()), length.bytes())),
            1 => drop(real.body.splice(at..at, length.bytes())),
            // A line twice, or what follows it as well.
            _ => {
                let again = real.body[at..].to_vec();
                real.body.splice(at..at, again);
            }
        }
        real
    }

    fn wrong_bytes(&mut self, mut real: Whole) -> Whole {
        match self.below(4) {
            0 => self.flip(&mut real.body),
            1 => (0..1 + self.below(6)).for_each(|_| self.flip(&mut real.body)),
            2 => {
                let from = self.below(real.body.len());
                let to = (from + 1 + self.below(8)).min(real.body.len());
                real.body.drain(from..to);
            }
            _ => {
                let at = self.below(real.body.len());
                let more = b"\0\xff\n {}\"0a"[self.below(9)];
                real.body.insert(at, more);
            }
        }
        real
    }
}
