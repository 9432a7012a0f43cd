//! Deltas of a pack: each is applied to its base, so that its own id and weight are known.
//!
//! A base is unfolded once for all that is made of it. Only what leads to the current object is held, within a bound; what
//! was let go is made again.

use super::delta;
use super::fault::Fault;
use super::id::{Id, Kind};
use super::inflate::Meter;
use super::pack::{Base, LARGEST, Pack, Waiting, too_large};

/// The most deltas on top of each other: as git has it (`pack.depth`, git-config(1)).
const DEEPEST: usize = 4_095;
/// Bytes of objects that are held while others are made of them.
const HELD: usize = 64 << 20;

/// An object that others are made of.
struct Frame {
    at: u32,
    /// Its bytes, unless they were let go.
    bytes: Option<Vec<u8>>,
    /// Those made of it that are still to be visited.
    left: Vec<u32>,
}

/// What is made of what.
struct Family {
    /// By the index of the base.
    children: Vec<Vec<u32>>,
    /// By the id of a base that was not found yet.
    waiting: Waiting,
    /// Deltas that were not visited yet.
    left: usize,
}

impl Family {
    fn of(pack: &Pack) -> Self {
        let mut this = Self { children: Vec::new(), waiting: Waiting::new(), left: 0 };
        for (at, entry) in (0u32..).zip(&pack.entries) {
            match entry.base {
                Base::Whole(_) => continue,
                Base::At(base) => {
                    if this.children.is_empty() {
                        this.children.resize(pack.entries.len(), Vec::new());
                    }
                    this.children[base as usize].push(at);
                }
                Base::Named(name) => {
                    this.waiting.entry(pack.named[name as usize]).or_default().push(at);
                }
            }
            this.left += 1;
        }
        this
    }

    /// All that is made of an object, once.
    fn take(&mut self, at: u32, id: &Id) -> Vec<u32> {
        let mut all = self.children.get_mut(at as usize).map(std::mem::take).unwrap_or_default();
        all.extend(self.waiting.remove(id).unwrap_or_default());
        all
    }
}

/// Resolves all deltas of a pack.
pub(crate) fn all(pack: &mut Pack, meter: &mut Meter) -> Result<(), Fault> {
    let mut family = Family::of(pack);
    for (id, at) in pack.ids.clone() {
        let left = family.take(at, &id);
        let Some((kind, weight)) = pack.weigh(at).filter(|_| !left.is_empty()) else { continue };
        if weight > LARGEST {
            pack.pass_over(weight);
            continue;
        }
        let bytes = Some(pack.inflate(at, meter)?);
        below(pack, meter, &mut family, kind, Frame { at, bytes, left })?;
    }
    // What is made of something that was passed over is passed over as well.
    if family.left > 0 && pack.heavy.is_none() {
        return Err(Fault::garbled("has a delta whose base it does not have"));
    }
    Ok(())
}

/// Resolves all that is made, directly or not, of one object.
fn below(
    pack: &mut Pack,
    meter: &mut Meter,
    family: &mut Family,
    kind: Kind,
    first: Frame,
) -> Result<(), Fault> {
    let mut path = vec![first];
    while let Some(top) = path.last_mut() {
        let Some(at) = top.left.pop() else {
            path.pop();
            continue;
        };
        let base = top.at;
        family.left -= 1;
        pack.entries[at as usize].base = Base::At(base);
        unfold(pack, meter, &mut path)?;
        let bytes = path.last().and_then(|top| top.bytes.as_deref()).unwrap_or_default();
        let Some(bytes) = made(pack, meter, kind, at, bytes)? else { continue };
        let mut hasher = kind.hasher(pack.algorithm, bytes.len() as u64);
        hasher.update(&bytes);
        let id = hasher.finish()?;
        pack.entries[at as usize].weight = bytes.len() as u64;
        pack.ids.push((id, at));
        let left = family.take(at, &id);
        if !left.is_empty() {
            if path.len() > DEEPEST {
                return Err(Fault::garbled("has more deltas on top of each other than git makes"));
            }
            path.push(Frame { at, bytes: Some(bytes), left });
            let_go(&mut path);
        }
    }
    Ok(())
}

/// What a delta makes of these bytes; `None` if that is a file too large to be read. What else is too large ends the fetch.
fn made(
    pack: &mut Pack,
    meter: &mut Meter,
    kind: Kind,
    at: u32,
    base: &[u8],
) -> Result<Option<Vec<u8>>, Fault> {
    let heavy = |pack: &mut Pack, weight| {
        if kind != Kind::Blob {
            return Err(too_large(kind.named(), weight, LARGEST));
        }
        pack.pass_over(weight);
        Ok(None)
    };
    let inflated = pack.entries[at as usize].inflated;
    if inflated > LARGEST {
        return heavy(pack, inflated);
    }
    let orders = pack.inflate(at, meter)?;
    let (_, weight, _) = delta::sizes(&orders)?;
    if weight > LARGEST {
        return heavy(pack, weight);
    }
    meter.spend(usize::try_from(weight).unwrap_or(usize::MAX))?;
    delta::apply(base, &orders).map(Some)
}

/// Makes the bytes of the last object again, if they were let go.
fn unfold(pack: &mut Pack, meter: &mut Meter, path: &mut [Frame]) -> Result<(), Fault> {
    let Some(held) = path.iter().rposition(|frame| frame.bytes.is_some()) else {
        return Err(Fault::garbled("has a delta whose base it does not have"));
    };
    if held + 1 == path.len() {
        return Ok(());
    }
    let mut bytes = path[held].bytes.clone().unwrap_or_default();
    for frame in &path[held + 1..] {
        bytes = step(pack, meter, frame.at, &bytes)?;
    }
    if let Some(last) = path.last_mut() {
        last.bytes = Some(bytes);
    }
    Ok(())
}

/// The bytes of an object that was resolved before.
pub(crate) fn content(pack: &mut Pack, at: u32, meter: &mut Meter) -> Result<Vec<u8>, Fault> {
    let mut deltas = Vec::new();
    let mut base = at;
    while let Base::At(next) = pack.entries[base as usize].base {
        deltas.push(base);
        base = next;
    }
    let mut bytes = pack.inflate(base, meter)?;
    while let Some(at) = deltas.pop() {
        bytes = step(pack, meter, at, &bytes)?;
    }
    Ok(bytes)
}

fn step(pack: &mut Pack, meter: &mut Meter, at: u32, base: &[u8]) -> Result<Vec<u8>, Fault> {
    let orders = pack.inflate(at, meter)?;
    let (_, weight, _) = delta::sizes(&orders)?;
    if weight > LARGEST {
        return Err(too_large("a delta's result", weight, LARGEST));
    }
    meter.spend(usize::try_from(weight).unwrap_or(usize::MAX))?;
    delta::apply(base, &orders)
}

/// Lets go of bytes, of the first objects first and of the first one of all never, until what is held fits its bound.
fn let_go(path: &mut [Frame]) {
    let size = |frame: &Frame| frame.bytes.as_ref().map_or(0, Vec::len);
    let mut held: usize = path.iter().map(size).sum();
    let last = path.len() - 1;
    for frame in path.iter_mut().take(last).skip(1) {
        if held <= HELD {
            return;
        }
        held -= size(frame);
        frame.bytes = None;
    }
}
