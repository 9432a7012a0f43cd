//! The contract of [`Wire`], clause by clause: whoever writes a way between processes runs it against that.
//!
//! Each clause is a function that takes a way that nobody listens to yet and panics, as a test does, where it breaks the
//! contract. [`wire_contract_tests!`](crate::wire_contract_tests) makes one test of each; the crate that uses it needs `tokio`
//! with the features `macros` and `rt`.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use futures::StreamExt as _;
use futures::future::BoxFuture;
use futures::stream::BoxStream;

use crate::fleet::{Heard, Wire, Word};
use crate::testing::sample;

/// A way between two processes.
pub struct Ends {
    one: Arc<dyn Wire>,
    other: Arc<dyn Wire>,
    cut: Box<dyn Fn() -> BoxFuture<'static, ()> + Send + Sync>,
}

impl Ends {
    /// The way as two processes have it, and what cuts it for all who listen; it is there again right after.
    #[must_use]
    pub fn new(
        one: Arc<dyn Wire>,
        other: Arc<dyn Wire>,
        cut: impl Fn() -> BoxFuture<'static, ()> + Send + Sync + 'static,
    ) -> Self {
        Self { one, other, cut: Box::new(cut) }
    }

    /// Both listen.
    async fn listening(&self) -> [BoxStream<'static, Heard>; 2] {
        let (mut one, mut other) = (self.one.hear(), self.other.hear());
        let first = futures::join!(one.next(), other.next());
        assert_eq!(first, (Some(Heard::Missed), Some(Heard::Missed)), "what was said before");
        [one, other]
    }
}

impl fmt::Debug for Ends {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Ends").field(&self.one).finish()
    }
}

fn hint(forge: &str, repo: &str) -> Word {
    Word::Hint { forge: forge.to_owned(), repo: repo.parse().expect("a path") }
}

fn inbox(watch: &str) -> Word {
    Word::Inbox(sample::watch(watch))
}

/// What one hears, while the other is there as well, until `over`.
async fn heard(
    [one, other]: &mut [BoxStream<'static, Heard>; 2],
    mut over: impl FnMut(&Heard) -> bool,
) -> Vec<Heard> {
    let mut all = Vec::new();
    loop {
        // What carries a process's words is its listening.
        let next = tokio::select! {
            next = one.next() => next.expect("it never ends"),
            own = other.next() => {
                assert_eq!(own, Some(Heard::Missed), "its own word");
                continue;
            }
        };
        let is_last = over(&next);
        all.push(next);
        if is_last {
            return all;
        }
    }
}

fn last(word: &Word) -> impl FnMut(&Heard) -> bool + use<'_> {
    move |heard| *heard == Heard::Word(word.clone())
}

/// Makes a test of each clause for the way that `$make` builds: the path of an async function without arguments that returns
/// [`Ends`].
#[macro_export]
macro_rules! wire_contract_tests {
    ($make:path) => {
        $crate::wire_contract_tests! { $make:
            a_word_arrives_as_it_was_sent_and_not_at_who_sent_it
            what_is_sent_before_anybody_listens_goes_out_with_the_listening
            many_words_arrive_or_it_is_said_that_some_are_lost
            a_word_that_is_too_long_stops_no_other
            who_listens_learns_that_the_way_was_cut_and_hears_what_is_said_after
        }
    };
    ($make:path: $($clause:ident)*) => {
        $(
            #[tokio::test]
            async fn $clause() {
                $crate::testing::wire_contract::$clause($make().await).await;
            }
        )*
    };
}

/// See the name.
pub async fn a_word_arrives_as_it_was_sent_and_not_at_who_sent_it(ends: Ends) {
    let mut both = ends.listening().await;
    for word in [
        hint("hub", "product/app"),
        hint("größe \"x\" \\ 'y'\n", "a/b c/d'e\"f\\g/ü"),
        inbox("app"),
        inbox("web"),
    ] {
        ends.other.send(word.clone());
        assert_eq!(heard(&mut both, last(&word)).await, [Heard::Word(word)]);
    }
}

/// See the name.
pub async fn what_is_sent_before_anybody_listens_goes_out_with_the_listening(ends: Ends) {
    let mut one = ends.one.hear();
    assert_eq!(one.next().await, Some(Heard::Missed));
    let word = inbox("app");
    ends.other.send(word.clone());
    let mut both = [one, ends.other.hear()];
    let begun = both[1].next().await;
    assert_eq!(begun, Some(Heard::Missed));
    heard(&mut both, last(&word)).await;
}

/// See the name.
pub async fn many_words_arrive_or_it_is_said_that_some_are_lost(ends: Ends) {
    let mut both = ends.listening().await;
    let all: BTreeSet<Word> = (0..1500).map(|n| hint("hub", &format!("group/{n:0900}"))).collect();
    for word in &all {
        ends.other.send(word.clone());
    }
    let mut left = all.clone();
    let came = heard(&mut both, |heard| match heard {
        Heard::Word(word) => {
            left.remove(word);
            left.is_empty()
        }
        Heard::Missed => true,
    });
    for heard in came.await {
        assert!(
            matches!(&heard, Heard::Missed) || matches!(&heard, Heard::Word(w) if all.contains(w))
        );
    }
    let word = inbox("after");
    ends.other.send(word.clone());
    heard(&mut both, last(&word)).await;
}

/// See the name.
pub async fn a_word_that_is_too_long_stops_no_other(ends: Ends) {
    let mut both = ends.listening().await;
    ends.other.send(hint(&"x".repeat(100_000), "product/app"));
    let word = inbox("app");
    ends.other.send(word.clone());
    heard(&mut both, last(&word)).await;
}

/// See the name.
pub async fn who_listens_learns_that_the_way_was_cut_and_hears_what_is_said_after(ends: Ends) {
    let [mut one, mut other] = ends.listening().await;
    for round in 0..2 {
        (ends.cut)().await;
        let told = futures::join!(one.next(), other.next());
        assert_eq!(told, (Some(Heard::Missed), Some(Heard::Missed)));
        let word = inbox(&format!("after-{round}"));
        ends.other.send(word.clone());
        let mut both = [one, other];
        heard(&mut both, last(&word)).await;
        [one, other] = both;
    }
}
