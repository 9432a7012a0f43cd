//! Equal questions of one moment: asked once, answered to all who have them.

use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::{BoxFuture, Shared, WeakShared};
use tokio::time::timeout;

/// How long a question waits for an equal one that was asked before it: longer than an answer usually takes, and no longer,
/// so that one that hangs holds up nobody but those who asked it.
const PATIENCE: Duration = Duration::from_secs(1);

/// An answer that is under way, or there. It is carried on by whoever waits for it: an asker that is dropped leaves it to
/// the others, and with the last one it ends.
pub(super) type Answer<A> = Shared<BoxFuture<'static, A>>;

/// Questions that are under way. Of an answer nothing is kept but by those who asked.
pub(super) struct SingleFlight<Q, A>(Mutex<HashMap<Q, Flight<A>>>);

struct Flight<A> {
    answer: WeakShared<BoxFuture<'static, A>>,
    /// True once it is asked: from then on its answer may be older than a question that comes.
    is_asked: Arc<AtomicBool>,
}

impl<Q: Hash + Eq, A: Clone + Send + Sync + 'static> SingleFlight<Q, A> {
    /// The answer to a question whose answer never changes.
    pub(super) fn fixed(
        &self,
        question: Q,
        ask: impl Future<Output = A> + Send + 'static,
    ) -> Answer<A> {
        self.ask(question, |_| true, ask)
    }

    /// The answer as it is from now on: whoever comes while an equal question is being asked waits for its end, and all
    /// who have come until then ask together.
    pub(super) fn current(
        &self,
        question: Q,
        ask: impl Future<Output = A> + Send + 'static,
    ) -> Answer<A> {
        self.ask(question, |flight| !flight.is_asked.load(Ordering::SeqCst), ask)
    }

    fn ask(
        &self,
        question: Q,
        serves: impl Fn(&Flight<A>) -> bool,
        ask: impl Future<Output = A> + Send + 'static,
    ) -> Answer<A> {
        let mut flights = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        flights.retain(|_, flight| flight.answer.upgrade().is_some());
        let known = flights.get(&question);
        let earlier = known.and_then(|flight| Some((flight.answer.upgrade()?, serves(flight))));
        let earlier = match earlier {
            Some((answer, true)) => return answer,
            earlier => earlier.map(|(answer, _)| answer),
        };
        let is_asked = Arc::new(AtomicBool::new(false));
        let asked = Arc::clone(&is_asked);
        let answer = async move {
            if let Some(earlier) = earlier {
                timeout(PATIENCE, earlier).await.ok();
            }
            asked.store(true, Ordering::SeqCst);
            ask.await
        };
        let answer = answer.boxed().shared();
        if let Some(weak) = answer.downgrade() {
            flights.insert(question, Flight { answer: weak, is_asked });
        }
        answer
    }
}

impl<Q, A> Default for SingleFlight<Q, A> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<Q, A> fmt::Debug for SingleFlight<Q, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SingleFlight").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU32;

    use tokio::task::{JoinSet, yield_now};
    use tokio::time::{Instant, sleep};

    use super::*;

    /// A task that asks; dropped, it asks no more.
    fn asking<T: Clone + Send + Sync + 'static>(answer: Answer<T>) -> JoinSet<T> {
        let mut task = JoinSet::new();
        task.spawn(answer);
        task
    }

    /// Something that is asked, and takes so long to answer.
    #[derive(Clone)]
    struct Asked(Arc<AtomicU32>, Duration);

    impl Asked {
        fn new(millis: u64) -> Self {
            Self(Arc::default(), Duration::from_millis(millis))
        }

        fn times(&self) -> u32 {
            self.0.load(Ordering::SeqCst)
        }

        /// Its answer says how often it had been asked.
        fn ask(&self) -> impl Future<Output = Result<u32, String>> + Send + 'static {
            let this = self.clone();
            async move {
                let n = this.0.fetch_add(1, Ordering::SeqCst) + 1;
                sleep(this.1).await;
                if n == 1 { Ok(n) } else { Err(format!("error {n}")) }
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_never_changes_is_asked_once_by_all_who_ask_before_there_is_an_answer() {
        let (flights, asked) = (SingleFlight::default(), Asked::new(10));
        let all: Vec<_> = (0..100).map(|_| flights.fixed("b", asked.ask())).collect();
        let other = flights.fixed("c", async { Ok(7) });
        assert_eq!(futures::future::join_all(all).await, vec![Ok(1); 100]);
        assert_eq!((other.await, asked.times()), (Ok(7), 1));
        let again = flights.fixed("b", asked.ask()).await;
        assert_eq!(again, Err("error 2".to_owned()), "nothing is kept of an answer");
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_comes_while_a_question_is_being_asked_gets_no_older_answer() {
        let (flights, asked) = (SingleFlight::default(), Asked::new(10));
        let mut first = asking(flights.current("b", asked.ask()));
        yield_now().await;
        assert_eq!(asked.times(), 1, "who is alone waits for nobody");
        let late: Vec<_> = (0..100).map(|_| flights.current("b", asked.ask())).collect();
        let late = futures::future::join_all(late).await;
        assert_eq!(first.join_next().await.unwrap().unwrap(), Ok(1));
        let error = Err("error 2".to_owned());
        assert_eq!((late, asked.times()), (vec![error; 100], 2), "an error is theirs as well");
    }

    #[tokio::test(start_paused = true)]
    async fn an_asker_that_is_dropped_leaves_the_answer_to_the_others_and_the_last_one_ends_it() {
        for also_first in [true, false] {
            let (flights, asked) = (SingleFlight::default(), Asked::new(1_000));
            let [first, second] = [(), ()].map(|()| asking(flights.fixed("b", asked.ask())));
            sleep(Duration::from_millis(1)).await;
            let (dropped, mut left) = if also_first { (first, second) } else { (second, first) };
            drop(dropped);
            let answer = left.join_next().await.unwrap().unwrap();
            assert_eq!((answer, asked.times()), (Ok(1), 1));
        }
        let (flights, held) = (SingleFlight::default(), Arc::new(()));
        let kept = Arc::clone(&held);
        let mut only = asking(flights.fixed("b", async move {
            std::future::pending::<()>().await;
            drop(kept);
        }));
        yield_now().await;
        only.shutdown().await;
        assert_eq!(Arc::strong_count(&held), 1, "what nobody waits for does not go on");
    }

    #[tokio::test(start_paused = true)]
    async fn a_question_that_hangs_holds_up_only_those_who_asked_it() {
        let (flights, begun) = (SingleFlight::default(), Instant::now());
        let hanging = asking(flights.current("b", std::future::pending::<u32>()));
        yield_now().await;
        assert_eq!(flights.current("b", async { 2 }).await, 2);
        assert!(begun.elapsed() <= PATIENCE + Duration::from_millis(1));
        drop(hanging);
    }
}
