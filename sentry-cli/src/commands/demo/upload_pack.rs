//! A git server's side of protocol v2 (gitprotocol-v2(5)): `ls-refs` and `fetch` over a repository in memory.

use std::collections::BTreeSet;

use super::repository::{Filter, Oid, Repository};

/// What a server says first: what it can do.
pub(super) fn advertisement() -> Vec<u8> {
    let mut out = Vec::new();
    for line in [
        "version 2",
        concat!("agent=sentry-demo/", env!("CARGO_PKG_VERSION")),
        "ls-refs=unborn",
        "fetch=shallow filter",
        "object-format=sha1",
    ] {
        push(&mut out, line);
    }
    out.extend(FLUSH);
    out
}

/// The answer to a request.
pub(super) fn answer(repository: &Repository, request: &[u8]) -> Vec<u8> {
    let answered = Request::read(request).and_then(|request| match request.command.as_str() {
        "ls-refs" => Ok(ls_refs(repository, &request.arguments)),
        "fetch" => Wanted::read(&request.arguments)?.fetch(repository),
        other => Err(format!("the command {other:?} is not known here")),
    });
    answered.unwrap_or_else(|why| {
        let mut out = Vec::new();
        push(&mut out, &format!("ERR {why:.200}"));
        out
    })
}

const FLUSH: &[u8] = b"0000";
const DELIMITER: &[u8] = b"0001";
/// The most that a packet of a side band holds beside its band (gitprotocol-common(5)).
const BAND: usize = 65515;

fn push(out: &mut Vec<u8>, line: &str) {
    push_bytes(out, &[line.as_bytes(), b"\n"].concat());
}

fn push_bytes(out: &mut Vec<u8>, content: &[u8]) {
    out.extend(format!("{:04x}", content.len() + 4).into_bytes());
    out.extend(content);
}

/// A command with its arguments.
struct Request {
    command: String,
    arguments: Vec<String>,
}

impl Request {
    /// Capabilities, which come before the delimiter, ask for nothing here.
    fn read(mut rest: &[u8]) -> Result<Self, String> {
        let (mut command, mut arguments, mut begun) = (String::new(), Vec::new(), false);
        while let Some((length, tail)) = rest.split_at_checked(4) {
            let length = std::str::from_utf8(length).ok();
            let length = length.and_then(|length| usize::from_str_radix(length, 16).ok());
            let length = length.ok_or("a packet without a length")?;
            let content = match length {
                0 => return Ok(Self { command, arguments }),
                1 => &[],
                _ => {
                    length.checked_sub(4).and_then(|length| tail.get(..length)).ok_or("cut off")?
                }
            };
            rest = &tail[content.len()..];
            let line = String::from_utf8_lossy(content).trim_end().to_owned();
            if length == 1 {
                begun = true;
            } else if begun {
                arguments.push(line);
            } else if let Some(name) = line.strip_prefix("command=") {
                name.clone_into(&mut command);
            }
        }
        Err("the request ends before its flush packet".to_owned())
    }
}

/// `HEAD` and `main`, as far as they are asked for.
fn ls_refs(repository: &Repository, arguments: &[String]) -> Vec<u8> {
    let prefixes = arguments.iter().filter_map(|line| line.strip_prefix("ref-prefix "));
    let prefixes: Vec<&str> = prefixes.collect();
    let mut out = Vec::new();
    for (name, target) in [("HEAD", " symref-target:refs/heads/main"), ("refs/heads/main", "")] {
        let asked = prefixes.is_empty() || prefixes.iter().any(|prefix| name.starts_with(prefix));
        let target = if arguments.iter().any(|line| line == "symrefs") { target } else { "" };
        if let Some(head) = repository.head().filter(|_| asked) {
            push(&mut out, &format!("{head} {name}{target}"));
        }
    }
    out.extend(FLUSH);
    out
}

/// What a fetch asks for. What the client has already is not left out: it is little.
struct Wanted {
    wants: Vec<Oid>,
    /// The client's commits whose parents it does not have.
    shallow: BTreeSet<Oid>,
    depth: Option<usize>,
    filter: Filter,
    done: bool,
}

impl Wanted {
    fn read(arguments: &[String]) -> Result<Self, String> {
        let (wants, shallow, filter) = (Vec::new(), BTreeSet::new(), Filter::Nothing);
        let mut wanted = Self { wants, shallow, depth: None, filter, done: false };
        for line in arguments {
            let (word, value) = line.split_once(' ').unwrap_or((line, ""));
            let wrong = || format!("{line:?} can't be answered here");
            let id = || value.parse::<Oid>().map_err(|()| wrong());
            match word {
                "want" => wanted.wants.push(id()?),
                "shallow" => drop(wanted.shallow.insert(id()?)),
                "deepen" => wanted.depth = Some(value.parse().map_err(|_| wrong())?),
                "filter" => wanted.filter = filter_of(value).ok_or_else(wrong)?,
                "done" => wanted.done = true,
                // No object is a delta, there are no tags, and nothing is reported of progress.
                "have" | "thin-pack" | "no-progress" | "include-tag" | "ofs-delta" => {}
                _ => return Err(wrong()),
            }
        }
        Ok(wanted)
    }

    /// The sections of the answer, in the protocol's order.
    fn fetch(&self, repository: &Repository) -> Result<Vec<u8>, String> {
        if let Some(id) = self.wants.iter().find(|id| repository.object(**id).is_none()) {
            return Err(format!("upload-pack: not our ref {id}"));
        }
        let mut out = Vec::new();
        if !self.done {
            push(&mut out, "acknowledgments");
            push(&mut out, "ready");
            out.extend(DELIMITER);
        }
        let (mut sent, mut edge) = (BTreeSet::new(), BTreeSet::new());
        for want in &self.wants {
            let history = repository.history(*want);
            let depth = self.depth.map_or(history.len(), |depth| depth.min(history.len()));
            sent.extend(&history[..depth]);
            edge.extend(history[..depth].last().filter(|_| depth < history.len()));
        }
        if self.depth.is_some() {
            push(&mut out, "shallow-info");
            let new = edge.difference(&self.shallow);
            new.for_each(|id| push(&mut out, &format!("shallow {id}")));
            let whole = self.shallow.difference(&edge).filter(|id| sent.contains(*id));
            whole.for_each(|id| push(&mut out, &format!("unshallow {id}")));
            out.extend(DELIMITER);
        }
        let pack = repository.pack(&sent, self.filter).map_err(|e| e.to_string())?;
        push(&mut out, "packfile");
        for part in pack.chunks(BAND) {
            push_bytes(&mut out, &[b"\x01", part].concat());
        }
        out.extend(FLUSH);
        Ok(out)
    }
}

/// `blob:none`, `tree:1`.
fn filter_of(text: &str) -> Option<Filter> {
    match text.split_once(':')? {
        ("blob", "none") => Some(Filter::Blobs),
        ("tree", depth) => depth.parse().ok().map(Filter::Below),
        _ => None,
    }
}
