//! What a member does next. Pure: every member comes to the same plan from the same table, and where tables differ, the state
//! lets only one of them take a slot.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::slot::{MemberId, Slot, SlotSet, Term};
use super::table::{Holding, Peer, Table};

/// A free slot that is meant for another member is left to it for so long: two of its rounds.
const PATIENCE: Duration = Duration::from_secs(4);
/// A member that is new gets slots of others only once it has lived so long.
const PROVEN: Duration = Duration::from_secs(30);
/// So many slots are taken in one round, at most.
const ROUND: usize = 32;

/// One thing that a member does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Take a slot whose term is this one.
    Take(Slot, Option<Term>),
    /// Hand a slot over: end its engine in order, then give it back.
    Give(Slot),
    /// End a slot's engine at once: it is another's.
    Drop(Slot),
}

/// What a member does that works for these slots under these terms; `leaving` are those of them that it is giving back.
#[must_use]
pub fn decide(
    me: &MemberId,
    mine: &BTreeMap<Slot, Term>,
    leaving: SlotSet,
    table: &Table,
) -> Vec<Step> {
    let mut steps: Vec<Step> = mine
        .iter()
        .filter(|(slot, term)| !holds(table, me, **slot, term))
        .map(|(slot, _)| Step::Drop(*slot))
        .collect();
    let plan = plan(table);
    let wanted = table.members.iter().find(|peer| peer.id == *me).map(|peer| peer.wanted);
    let wanted = wanted.unwrap_or_default();
    let takes = wanted.iter().filter(|slot| !mine.contains_key(slot)).filter_map(|slot| {
        let is_meant = plan.get(&slot) == Some(me);
        match table.slots.get(&slot) {
            None => is_meant.then_some(Step::Take(slot, None)),
            Some(Holding::Free { term, since }) => {
                (is_meant || *since >= PATIENCE).then(|| Step::Take(slot, term.clone()))
            }
            // What it lost when its lease was over, and nobody took.
            Some(Holding::Owned { by, term }) => {
                (by == me).then(|| Step::Take(slot, Some(term.clone())))
            }
        }
    });
    steps.extend(takes.take(ROUND));
    let unwanted = mine.keys().find(|slot| !wanted.contains(**slot) && !leaving.contains(**slot));
    let surplus = || handed_over(me, mine, &plan, table);
    let is_quiet = leaving.is_empty() && steps.is_empty();
    steps.extend(unwanted.copied().or_else(|| surplus().filter(|_| is_quiet)).map(Step::Give));
    steps
}

fn holds(table: &Table, me: &MemberId, slot: Slot, term: &Term) -> bool {
    matches!(table.slots.get(&slot), Some(Holding::Owned { by, term: now }) if by == me && now == term)
}

/// A slot that is to be another's, who is proven. One at a time in the whole fleet: none while one has no owner.
fn handed_over(
    me: &MemberId,
    mine: &BTreeMap<Slot, Term>,
    plan: &BTreeMap<Slot, MemberId>,
    table: &Table,
) -> Option<Slot> {
    if table.wanted().iter().any(|slot| table.owner(slot).is_none()) {
        return None;
    }
    let is_proven =
        |id: &MemberId| table.members.iter().any(|peer| peer.id == *id && peer.age >= PROVEN);
    let moves = |slot: &&Slot| plan.get(slot).is_some_and(|to| to != me && is_proven(to));
    mine.keys().find(moves).copied()
}

/// Who is to own which slot. Nobody gives up more than what exceeds an equal part; what is left over goes, one after another,
/// to whoever comes first for it by a hash of both and has room.
fn plan(table: &Table) -> BTreeMap<Slot, MemberId> {
    let takers: Vec<&Peer> = table.members.iter().filter(|peer| !peer.wanted.is_empty()).collect();
    let wanted = table.wanted();
    let part = wanted.len().div_ceil(takers.len().max(1));
    let mut plan = BTreeMap::new();
    let mut room: BTreeMap<&MemberId, usize> = takers.iter().map(|p| (&p.id, part)).collect();
    let mut ranked: Vec<(bool, u64, Slot, &Peer)> = Vec::new();
    for slot in wanted.iter() {
        let owner = table.owner(slot);
        for peer in takers.iter().filter(|peer| peer.wanted.contains(slot)) {
            ranked.push((owner != Some(&peer.id), !score(&peer.id, slot), slot, peer));
        }
    }
    ranked.sort_unstable_by(|a, b| (a.0, a.1, a.2, &a.3.id).cmp(&(b.0, b.1, b.2, &b.3.id)));
    for (_, _, slot, peer) in &ranked {
        let left = room.entry(&peer.id).or_default();
        if *left > 0 && !plan.contains_key(slot) {
            *left -= 1;
            plan.insert(*slot, peer.id.clone());
        }
    }
    // Where not all have watches in the same slots, somebody may have to take more than an equal part.
    let placed: BTreeSet<Slot> = plan.keys().copied().collect();
    for (_, _, slot, peer) in ranked.iter().filter(|(_, _, slot, _)| !placed.contains(slot)) {
        plan.entry(*slot).or_insert_with(|| peer.id.clone());
    }
    plan
}

/// How well a slot suits a member: spread evenly, as a member's id is random (the last step of splitmix64,
/// <https://prng.di.unimi.it/splitmix64.c>).
fn score(member: &MemberId, slot: Slot) -> u64 {
    let mixed = member.bits() ^ u64::from(slot.number()).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ mixed >> 31
}

#[cfg(test)]
mod tests;
