//! A git server that says whatever a test wants: capabilities, refs and packs that no honest server would send.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures::stream;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::{Request, StatusCode};

use crate::http::{HttpServer, Reply, lock, reply};

/// Bytes of a pack that one packet of the side band carries.
const CHUNK: usize = 65_000;
/// What an honest server of protocol 2 announces.
pub const CAPABILITIES: [&str; 5] = [
    "agent=git/2.47.0",
    "ls-refs=unborn",
    "fetch=shallow wait-for-done filter",
    "server-option",
    "object-format=sha1",
];

/// What the server says.
#[derive(Debug, Clone)]
pub struct Lies {
    /// Its capabilities, one a line.
    pub capabilities: Vec<String>,
    /// Its refs: a commit's id and a name, or whatever is to stand there.
    pub refs: Vec<(String, String)>,
    /// What comes before the pack: a section and its lines.
    pub sections: Vec<(String, Vec<String>)>,
    /// Its pack.
    pub pack: Pack,
}

/// A pack, well-formed or not.
#[derive(Debug, Clone)]
pub enum Pack {
    /// These bytes.
    Bytes(Vec<u8>),
    /// One file without end.
    EndlessBlob,
    /// Small files without end.
    EndlessBlobs,
    /// That many bytes of one file as fast as they are taken, then 1 KiB ten times a second.
    Slowing(usize),
}

impl Lies {
    /// An honest head `main` at this commit, and this pack for whoever asks.
    #[must_use]
    pub fn about(commit: &str, pack: Pack) -> Self {
        Self {
            capabilities: CAPABILITIES.map(str::to_owned).into(),
            refs: vec![(commit.to_owned(), "refs/heads/main".to_owned())],
            sections: Vec::new(),
            pack,
        }
    }
}

/// A lying git server on 127.0.0.1: every repository is the same. Stops on drop.
#[derive(Debug)]
pub struct GitLiar {
    http: HttpServer,
    lies: Arc<Mutex<Lies>>,
}

impl GitLiar {
    /// Starts it.
    #[must_use]
    pub fn start(lies: Lies) -> Self {
        let lies = Arc::new(Mutex::new(lies));
        let shared = Arc::clone(&lies);
        let http = HttpServer::start("git-liar", None, move |request| {
            let lies = lock(&shared).clone();
            Box::pin(answer(request, lies))
        });
        Self { http, lies }
    }

    /// The clone URL of a repository.
    #[must_use]
    pub fn url(&self, name: &str) -> String {
        format!("{}/{name}", self.http.origin())
    }

    /// Says this from now on.
    pub fn say(&self, lies: Lies) {
        *lock(&self.lies) = lies;
    }

    /// Port, log, faults, pause.
    #[must_use]
    pub fn http(&self) -> &HttpServer {
        &self.http
    }
}

/// One packet of git's protocol.
#[must_use]
pub fn packet(data: &[u8]) -> Vec<u8> {
    let mut packet = format!("{:04x}", data.len() + 4).into_bytes();
    packet.extend_from_slice(data);
    packet
}

fn line(text: &str) -> Vec<u8> {
    packet(format!("{text}\n").as_bytes())
}

async fn answer(request: Request<Incoming>, lies: Lies) -> Reply {
    let content = |what: &'static str| [("content-type", what)];
    if request.method() == "GET" {
        let mut body = line("# service=git-upload-pack");
        body.extend_from_slice(b"0000");
        body.extend(line("version 2"));
        body.extend(lies.capabilities.iter().flat_map(|capability| line(capability)));
        body.extend_from_slice(b"0000");
        let content = content("application/x-git-upload-pack-advertisement");
        return reply(StatusCode::OK, &content, body);
    }
    let asked = request.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let content = content("application/x-git-upload-pack-result");
    if asked.windows(15).any(|window| window == b"command=ls-refs") {
        let lines = lies.refs.iter().flat_map(|(id, name)| line(&format!("{id} {name}")));
        let mut body: Vec<u8> = lines.collect();
        body.extend_from_slice(b"0000");
        return reply(StatusCode::OK, &content, body);
    }
    let mut head = Vec::new();
    for (section, lines) in &lies.sections {
        head.extend(line(section));
        head.extend(lines.iter().flat_map(|text| line(text)));
        head.extend_from_slice(b"0001");
    }
    head.extend(line("packfile"));
    let body = StreamBody::new(stream::unfold(Sender::new(head, lies.pack), Sender::next));
    reply(StatusCode::OK, &content, "").map(|_| body.boxed_unsync())
}

/// What is still to be sent.
struct Sender {
    head: Option<Vec<u8>>,
    /// The pack's first bytes, those that repeat without end, and after how many of them it slows down.
    first: Vec<u8>,
    rest: Rest,
    sent: usize,
}

enum Rest {
    Ends,
    Ended,
    Goes { number: u64, slow_after: usize, small: bool },
}

impl Sender {
    fn new(head: Vec<u8>, pack: Pack) -> Self {
        let (first, rest) = match pack {
            Pack::Bytes(bytes) => (bytes, Rest::Ends),
            Pack::EndlessBlob => {
                (blob_head(), Rest::Goes { number: 0, slow_after: usize::MAX, small: false })
            }
            Pack::Slowing(after) => {
                (blob_head(), Rest::Goes { number: 0, slow_after: after, small: false })
            }
            Pack::EndlessBlobs => (
                pack_head(100_000_000),
                Rest::Goes { number: 0, slow_after: usize::MAX, small: true },
            ),
        };
        Self { head: Some(head), first, rest, sent: 0 }
    }

    async fn next(mut self) -> Option<(io::Result<Frame<Bytes>>, Self)> {
        if let Some(head) = self.head.take() {
            return Some((Ok(Frame::data(head.into())), self));
        }
        let mut data = std::mem::take(&mut self.first);
        let ends = match &mut self.rest {
            Rest::Ended => return None,
            Rest::Ends => true,
            Rest::Goes { number, slow_after, small } => {
                let slow = self.sent > *slow_after;
                if slow {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                let wanted = if slow { 1024 } else { CHUNK };
                while data.len() < wanted {
                    *number += 1;
                    data.extend(if *small {
                        small_blob(*number)
                    } else {
                        noise(*number, wanted.min(32 << 10))
                    });
                }
                false
            }
        };
        self.sent += data.len();
        let mut body = Vec::with_capacity(data.len() + 64);
        for chunk in data.chunks(CHUNK) {
            body.extend(packet(&[&[1], chunk].concat()));
        }
        if ends {
            body.extend_from_slice(b"0000");
            self.rest = Rest::Ended;
        }
        Some((Ok(Frame::data(body.into())), self))
    }
}

/// The first bytes of a pack of so many objects.
#[must_use]
pub fn pack_head(objects: u32) -> Vec<u8> {
    let mut head = b"PACK\0\0\0\x02".to_vec();
    head.extend(objects.to_be_bytes());
    head
}

/// The head of an object in a pack: its type (1 commit, 2 tree, 3 blob, 4 tag, 7 delta of an object) and its size.
#[must_use]
pub fn object_head(kind: u8, mut size: u64) -> Vec<u8> {
    let low = |size: u64, mask: u64| u8::try_from(size & mask).unwrap_or(0);
    let mut head = vec![(kind << 4) | low(size, 15)];
    size >>= 4;
    while size > 0 {
        *head.last_mut().expect("it has a byte") |= 0x80;
        head.push(low(size, 127));
        size >>= 7;
    }
    head
}

/// Bytes as zlib has them where it compresses nothing.
#[must_use]
pub fn stored(data: &[u8]) -> Vec<u8> {
    let mut zlib = vec![0x78, 0x01];
    let mut chunks = data.chunks(0xffff).peekable();
    if chunks.peek().is_none() {
        zlib.extend([1, 0, 0, 0xff, 0xff]);
    }
    while let Some(chunk) = chunks.next() {
        zlib.push(u8::from(chunks.peek().is_none()));
        zlib.extend(stored_length(chunk.len()));
        zlib.extend_from_slice(chunk);
    }
    let (mut a, mut b) = (1_u32, 0_u32);
    for byte in data {
        a = (a + u32::from(*byte)) % 65_521;
        b = (b + a) % 65_521;
    }
    zlib.extend(((b << 16) | a).to_be_bytes());
    zlib
}

fn stored_length(length: usize) -> [u8; 4] {
    let length = u16::try_from(length).expect("a block's length");
    let [a, b] = length.to_le_bytes();
    let [c, d] = (!length).to_le_bytes();
    [a, b, c, d]
}

/// A pack of one file of 10 GB, up to its first byte.
fn blob_head() -> Vec<u8> {
    [pack_head(1), object_head(3, 10 << 30), vec![0x78, 0x01]].concat()
}

/// The next block of that file: bytes that no two places share.
fn noise(number: u64, length: usize) -> Vec<u8> {
    let mut block = vec![0];
    block.extend(stored_length(length));
    let mut state = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    while block.len() < length + 5 {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        block.extend(state.to_le_bytes());
    }
    block.truncate(length + 5);
    block
}

fn small_blob(number: u64) -> Vec<u8> {
    let text = format!("{number:040}");
    [object_head(3, text.len() as u64), stored(text.as_bytes())].concat()
}
