//! The contract of [`Slots`], clause by clause: whoever writes a state that processes share runs it against that.
//!
//! Each clause is a function that takes an empty state and panics, as a test does, where it breaks the contract.
//! [`slots_contract_tests!`](crate::slots_contract_tests) makes one test of each; the crate that uses it needs `tokio` with the
//! features `macros` and `rt`.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures::future::{BoxFuture, join_all};

use crate::fleet::{Holding, Member, MemberId, Slot, SlotSet, Slots, Table, Term};
use crate::names::WatchName;
use crate::store::{
    Claim, FleetView, MemberView, OverviewQuery, Snapshot, StoreError, StoreErrorKind, Write,
};
use crate::testing::sample;

/// An empty state that two processes reach.
pub struct Ground {
    one: Arc<dyn Slots>,
    other: Arc<dyn Slots>,
    end_leases: Box<dyn Fn() -> BoxFuture<'static, ()> + Send + Sync>,
}

impl Ground {
    /// The state as two processes reach it, and what ends the leases of all its members by the state's clock.
    #[must_use]
    pub fn new(
        one: Arc<dyn Slots>,
        other: Arc<dyn Slots>,
        end_leases: impl Fn() -> BoxFuture<'static, ()> + Send + Sync + 'static,
    ) -> Self {
        Self { one, other, end_leases: Box::new(end_leases) }
    }

    /// A member of the number, by its own process, which is said to live.
    async fn member(&self, n: u32) -> At<'_> {
        let at = At { slots: if n % 2 == 1 { &self.one } else { &self.other }, member: member(n) };
        at.renew().await;
        at
    }
}

impl fmt::Debug for Ground {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Ground").field(&self.one).finish()
    }
}

/// A member and the state as it reaches it.
struct At<'a> {
    slots: &'a Arc<dyn Slots>,
    member: Member,
}

impl At<'_> {
    fn id(&self) -> &MemberId {
        &self.member.id
    }

    async fn renew(&self) -> Table {
        self.slots.renew(&self.member).await.expect("the table")
    }

    async fn try_take(&self, n: u8, seen: Option<&Term>) -> Result<Term, StoreError> {
        self.slots.take(self.id(), slot(n), seen).await
    }

    async fn take(&self, n: u8, seen: Option<&Term>) -> Term {
        self.try_take(n, seen).await.expect("the slot")
    }

    async fn is_refused(&self, n: u8, seen: Option<&Term>) {
        let refused = self.try_take(n, seen).await.expect_err("a slot that is another's");
        assert_eq!(refused.kind(), StoreErrorKind::Held, "{refused}");
    }

    async fn give(&self, n: u8, term: &Term) {
        self.slots.give(slot(n), term).await.expect("it is given back");
    }

    async fn settle(&self, n: u8, term: &Term, watches: &[&str]) -> Vec<WatchName> {
        let watches = names(watches);
        self.slots.settle(slot(n), term, &watches).await.expect("the watches")
    }

    async fn claim(&self, n: u8, term: &Term) -> Box<dyn Claim> {
        let state = self.slots.state(slot(n), term);
        state.journal.claim("the contract").await.expect("the claim")
    }

    async fn load(&self, n: u8, term: &Term) -> Snapshot {
        self.claim(n, term).await.load().await.expect("the state")
    }

    async fn commit(&self, n: u8, term: &Term, writes: &[Write]) {
        self.claim(n, term).await.commit(writes).await.expect("the commit");
    }
}

fn member(n: u32) -> Member {
    let wanted = [slot(1), slot(2)].into_iter().collect();
    Member { id: MemberId::new(n.into()), wanted, agent: sample::agent(n) }
}

fn slot(n: u8) -> Slot {
    Slot::new(n).expect("a slot")
}

fn names(names: &[&str]) -> Vec<WatchName> {
    names.iter().copied().map(sample::watch).collect()
}

/// Writes that are about one watch.
fn about(watch: &str, n: u32) -> Write {
    Write::Watch(crate::store::WatchState { watch: sample::watch(watch), ..sample::watch_state(n) })
}

fn is_fenced<T: fmt::Debug>(answer: Result<T, StoreError>) {
    let refused = answer.expect_err("a slot that is another's");
    assert_eq!(refused.kind(), StoreErrorKind::Fenced, "{refused}");
}

/// Whose the table says that a slot is.
fn owned(table: &Table, n: u8) -> Option<(MemberId, Term)> {
    match table.slots.get(&slot(n)) {
        Some(Holding::Owned { by, term }) => Some((by.clone(), term.clone())),
        _ => None,
    }
}

/// Under which term the table says that a slot is free.
fn free(table: &Table, n: u8) -> Option<Term> {
    match table.slots.get(&slot(n)) {
        Some(Holding::Free { term, .. }) => term.clone(),
        _ => None,
    }
}

/// One `#[tokio::test]` per clause of [`slots_contract`](crate::testing::slots_contract); the argument is the path of an
/// `async fn() -> Ground` that makes an empty state.
#[macro_export]
macro_rules! slots_contract_tests {
    ($make:path) => {
        $crate::slots_contract_tests! { $make:
            a_table_tells_of_members_as_they_said_and_of_no_slot_before_one_is_taken
            a_renewal_replaces_what_was_said_and_keeps_the_age
            a_slot_that_nobody_had_is_taken_once_and_its_owner_is_told
            of_many_takers_at_once_one_wins
            who_takes_what_it_has_gets_another_term_and_loses_the_first
            a_slot_that_was_given_back_is_free_for_who_saw_that
            what_is_given_back_under_an_older_term_stays
            a_slot_is_free_once_its_owners_lease_is_over_and_not_before
            a_member_that_lives_again_has_what_nobody_took
            a_claim_under_an_older_term_is_fenced_and_writes_nothing
            a_commit_about_a_watch_of_another_slot_is_fenced_as_a_whole
            each_slot_loads_its_own_watches_and_validators
            what_is_requested_is_seen_by_all_and_loaded_by_its_slot
            a_watch_stays_while_a_live_member_works_for_it
            a_watch_moves_from_where_it_was_freed
            a_watch_moves_from_a_slot_without_an_owner_and_between_slots_of_one
            what_is_shown_names_members_their_slots_and_the_watches_without_an_owner
            nothing_is_settled_under_an_older_term
        }
    };
    ($make:path: $($clause:ident)*) => {
        $(
            #[tokio::test]
            async fn $clause() {
                $crate::testing::slots_contract::$clause($make().await).await;
            }
        )*
    };
}

/// See the name.
pub async fn a_table_tells_of_members_as_they_said_and_of_no_slot_before_one_is_taken(at: Ground) {
    let one = at.member(1).await;
    let two = Member { wanted: SlotSet::from_bits(u64::MAX), ..member(2) };
    let table = at.other.renew(&two).await.expect("the table");
    assert!(table.slots.is_empty(), "{table:?}");
    let told = table.members.iter().map(|peer| (&peer.id, peer.holder.as_str(), peer.wanted));
    let said = [&one.member, &two].map(|m| (&m.id, m.agent.holder.as_str(), m.wanted));
    assert_eq!(told.collect::<Vec<_>>(), said);
    assert_eq!(one.renew().await.members.len(), 2);
}

/// See the name.
pub async fn a_renewal_replaces_what_was_said_and_keeps_the_age(at: Ground) {
    let mut one = at.member(1).await;
    let first = one.renew().await.members[0].age;
    (one.member.wanted, one.member.agent) = (SlotSet::default(), sample::agent(3));
    let [peer] = one.renew().await.members.try_into().expect("one member");
    assert!(peer.age >= first && peer.wanted.is_empty(), "{peer:?}");
    assert_eq!(peer.holder, sample::agent(3).holder);
    (at.end_leases)().await;
    let two = at.member(2).await;
    let ids: Vec<_> = two.renew().await.members.into_iter().map(|peer| peer.id).collect();
    assert_eq!(ids, [two.id().clone()]);
    // Who comes back is new.
    let [back, _] = one.renew().await.members.try_into().expect("two members");
    assert!(back.age < crate::fleet::LEASE, "{back:?}");
}

/// See the name.
pub async fn a_slot_that_nobody_had_is_taken_once_and_its_owner_is_told(at: Ground) {
    let (one, two) = (at.member(1).await, at.member(2).await);
    two.is_refused(1, Some(&Term::new(9))).await;
    let term = one.take(1, None).await;
    two.is_refused(1, None).await;
    two.is_refused(1, Some(&term)).await;
    for table in [one.renew().await, two.renew().await] {
        assert_eq!(owned(&table, 1), Some((one.id().clone(), term.clone())));
        assert_eq!(table.slots.len(), 1);
    }
}

/// See the name.
pub async fn of_many_takers_at_once_one_wins(at: Ground) {
    let mut seen = None;
    for _ in 0..4 {
        let takers = join_all((1..=8).map(|n| at.member(n))).await;
        let took = join_all(takers.iter().map(|taker| taker.try_take(1, seen.as_ref()))).await;
        let won: Vec<_> = (0..8).filter(|n| took[*n].is_ok()).collect();
        assert_eq!(won.len(), 1, "{took:?}");
        let refused = took.iter().filter_map(|took| took.as_ref().err());
        assert!(refused.map(StoreError::kind).all(|kind| kind == StoreErrorKind::Held));
        let winner = &takers[won[0]];
        let term = took[won[0]].clone().ok();
        let table = takers[0].renew().await;
        assert_eq!(owned(&table, 1), term.clone().map(|term| (winner.id().clone(), term)));
        winner.give(1, term.as_ref().expect("its term")).await;
        assert_ne!(term, seen);
        seen = term;
    }
}

/// See the name.
pub async fn who_takes_what_it_has_gets_another_term_and_loses_the_first(at: Ground) {
    let one = at.member(1).await;
    let first = one.take(1, None).await;
    let claim = one.claim(1, &first).await;
    let second = one.take(1, Some(&first)).await;
    assert_ne!(first, second);
    is_fenced(claim.commit(&[Write::Validator("k".into(), None)]).await);
    one.is_refused(1, Some(&first)).await;
    one.commit(1, &second, &[Write::Validator("k".into(), None)]).await;
}

/// See the name.
pub async fn a_slot_that_was_given_back_is_free_for_who_saw_that(at: Ground) {
    let (one, two) = (at.member(1).await, at.member(2).await);
    let term = one.take(1, None).await;
    let claim = one.claim(1, &term).await;
    one.give(1, &term).await;
    assert_eq!(free(&two.renew().await, 1), Some(term.clone()));
    is_fenced(claim.commit(&[Write::Validator("k".into(), None)]).await);
    two.is_refused(1, None).await;
    let next = two.take(1, Some(&term)).await;
    one.is_refused(1, Some(&term)).await;
    assert_eq!(owned(&one.renew().await, 1), Some((two.id().clone(), next)));
}

/// See the name.
pub async fn what_is_given_back_under_an_older_term_stays(at: Ground) {
    let (one, two) = (at.member(1).await, at.member(2).await);
    let first = one.take(1, None).await;
    one.give(1, &first).await;
    let second = two.take(1, Some(&first)).await;
    one.give(1, &first).await;
    one.give(2, &first).await;
    let table = one.renew().await;
    assert_eq!(owned(&table, 1), Some((two.id().clone(), second.clone())));
    assert_eq!(table.slots.len(), 1);
    two.commit(1, &second, &[Write::Validator("k".into(), None)]).await;
}

/// See the name.
pub async fn a_slot_is_free_once_its_owners_lease_is_over_and_not_before(at: Ground) {
    let (one, two) = (at.member(1).await, at.member(2).await);
    let first = one.take(1, None).await;
    two.is_refused(1, Some(&first)).await;
    (at.end_leases)().await;
    let table = two.renew().await;
    let Some(Holding::Free { term, since }) = table.slots.get(&slot(1)) else {
        panic!("{table:?}")
    };
    assert!(term.as_ref() == Some(&first) && *since < Duration::from_secs(3600), "{table:?}");
    // Whose lease is over goes on until somebody takes its slot: safety needs no clock.
    one.commit(1, &first, &[Write::Validator("k".into(), Some(sample::validator(1)))]).await;
    let second = two.take(1, Some(&first)).await;
    is_fenced(one.slots.state(slot(1), &first).journal.claim("the contract").await);
    assert_eq!(two.load(1, &second).await.validators.len(), 1);
}

/// See the name.
pub async fn a_member_that_lives_again_has_what_nobody_took(at: Ground) {
    let (one, two) = (at.member(1).await, at.member(2).await);
    let term = one.take(1, None).await;
    (at.end_leases)().await;
    let table = one.renew().await;
    assert_eq!(owned(&table, 1), Some((one.id().clone(), term.clone())));
    two.renew().await;
    two.is_refused(1, Some(&term)).await;
}

/// See the name.
pub async fn a_claim_under_an_older_term_is_fenced_and_writes_nothing(at: Ground) {
    let (one, two) = (at.member(1).await, at.member(2).await);
    let first = one.take(1, None).await;
    assert_eq!(one.settle(1, &first, &["app"]).await, names(&["app"]));
    let stale = one.claim(1, &first).await;
    stale.commit(&[about("app", 1)]).await.expect("the commit");
    (at.end_leases)().await;
    two.renew().await;
    let second = two.take(1, Some(&first)).await;
    for writes in [vec![about("app", 2)], vec![Write::Validator("k".into(), None)], vec![]] {
        is_fenced(stale.commit(&writes).await);
    }
    is_fenced(stale.load().await);
    is_fenced(one.slots.state(slot(1), &first).journal.claim("the contract").await);
    is_fenced(one.slots.state(slot(2), &first).journal.claim("the contract").await);
    let kept = two.load(1, &second).await;
    assert_eq!(kept.watches, [sample::watch_state(1)]);
}

/// See the name.
pub async fn a_commit_about_a_watch_of_another_slot_is_fenced_as_a_whole(at: Ground) {
    let one = at.member(1).await;
    let (first, second) = (one.take(1, None).await, one.take(2, None).await);
    one.settle(1, &first, &["app"]).await;
    one.settle(2, &second, &["other"]).await;
    let claim = one.claim(1, &first).await;
    for foreign in ["other", "nowhere"] {
        is_fenced(claim.commit(&[about("app", 1), about(foreign, 1)]).await);
    }
    assert_eq!(one.load(1, &first).await.watches, []);
    claim.commit(&[about("app", 2)]).await.expect("the commit");
    assert_eq!(one.load(1, &first).await.watches, [sample::watch_state(2)]);
}

/// See the name.
pub async fn each_slot_loads_its_own_watches_and_validators(at: Ground) {
    let one = at.member(1).await;
    let (first, second) = (one.take(1, None).await, one.take(2, None).await);
    for (n, term, watch) in [(1, &first, "app"), (2, &second, "other")] {
        one.settle(n, term, &[watch]).await;
        let writes = [
            about(watch, 1),
            Write::Cursors(crate::cursor::Cursors {
                watch: sample::watch(watch),
                ..sample::cursors(1)
            }),
            Write::Delivery(Box::new(crate::delivery::Delivery {
                watch: sample::watch(watch),
                ..sample::open_delivery(n.into())
            })),
            Write::Validator("the same question".into(), Some(sample::validator(n.into()))),
        ];
        one.commit(n, term, &writes).await;
    }
    for (n, term, watch) in [(1, &first, "app"), (2, &second, "other")] {
        let all = one.load(n, term).await;
        let watch = sample::watch(watch);
        assert_eq!(all.validators, [("the same question".to_owned(), sample::validator(n.into()))]);
        assert!(all.cursors.len() == 1 && all.cursors[0].watch == watch, "{:?}", all.cursors);
        assert!(all.open.len() == 1 && all.open[0].watch == watch, "{:?}", all.open);
        assert!(all.watches.len() == 1 && all.watches[0].watch == watch, "{:?}", all.watches);
    }
}

/// See the name.
pub async fn what_is_requested_is_seen_by_all_and_loaded_by_its_slot(at: Ground) {
    let one = at.member(1).await;
    let (first, second) = (one.take(1, None).await, one.take(2, None).await);
    one.settle(1, &first, &["app"]).await;
    one.settle(2, &second, &["other"]).await;
    let (mine, theirs) = (one.slots.state(slot(1), &first), one.slots.state(slot(2), &second));
    let asked = theirs.inbox.request(&sample::trigger(1)).await.expect("the request");
    let seen = mine.inbox.requests().await.expect("the requests").triggers;
    assert_eq!(seen, [asked]);
    assert_eq!(one.load(1, &first).await.inbox.triggers, seen);
    assert_eq!(one.load(2, &second).await.inbox.triggers, []);
}

/// See the name.
pub async fn a_watch_stays_while_a_live_member_works_for_it(at: Ground) {
    let (one, two) = (at.member(1).await, at.member(2).await);
    let (first, second) = (one.take(1, None).await, two.take(2, None).await);
    assert_eq!(one.settle(1, &first, &["app", "web"]).await, names(&["app", "web"]));
    assert_eq!(two.settle(2, &second, &["other", "app"]).await, names(&["other"]));
    one.commit(1, &first, &[about("app", 1)]).await;
    is_fenced(two.claim(2, &second).await.commit(&[about("app", 2)]).await);
    // Again, and in another order: what is settled stays.
    assert_eq!(one.settle(1, &first, &["web", "app"]).await, names(&["web", "app"]));
}

/// See the name.
pub async fn a_watch_moves_from_where_it_was_freed(at: Ground) {
    let (one, two) = (at.member(1).await, at.member(2).await);
    let (first, second) = (one.take(1, None).await, two.take(2, None).await);
    one.settle(1, &first, &["app", "web"]).await;
    one.commit(1, &first, &[about("app", 1)]).await;
    assert_eq!(one.settle(1, &first, &["web"]).await, names(&["web"]));
    assert_eq!(two.settle(2, &second, &["app"]).await, names(&["app"]));
    is_fenced(one.claim(1, &first).await.commit(&[about("app", 2)]).await);
    assert_eq!(two.load(2, &second).await.watches, [sample::watch_state(1)]);
    assert_eq!(one.load(1, &first).await.watches, []);
    // What was freed and not fetched is its slot's again.
    two.settle(2, &second, &[]).await;
    assert_eq!(two.settle(2, &second, &["app"]).await, names(&["app"]));
    assert_eq!(one.settle(1, &first, &["app"]).await, []);
}

/// See the name.
pub async fn a_watch_moves_from_a_slot_without_an_owner_and_between_slots_of_one(at: Ground) {
    let (one, two) = (at.member(1).await, at.member(2).await);
    let (first, second) = (one.take(1, None).await, two.take(2, None).await);
    let third = two.take(3, None).await;
    one.settle(1, &first, &["app", "web"]).await;
    one.give(1, &first).await;
    assert_eq!(two.settle(2, &second, &["app"]).await, names(&["app"]), "given back");
    assert_eq!(two.settle(3, &third, &["app"]).await, names(&["app"]), "its own");
    is_fenced(two.claim(2, &second).await.commit(&[about("app", 1)]).await);
    two.commit(3, &third, &[about("app", 2)]).await;
    let first = one.take(1, Some(&first)).await;
    assert_eq!(one.settle(1, &first, &["app", "web"]).await, names(&["web"]));
    (at.end_leases)().await;
    one.renew().await;
    assert_eq!(
        one.settle(1, &first, &["app", "web"]).await,
        names(&["app", "web"]),
        "its owner is dead"
    );
    is_fenced(two.claim(3, &third).await.commit(&[about("app", 3)]).await);
}

/// See the name.
pub async fn what_is_shown_names_members_their_slots_and_the_watches_without_an_owner(at: Ground) {
    let (one, two) = (at.member(1).await, at.member(2).await);
    let (first, second) = (one.take(1, None).await, two.take(2, None).await);
    one.settle(1, &first, &["a", "b"]).await;
    two.settle(2, &second, &["c"]).await;
    let shown = async |slots: &Arc<dyn Slots>| {
        let archive = slots.state(slot(1), &first).archive;
        archive.overview(&OverviewQuery::watches()).await.expect("a view").fleet.expect("a fleet")
    };
    let told = |fleet: &FleetView| -> Vec<_> {
        let of = |m: &MemberView| (m.holder.clone(), m.slots.clone(), m.watches);
        fleet.members.iter().map(of).collect()
    };
    let of = |at: &At<'_>, n, term: &Term, watches| {
        (at.member.agent.holder.clone(), vec![(slot(n), term.clone())], watches)
    };
    let fleet = shown(&at.other).await;
    assert_eq!(told(&fleet), [of(&one, 1, &first, 2), of(&two, 2, &second, 1)]);
    assert_eq!(fleet.unowned, []);
    one.give(1, &first).await;
    let fleet = shown(&at.one).await;
    let nothing = (one.member.agent.holder.clone(), Vec::new(), 0);
    assert_eq!(told(&fleet), [nothing, of(&two, 2, &second, 1)]);
    assert_eq!(fleet.unowned, names(&["a", "b"]));
    (at.end_leases)().await;
    let fleet = shown(&at.one).await;
    assert_eq!((fleet.members, fleet.unowned), (Vec::new(), names(&["a", "b", "c"])));
}

/// See the name.
pub async fn nothing_is_settled_under_an_older_term(at: Ground) {
    let (one, two) = (at.member(1).await, at.member(2).await);
    let first = one.take(1, None).await;
    one.settle(1, &first, &["app"]).await;
    (at.end_leases)().await;
    two.renew().await;
    let second = two.take(1, Some(&first)).await;
    is_fenced(one.slots.settle(slot(1), &first, &names(&["web"])).await);
    is_fenced(one.slots.settle(slot(2), &first, &names(&["web"])).await);
    two.commit(1, &second, &[about("app", 1)]).await;
    is_fenced(two.claim(1, &second).await.commit(&[about("web", 1)]).await);
    two.give(1, &second).await;
    is_fenced(two.slots.settle(slot(1), &second, &names(&["app"])).await);
}
