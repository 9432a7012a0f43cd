//! Places elsewhere, in memory.

use std::collections::BTreeMap;
use std::sync::Mutex;

use async_trait::async_trait;

use super::guard;
use crate::forge::{ForgeError, ForgeErrorKind};
use crate::remote::{RemoteQuery, Remotes};

/// Answers with what was put at an address.
#[derive(Debug, Default)]
pub struct FakeRemotes {
    world: Mutex<World>,
}

#[derive(Debug, Default)]
struct World {
    held: BTreeMap<String, String>,
    asked: Vec<String>,
    down: Option<ForgeErrorKind>,
}

impl FakeRemotes {
    /// One that holds nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// From now on the address holds this.
    pub fn put(&self, url: &str, text: &str) {
        guard(&self.world).held.insert(url.to_owned(), text.to_owned());
    }

    /// From now on every request fails so; `None` ends it.
    pub fn fail(&self, kind: Option<ForgeErrorKind>) {
        guard(&self.world).down = kind;
    }

    /// The addresses that were asked for, in order.
    #[must_use]
    pub fn asked(&self) -> Vec<String> {
        guard(&self.world).asked.clone()
    }
}

#[async_trait]
impl Remotes for FakeRemotes {
    async fn document(&self, query: &RemoteQuery) -> Result<Vec<u8>, ForgeError> {
        let mut world = guard(&self.world);
        let url = query.url.to_string();
        world.asked.push(url.clone());
        if let Some(kind) = world.down {
            return Err(ForgeError::new(kind, format!("{url}: the fake was told to fail")));
        }
        let found = world.held.get(&url).map(|text| text.clone().into_bytes());
        found.ok_or_else(|| ForgeError::new(ForgeErrorKind::NotFound, format!("{url}: not there")))
    }
}
