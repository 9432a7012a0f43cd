//! All objects that one attempt was sent, pack by pack.

use super::fault::Fault;
use super::id::{Algorithm, Id, Kind};
use super::inflate::Meter;
use super::pack::{LARGEST, Pack, too_large};
use super::resolve;

/// The objects of an attempt.
#[derive(Debug)]
pub(crate) struct Objects {
    pub(crate) algorithm: Algorithm,
    packs: Vec<Pack>,
    /// For all packs together, and for what is read of them.
    pub(crate) meter: Meter,
}

impl Objects {
    pub(crate) fn new(algorithm: Algorithm, meter: Meter) -> Self {
        Self { algorithm, packs: Vec::new(), meter }
    }

    pub(crate) fn add(&mut self, pack: Pack) {
        self.packs.push(pack);
    }

    /// The kind and the weight of an object; `None` if it was not sent.
    pub(crate) fn weigh(&self, id: &Id) -> Option<(Kind, u64)> {
        self.packs.iter().find_map(|pack| pack.weigh(pack.find(id)?))
    }

    /// The content of an object; `None` if it was not sent.
    pub(crate) fn content(&mut self, id: &Id) -> Result<Option<Vec<u8>>, Fault> {
        let found = |pack: &&mut Pack| pack.find(id).is_some();
        let Some(pack) = self.packs.iter_mut().find(found) else { return Ok(None) };
        let Some(at) = pack.find(id) else { return Ok(None) };
        resolve::content(pack, at, &mut self.meter).map(Some)
    }

    /// Why an object may be missing: one was passed over for its size.
    pub(crate) fn passed_over(&self) -> Option<Fault> {
        let heavy = self.packs.iter().filter_map(|pack| pack.heavy).max()?;
        Some(too_large("an object", heavy, LARGEST))
    }
}
