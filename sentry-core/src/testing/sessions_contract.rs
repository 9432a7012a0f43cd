//! The contract of [`Sessions`], clause by clause: whoever keeps a state that processes share runs it against that.
//!
//! Each clause is a function that takes an empty state as two processes reach it and panics, as a test does, where it breaks the
//! contract. [`sessions_contract_tests!`](crate::sessions_contract_tests) makes one test of each; the crate that uses it needs
//! `tokio` with the features `macros` and `rt`.

use std::sync::Arc;
use std::time::Duration;

use crate::store::{MOST_ENDED, SESSION, Session, Sessions};
use crate::testing::sample;

/// An empty state that two processes reach.
pub type Both = [Arc<dyn Sessions>; 2];

fn session(token: &str, n: u32) -> Session {
    let begun = sample::time(0) + Duration::from_millis(n.into());
    Session { id: format!("{token}-{n}"), token: token.to_owned(), begun }
}

async fn end(at: &Arc<dyn Sessions>, session: &Session) {
    at.end(session, session.begun).await.expect("it ends");
}

/// Which of these have ended, by their numbers.
async fn ended(at: &Both, token: &str, numbers: &[u32]) -> Vec<u32> {
    let mut ended = Vec::new();
    for n in numbers {
        let [one, other] = [&at[0], &at[1]].map(|at| at.clone());
        let session = session(token, *n);
        let told = one.has_ended(&session).await.expect("an answer");
        assert_eq!(told, other.has_ended(&session).await.expect("an answer"));
        ended.extend(told.then_some(*n));
    }
    ended
}

/// Makes a test of each clause for the state that `$make` builds: the path of an async function without arguments that returns
/// [`Both`].
#[macro_export]
macro_rules! sessions_contract_tests {
    ($make:path) => {
        $crate::sessions_contract_tests! { $make:
            all_processes_have_the_key_that_the_first_one_made
            a_session_that_was_ended_has_ended_everywhere_and_no_other_has
            of_too_many_that_were_ended_all_earlier_ones_of_their_token_end
            what_would_have_ended_by_itself_is_not_counted
        }
    };
    ($make:path: $($clause:ident)*) => {
        $(
            #[tokio::test]
            async fn $clause() {
                $crate::testing::sessions_contract::$clause($make().await).await;
            }
        )*
    };
}

/// See the name.
pub async fn all_processes_have_the_key_that_the_first_one_made([one, other]: Both) {
    let (first, second) = (one.key([1; 32]), other.key([2; 32]));
    let (first, second) = futures::join!(first, second);
    let (first, second) = (first.expect("a key"), second.expect("a key"));
    assert!(first == second && [[1; 32], [2; 32]].contains(&first));
    assert_eq!(one.key([3; 32]).await.expect("a key"), first);
}

/// See the name.
pub async fn a_session_that_was_ended_has_ended_everywhere_and_no_other_has(both: Both) {
    assert!(ended(&both, "ada", &[1, 2, 3]).await.is_empty());
    end(&both[0], &session("ada", 2)).await;
    end(&both[1], &session("ada", 2)).await;
    end(&both[1], &session("bob", 3)).await;
    assert_eq!(ended(&both, "ada", &[1, 2, 3]).await, [2]);
    assert_eq!(ended(&both, "bob", &[1, 2, 3]).await, [3]);
    // A token may be called otherwise by now.
    let renamed = Session { token: "eve".to_owned(), ..session("ada", 2) };
    assert!(both[0].has_ended(&renamed).await.expect("an answer"));
}

/// See the name.
pub async fn of_too_many_that_were_ended_all_earlier_ones_of_their_token_end(both: Both) {
    let most = u32::try_from(MOST_ENDED).expect("a number");
    end(&both[0], &session("bob", 7)).await;
    for n in 1..=most {
        end(&both[0], &session("ada", n)).await;
    }
    assert_eq!(ended(&both, "ada", &[0, 1, most, most + 1, most + 2]).await, [1, most]);
    end(&both[1], &session("ada", most + 1)).await;
    let all = [0, 1, most, most + 1, most + 2];
    assert_eq!(ended(&both, "ada", &all).await, [0, 1, most, most + 1]);
    assert_eq!(ended(&both, "bob", &[6, 7, 8]).await, [7], "another token's");
    end(&both[0], &session("ada", most + 3)).await;
    assert_eq!(ended(&both, "ada", &[0, 1, most + 2, most + 3]).await, [0, 1, most + 3]);
}

/// See the name.
pub async fn what_would_have_ended_by_itself_is_not_counted(both: Both) {
    let most = u32::try_from(MOST_ENDED).expect("a number");
    for n in 1..=most {
        end(&both[0], &session("ada", n)).await;
    }
    let mut later = session("ada", 1);
    later.begun += SESSION + Duration::from_secs(60);
    "later".clone_into(&mut later.id);
    end(&both[0], &later).await;
    let other = Session { id: "other".to_owned(), ..later.clone() };
    assert!(both[1].has_ended(&later).await.expect("an answer"));
    assert!(!both[1].has_ended(&other).await.expect("an answer"), "by too many");
}
