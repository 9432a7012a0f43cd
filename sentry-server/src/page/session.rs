//! Who is logged in. Sessions are kept in memory: a restart ends them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sentry_api::{ApiError, ErrorKind};
use sentry_core::secret::Secret;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use tokio::time::Instant;

use crate::api::{Holder, Keys};

/// So long does a session last, used or not.
const LIFE: Duration = Duration::from_secs(12 * 60 * 60);
/// More sessions than this are not kept: the oldest one of the token that has the most ends, so that whoever logs in again and
/// again ends nobody's session but their own.
const MOST: usize = 1000;

/// The digest of a session's id, so that looking it up takes as long for any guess.
type IdDigest = [u8; 32];
/// What a session's forms prove that they know.
type FormToken = [u8; 32];

#[derive(Debug)]
struct Session {
    /// What it was made with, so that it ends with it.
    token: Secret,
    form_token: FormToken,
    end: Instant,
}

/// The sessions of one page.
#[derive(Debug)]
pub(crate) struct Sessions {
    keys: Arc<dyn Keys>,
    kept: Mutex<HashMap<IdDigest, Session>>,
}

/// Somebody with a session.
#[derive(Debug, Clone)]
pub(crate) struct Visitor {
    /// What they may do.
    pub(crate) holder: Holder,
    form_token: FormToken,
    place: IdDigest,
}

impl Visitor {
    /// What each form of one answer carries (CSRF): the session's own token under a mask that no other answer has. Answers
    /// are compressed; under a mask, how long one becomes says nothing of the token.
    ///
    /// # Errors
    /// [`ErrorKind::Setup`] without random numbers.
    pub(crate) fn form_token(&self) -> Result<String, ApiError> {
        let mask = random_bytes()?;
        Ok(hex(&mask) + &hex(&masked(&self.form_token, &mask)))
    }

    /// Whether a form was made for this session. Compares in constant time.
    pub(crate) fn sent(&self, form_token: &str) -> bool {
        let digits = form_token.as_bytes().as_chunks::<2>();
        let byte = |pair: &[u8; 2]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
        let bytes: Option<Vec<u8>> = digits.0.iter().map(byte).collect();
        let bytes = bytes.filter(|_| digits.1.is_empty());
        let halves = bytes.as_deref().and_then(|bytes| bytes.split_first_chunk::<32>());
        halves.is_some_and(|(mask, rest)| masked(&self.form_token, mask).ct_eq(rest).into())
    }
}

impl Sessions {
    pub(crate) fn new(keys: Arc<dyn Keys>) -> Self {
        Self { keys, kept: Mutex::default() }
    }

    /// A new session for a token; its id. `None` if the token is not ours.
    pub(crate) async fn begin(&self, token: &str) -> Result<Option<String>, ApiError> {
        if self.keys.holder(token).await?.is_none() {
            return Ok(None);
        }
        let (id, form_token) = (random()?, random_bytes()?);
        let end = Instant::now() + LIFE;
        let mut kept = self.kept();
        kept.retain(|_, session| session.end > Instant::now());
        if kept.len() >= MOST {
            surplus(&kept).and_then(|place| kept.remove(&place));
        }
        kept.insert(place(&id), Session { token: Secret::new(token), form_token, end });
        Ok(Some(id))
    }

    /// Who has the session of this id. The token that it was made with is asked for again, so that a token which is
    /// rotated takes its sessions with it.
    ///
    /// # Errors
    /// As [`Keys::right`].
    pub(crate) async fn visitor(&self, id: &str) -> Result<Option<Visitor>, ApiError> {
        self.at(place(id)).await
    }

    /// Whether the session still lasts.
    pub(crate) async fn lasts(&self, visitor: &Visitor) -> bool {
        matches!(self.at(visitor.place).await, Ok(Some(_)))
    }

    pub(crate) fn end(&self, visitor: &Visitor) {
        self.kept().remove(&visitor.place);
    }

    async fn at(&self, place: IdDigest) -> Result<Option<Visitor>, ApiError> {
        let found = self
            .kept()
            .get(&place)
            .filter(|session| session.end > Instant::now())
            .map(|session| (Secret::new(session.token.expose()), session.form_token));
        let Some((token, form_token)) = found else { return Ok(None) };
        let Some(holder) = self.keys.holder(token.expose()).await? else {
            self.kept().remove(&place);
            return Ok(None);
        };
        Ok(Some(Visitor { holder, form_token, place }))
    }

    fn kept(&self) -> MutexGuard<'_, HashMap<IdDigest, Session>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The oldest session of the token that has the most.
fn surplus(kept: &HashMap<IdDigest, Session>) -> Option<IdDigest> {
    let mut tokens: HashMap<&str, (usize, (Instant, IdDigest))> = HashMap::new();
    for (place, session) in kept {
        let this = (session.end, *place);
        let (number, oldest) = tokens.entry(session.token.expose()).or_insert((0, this));
        *number += 1;
        *oldest = this.min(*oldest);
    }
    tokens.into_values().max_by_key(|(number, _)| *number).map(|(_, (_, place))| place)
}

fn place(id: &str) -> IdDigest {
    Sha256::digest(id).into()
}

/// 256 random bits in hexadecimal digits.
pub(crate) fn random() -> Result<String, ApiError> {
    Ok(hex(&random_bytes()?))
}

fn random_bytes() -> Result<[u8; 32], ApiError> {
    let mut bytes = [0_u8; 32];
    getrandom::fill(&mut bytes).map_err(|error| {
        ApiError::new(ErrorKind::Setup, "the system provides no random numbers").with_source(error)
    })?;
    Ok(bytes)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn masked(token: &FormToken, mask: &[u8; 32]) -> [u8; 32] {
    std::array::from_fn(|at| token[at] ^ mask[at])
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;

    use super::*;
    use crate::api::Right;

    /// Tokens that can be rotated.
    #[derive(Debug, Default)]
    struct Ring(Mutex<HashMap<String, Right>>);

    #[async_trait]
    impl Keys for Ring {
        async fn holder(&self, token: &str) -> Result<Option<Holder>, ApiError> {
            let right = self.0.lock().unwrap().get(token).copied();
            Ok(right.map(|right| Holder { name: token.to_owned(), right }))
        }
    }

    fn ring() -> (Arc<Ring>, Sessions) {
        let ring = Arc::new(Ring::default());
        ring.0.lock().unwrap().insert("old".into(), Right::Trigger);
        (Arc::clone(&ring), Sessions::new(ring))
    }

    #[tokio::test(start_paused = true)]
    async fn a_session_lasts_twelve_hours_and_not_longer() {
        let (_, sessions) = ring();
        assert_eq!(sessions.begin("new").await.unwrap(), None, "a wrong token");
        let id = sessions.begin("old").await.unwrap().unwrap();
        tokio::time::advance(Duration::from_secs(12 * 3600 - 1)).await;
        let visitor = sessions.visitor(&id).await.unwrap().unwrap();
        assert_eq!(visitor.holder.right, Right::Trigger);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(sessions.visitor(&id).await.unwrap().is_none());
        assert!(!sessions.lasts(&visitor).await);
        sessions.begin("old").await.unwrap().unwrap();
        assert_eq!(sessions.kept().len(), 1, "what has ended is kept by nobody");
    }

    #[tokio::test]
    async fn a_session_ends_with_its_token_and_by_logging_out() {
        let (ring, sessions) = ring();
        let (one, two) =
            (sessions.begin("old").await.unwrap(), sessions.begin("old").await.unwrap());
        let (one, two) = (one.unwrap(), two.unwrap());
        let visitor = sessions.visitor(&one).await.unwrap().unwrap();
        sessions.end(&visitor);
        assert!(sessions.visitor(&one).await.unwrap().is_none());
        assert!(sessions.visitor(&two).await.unwrap().is_some());
        ring.0.lock().unwrap().clear();
        assert!(sessions.visitor(&two).await.unwrap().is_none());
        ring.0.lock().unwrap().insert("old".into(), Right::Read);
        assert!(sessions.visitor(&two).await.unwrap().is_none(), "it came back with its token");
    }

    #[tokio::test]
    async fn a_forms_token_is_its_sessions_own() {
        let (_, sessions) = ring();
        let mut visitors = Vec::new();
        for _ in 0..2 {
            let id = sessions.begin("old").await.unwrap().unwrap();
            visitors.push(sessions.visitor(&id).await.unwrap().unwrap());
        }
        let mut seen = std::collections::HashSet::new();
        for _ in 0..3 {
            let [own, other] = [0, 1].map(|of: usize| visitors[of].form_token().unwrap());
            assert!(visitors[0].sent(&own) && !visitors[0].sent(&other));
            let bare = hex(&visitors[0].form_token);
            assert!(!own.contains(&bare), "the token itself stands on a page");
            for wrong in [&own[..64], &own[1..], &own[..127], &format!("{own}00"), &bare] {
                assert!(!visitors[0].sent(wrong), "{wrong}");
            }
            assert!(seen.insert(own), "one mask on two pages");
        }
        for wrong in ["", "+1", "é", "zz"] {
            assert!(!visitors[0].sent(wrong), "{wrong}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn so_many_logins_push_the_oldest_session_out() {
        let (_, sessions) = ring();
        let first = sessions.begin("old").await.unwrap().unwrap();
        tokio::time::advance(Duration::from_millis(1)).await;
        let mut last = String::new();
        for _ in 0..MOST {
            last = sessions.begin("old").await.unwrap().unwrap();
        }
        assert!(sessions.visitor(&first).await.unwrap().is_none());
        assert!(sessions.visitor(&last).await.unwrap().is_some());
        assert_eq!(sessions.kept().len(), MOST);
    }

    #[tokio::test(start_paused = true)]
    async fn however_often_one_token_logs_in_it_ends_no_session_of_another() {
        let (ring, sessions) = ring();
        ring.0.lock().unwrap().insert("reading".into(), Right::Read);
        let mut others = Vec::new();
        for _ in 0..10 {
            others.push(sessions.begin("old").await.unwrap().unwrap());
        }
        for _ in 0..3 * MOST {
            tokio::time::advance(Duration::from_millis(1)).await;
            sessions.begin("reading").await.unwrap().unwrap();
        }
        for id in others {
            assert_eq!(sessions.visitor(&id).await.unwrap().unwrap().holder.right, Right::Trigger);
        }
        assert_eq!(sessions.kept().len(), MOST);
    }
}
