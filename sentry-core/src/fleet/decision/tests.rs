//! A fleet by seconds: members that come, go, die and freeze over one table, each deciding for itself.

use proptest::prelude::*;

use super::super::table::LEASE;
use super::*;

/// A second that a member renews in, of the two that it has.
const RENEWAL: u64 = 2;

#[derive(Debug)]
struct One {
    wanted: SlotSet,
    joined: u64,
    renewed: u64,
    frozen_until: u64,
    /// What it works for, and since when it is giving a slot back.
    mine: BTreeMap<Slot, Term>,
    leaving: BTreeMap<Slot, u64>,
    is_leaving: bool,
}

#[derive(Debug, Default)]
struct Fleet {
    now: u64,
    members: BTreeMap<MemberId, One>,
    /// Owner, term and since when it is free, once it was given back.
    slots: BTreeMap<Slot, (MemberId, Term, Option<u64>)>,
    ids: u128,
    terms: u128,
    unowned_since: BTreeMap<Slot, u64>,
    longest_unowned: u64,
}

impl Fleet {
    fn join(&mut self, wanted: SlotSet) {
        self.ids += 1;
        let id = MemberId::new(self.ids.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835));
        let one = One {
            wanted,
            joined: self.now,
            renewed: 0,
            frozen_until: 0,
            mine: BTreeMap::new(),
            leaving: BTreeMap::new(),
            is_leaving: false,
        };
        self.members.insert(id, one);
    }

    fn lives(&self, one: &One) -> bool {
        one.renewed > 0 && self.now < one.renewed + LEASE.as_secs()
    }

    fn table(&self) -> Table {
        let live = self.members.iter().filter(|(_, one)| self.lives(one));
        let members = live.map(|(id, one)| Peer {
            id: id.clone(),
            holder: String::new(),
            wanted: if one.is_leaving { SlotSet::default() } else { one.wanted },
            age: Duration::from_secs(self.now - one.joined),
        });
        let holding = |(owner, term, free): &(MemberId, Term, Option<u64>)| {
            let owner_of = self.members.get(owner);
            match (free, owner_of) {
                (None, Some(one)) if self.lives(one) => {
                    Holding::Owned { by: owner.clone(), term: term.clone() }
                }
                (free, one) => {
                    let died = one.map_or(0, |one| one.renewed + LEASE.as_secs());
                    let since = Duration::from_secs(self.now - free.unwrap_or(died));
                    Holding::Free { term: Some(term.clone()), since }
                }
            }
        };
        let slots = self.slots.iter().map(|(slot, held)| (*slot, holding(held)));
        Table { members: members.collect(), slots: slots.collect() }
    }

    /// One second: whoever is due renews, decides and does it.
    fn tick(&mut self) {
        self.now += 1;
        let ids: Vec<MemberId> = self.members.keys().cloned().collect();
        for (nth, id) in ids.iter().enumerate() {
            let now = self.now;
            let Some(one) = self.members.get_mut(id).filter(|one| one.frozen_until <= now) else {
                continue;
            };
            let given: Vec<Slot> =
                one.leaving.iter().filter(|(_, at)| **at <= now).map(|(s, _)| *s).collect();
            for slot in given {
                one.leaving.remove(&slot);
                let term = one.mine.remove(&slot);
                self.slots.entry(slot).and_modify(|held| {
                    if Some(&held.1) == term.as_ref() {
                        held.2 = Some(now);
                    }
                });
            }
            if (self.now + nth as u64).is_multiple_of(RENEWAL) {
                self.round(id);
            }
        }
        self.members.retain(|_, one| !one.is_leaving || !one.mine.is_empty());
        self.look();
    }

    fn round(&mut self, id: &MemberId) {
        let now = self.now;
        let one = self.members.get_mut(id).expect("a member");
        if one.renewed > 0 && now >= one.renewed + LEASE.as_secs() {
            // Its engines ended with its lease.
            (one.mine, one.leaving) = Default::default();
        }
        one.renewed = now;
        let table = self.table();
        let one = &self.members[id];
        let leaving = one.leaving.keys().copied().collect();
        for step in decide(id, &one.mine, leaving, &table) {
            match step {
                Step::Take(slot, seen) => self.take(id, slot, seen.as_ref()),
                Step::Give(slot) => self.one(id).leaving.extend([(slot, now + 1)]),
                Step::Drop(slot) => drop(self.one(id).mine.remove(&slot)),
            }
        }
    }

    fn one(&mut self, id: &MemberId) -> &mut One {
        self.members.get_mut(id).expect("a member")
    }

    /// The state's rule: the term is the one seen, and the owner is the taker, or no live one.
    fn take(&mut self, id: &MemberId, slot: Slot, seen: Option<&Term>) {
        let kept = self.slots.get(&slot);
        let owner = kept.filter(|(_, _, free)| free.is_none()).map(|(owner, ..)| owner);
        let is_held =
            owner.and_then(|owner| self.members.get(owner)).is_some_and(|o| self.lives(o));
        if kept.map(|(_, term, _)| term) != seen || (is_held && owner != Some(id)) {
            return;
        }
        self.terms += 1;
        let term = Term::new(self.terms);
        self.slots.insert(slot, (id.clone(), term.clone(), None));
        self.one(id).mine.insert(slot, term);
    }

    fn look(&mut self) {
        let table = self.table();
        for slot in table.wanted().iter() {
            if table.owner(slot).is_some() {
                let since = self.unowned_since.remove(&slot).unwrap_or(self.now);
                self.longest_unowned = self.longest_unowned.max(self.now - since);
            } else {
                self.unowned_since.entry(slot).or_insert(self.now);
            }
        }
        self.unowned_since.retain(|slot, _| table.wanted().contains(*slot));
        let waiting = self.unowned_since.values().map(|since| self.now - since).max();
        self.longest_unowned = self.longest_unowned.max(waiting.unwrap_or_default());
    }

    fn run(&mut self, seconds: u64) {
        for _ in 0..seconds {
            self.tick();
        }
    }

    fn owners(&self) -> BTreeMap<Slot, MemberId> {
        let table = self.table();
        let owned = |slot| table.owner(slot).map(|owner| (slot, owner.clone()));
        table.wanted().iter().filter_map(owned).collect()
    }

    fn leave(&mut self, id: &MemberId) {
        let now = self.now;
        let one = self.one(id);
        one.is_leaving = true;
        one.leaving = one.mine.keys().map(|slot| (*slot, now + 1)).collect();
    }

    fn moves_to(&mut self, seconds: u64) -> usize {
        let mut moved = 0;
        for _ in 0..seconds {
            let before = self.owners();
            self.tick();
            let after = self.owners();
            moved += before.iter().filter(|(s, o)| after.get(s).is_some_and(|to| to != *o)).count();
            moved += after.keys().filter(|slot| !before.contains_key(slot)).count();
        }
        moved
    }
}

fn all() -> SlotSet {
    Slot::all().collect()
}

#[test]
fn one_member_takes_all_and_two_that_start_together_share() {
    for members in [1, 2] {
        let mut fleet = Fleet::default();
        (0..members).for_each(|_| fleet.join(all()));
        fleet.run(20);
        assert_eq!(fleet.owners().len(), 64);
    }
}

#[test]
fn what_a_dead_member_had_is_taken_over_within_twenty_seconds() {
    let mut fleet = Fleet::default();
    (0..3).for_each(|_| fleet.join(all()));
    fleet.run(400);
    fleet.longest_unowned = 0;
    let victim = fleet.members.keys().next().unwrap().clone();
    let died = fleet.now;
    fleet.one(&victim).frozen_until = u64::MAX;
    while fleet.owners().len() < 64 || fleet.owners().values().any(|owner| *owner == victim) {
        fleet.tick();
        assert!(fleet.now - died <= 20, "{:?}", fleet.table());
    }
}

#[test]
fn from_one_to_five_to_two_nothing_moves_that_need_not() {
    let mut fleet = Fleet::default();
    fleet.join(all());
    fleet.run(60);
    (0..4).for_each(|_| fleet.join(all()));
    let moved = fleet.moves_to(300);
    let mut parts: BTreeMap<MemberId, usize> = BTreeMap::new();
    fleet.owners().into_values().for_each(|owner| *parts.entry(owner).or_default() += 1);
    assert!(parts.len() == 5 && parts.values().all(|part| *part <= 13), "{parts:?}");
    assert_eq!(moved, 64 - 13);
    let gone: Vec<MemberId> = parts.keys().take(3).cloned().collect();
    let theirs: usize = gone.iter().map(|id| parts[id]).sum();
    gone.iter().for_each(|id| fleet.leave(id));
    assert_eq!(fleet.moves_to(300), theirs);
    assert_eq!(fleet.owners().len(), 64);
    assert!(fleet.longest_unowned <= 20, "{}", fleet.longest_unowned);
}

#[derive(Debug, Clone)]
enum Chance {
    Join(u64),
    Leave(usize),
    Freeze(usize, u64),
    Pass(u64),
}

fn chance() -> impl Strategy<Value = Chance> {
    prop_oneof![
        2 => prop_oneof![3 => Just(u64::MAX), 1 => any::<u64>()].prop_map(Chance::Join),
        1 => any::<usize>().prop_map(Chance::Leave),
        2 => (any::<usize>(), 1..120u64).prop_map(|(who, long)| Chance::Freeze(who, long)),
        4 => (1..90u64).prop_map(Chance::Pass),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever members do: no slot of which two live members believe that it is theirs, but for one that froze; and once
    /// nothing happens any more, each slot that anybody wants has one owner, in equal parts where all want the same.
    #[test]
    fn slots_have_one_owner_each_and_come_to_rest(chances in proptest::collection::vec(chance(), 1..30)) {
        let mut fleet = Fleet::default();
        fleet.join(all());
        for chance in chances {
            let who = |n: usize, fleet: &Fleet| fleet.members.keys().nth(n % fleet.members.len().max(1)).cloned();
            match chance {
                Chance::Join(wanted) if fleet.members.len() < 7 => fleet.join(SlotSet::from_bits(wanted)),
                Chance::Join(_) => {}
                Chance::Leave(n) => who(n, &fleet).into_iter().for_each(|id| fleet.leave(&id)),
                Chance::Freeze(n, long) => {
                    let until = fleet.now + long;
                    who(n, &fleet).into_iter().for_each(|id| fleet.one(&id).frozen_until = until);
                }
                Chance::Pass(seconds) => fleet.run(seconds),
            }
            let mut seen = BTreeSet::new();
            for one in fleet.members.values().filter(|one| one.frozen_until <= fleet.now && fleet.lives(one)) {
                for (slot, term) in &one.mine {
                    let is_kept = fleet.slots[slot].1 == *term;
                    prop_assert!(!is_kept || seen.insert(*slot), "two for slot {}", slot);
                }
            }
        }
        fleet.run(400);
        let table = fleet.table();
        let owners = fleet.owners();
        prop_assert_eq!(owners.len(), table.wanted().len());
        let settled = fleet.moves_to(60);
        prop_assert_eq!(settled, 0);
        for (slot, owner) in &owners {
            let one = &fleet.members[owner];
            prop_assert!(one.wanted.contains(*slot));
            prop_assert_eq!(one.mine.get(slot), Some(&fleet.slots[slot].1));
        }
        if table.members.iter().all(|peer| peer.wanted == all()) && !table.members.is_empty() {
            let part = 64usize.div_ceil(table.members.len());
            for peer in &table.members {
                prop_assert!(owners.values().filter(|owner| **owner == peer.id).count() <= part);
            }
        }
    }
}
