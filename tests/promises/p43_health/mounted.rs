//! A disk that is really full: whoever tries this may mount one.

use std::cell::RefCell;

use sentry_tests::promise::{cases, kept};
use sentry_tests::sandbox::Sandbox;
use tempfile::TempDir;

use super::{FLIP, flips, idle};
use crate::disk::Disk;

#[test]
fn a_disk_that_is_full_fails_readyz_in_time_and_never_livez() {
    let (repos, mut sandbox) = (TempDir::new().unwrap(), Sandbox::new());
    let place = sandbox.root().join("disk");
    let disk = Disk::mount(&place);
    let served = idle(&mut sandbox, repos.path(), &place.join("state"));
    let all = cases(50, 1);
    let full = RefCell::new(None);
    let harm = || *full.borrow_mut() = Some(disk.keep_full());
    // The state writes into the room of its own log until whoever fills the disk has taken that as well.
    let seen = flips(&served, all, FLIP.with_room(5.0), harm, || *full.borrow_mut() = None);
    assert_eq!(served.agent.term().code, Some(0));
    drop(disk);
    kept(43, "a full disk", &format!("{all} of {all} times full: {seen}"));
}
