//! Who is logged in. A session is a signed cookie: nothing is kept of it but its end, where that comes before its time. So each
//! process knows it that has the key and the token, and it ends with the token that it was begun with.

use std::fmt;
use std::sync::Arc;

use hmac::{Hmac, Mac as _};
use sentry_api::{ApiError, ErrorKind};
use sentry_core::clock::{Clock, Timestamp};
use sentry_core::store::{SESSION, Session, Sessions as Kept};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use tokio::sync::OnceCell;

use crate::api::{Holder, Keys};

/// What a session's forms prove that they know.
type FormToken = [u8; 32];

/// The sessions of a page.
#[derive(Debug)]
pub(crate) struct Sessions {
    keys: Arc<dyn Keys>,
    kept: Arc<dyn Kept>,
    clock: Arc<dyn Clock>,
    key: OnceCell<Key>,
}

/// What cookies are signed with.
struct Key([u8; 32]);

/// Somebody with a session.
#[derive(Debug, Clone)]
pub(crate) struct Visitor {
    /// What they may do.
    pub(crate) holder: Holder,
    form_token: FormToken,
    session: Session,
    cookie: String,
}

/// What a cookie says, before that is believed: id, when it began, and the signature, with points between them.
struct Shown<'a> {
    id: &'a str,
    begun: &'a str,
    signature: [u8; 32],
}

impl<'a> Shown<'a> {
    fn read(cookie: &'a str) -> Option<Self> {
        let (id, rest) = cookie.split_once('.')?;
        let (begun, signature) = rest.split_once('.')?;
        let is_id = id.len() == 64 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
        let signature = unhex(signature)?.try_into().ok()?;
        is_id.then_some(Self { id, begun, signature })
    }

    fn begun(&self) -> Option<Timestamp> {
        Timestamp::from_millisecond(self.begun.parse().ok()?).ok()
    }
}

impl Key {
    /// The signature of a session that was begun with a token. Each part of what is signed has an end of its own.
    fn signature(&self, token: &str, id: &str, begun: &str) -> [u8; 32] {
        let token = Sha256::digest(token);
        self.mac(&[b"session.", &token, id.as_bytes(), b".", begun.as_bytes()])
    }

    fn form_token(&self, id: &str) -> FormToken {
        self.mac(&[b"form.", id.as_bytes()])
    }

    fn mac(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut key = [0; 64];
        key[..32].copy_from_slice(&self.0);
        let mut mac = Hmac::<Sha256>::new(&key.into());
        parts.iter().for_each(|part| mac.update(part));
        mac.finalize().into_bytes().into()
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key")
    }
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
        let bytes = unhex(form_token);
        let halves = bytes.as_deref().and_then(|bytes| bytes.split_first_chunk::<32>());
        halves.is_some_and(|(mask, rest)| masked(&self.form_token, mask).ct_eq(rest).into())
    }
}

impl Sessions {
    pub(crate) fn new(keys: Arc<dyn Keys>, kept: Arc<dyn Kept>, clock: Arc<dyn Clock>) -> Self {
        Self { keys, kept, clock, key: OnceCell::new() }
    }

    /// A new session for a token: its cookie. `None` if the token is not ours.
    ///
    /// # Errors
    /// As [`Keys::holder`]; [`ErrorKind::Setup`] without random numbers; where the state can't be used.
    pub(crate) async fn begin(&self, token: &str) -> Result<Option<String>, ApiError> {
        if self.keys.holder(token).await?.is_none() {
            return Ok(None);
        }
        let (id, begun) = (random()?, self.clock.now().as_millisecond().to_string());
        let signature = hex(&self.key().await?.signature(token, &id, &begun));
        Ok(Some(format!("{id}.{begun}.{signature}")))
    }

    /// Who has the session of this cookie. Its token is looked for among those that are known now, so that a token which is
    /// rotated takes its sessions with it.
    ///
    /// # Errors
    /// As [`Keys::holder_of`]; where the state can't be used.
    pub(crate) async fn visitor(&self, cookie: &str) -> Result<Option<Visitor>, ApiError> {
        let Some(shown) = Shown::read(cookie) else { return Ok(None) };
        let Some(begun) = shown.begun() else { return Ok(None) };
        if begun.checked_add(SESSION).is_ok_and(|end| end <= self.clock.now()) {
            return Ok(None);
        }
        let key = self.key().await?;
        let has_signed = |token: &str| -> bool {
            key.signature(token, shown.id, shown.begun).ct_eq(&shown.signature).into()
        };
        let Some(holder) = self.keys.holder_of(&has_signed).await? else { return Ok(None) };
        let session = Session { id: shown.id.to_owned(), token: holder.name.clone(), begun };
        if self.kept.has_ended(&session).await? {
            return Ok(None);
        }
        let form_token = key.form_token(shown.id);
        Ok(Some(Visitor { holder, form_token, session, cookie: cookie.to_owned() }))
    }

    /// Whether the session still lasts.
    pub(crate) async fn lasts(&self, visitor: &Visitor) -> bool {
        matches!(self.visitor(&visitor.cookie).await, Ok(Some(_)))
    }

    /// Ends the session, for all processes.
    ///
    /// # Errors
    /// Where the state can't be used: then it lasts.
    pub(crate) async fn end(&self, visitor: &Visitor) -> Result<(), ApiError> {
        Ok(self.kept.end(&visitor.session, self.clock.now()).await?)
    }

    async fn key(&self) -> Result<&Key, ApiError> {
        let made = async { Ok(Key(self.kept.key(random_bytes()?).await?)) };
        self.key.get_or_try_init(|| made).await
    }
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

/// The bytes of hexadecimal digits.
fn unhex(digits: &str) -> Option<Vec<u8>> {
    let (pairs, rest) = digits.as_bytes().as_chunks::<2>();
    let byte = |pair: &[u8; 2]| {
        let is_hex = pair.iter().all(u8::is_ascii_hexdigit);
        u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok().filter(|_| is_hex)
    };
    pairs.iter().map(byte).collect::<Option<_>>().filter(|_| rest.is_empty())
}

fn masked(token: &FormToken, mask: &[u8; 32]) -> [u8; 32] {
    std::array::from_fn(|at| token[at] ^ mask[at])
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::sync::Mutex;
    use std::time::Duration;

    use async_trait::async_trait;
    use sentry_core::testing::fakes::TokioClock;
    use sentry_store::MemorySessions;

    use super::*;
    use crate::api::{Proof, Right};

    /// Tokens that can be rotated.
    #[derive(Debug, Default)]
    struct Ring(Mutex<HashMap<String, Right>>);

    #[async_trait]
    impl Keys for Ring {
        async fn holder_of(&self, is_it: Proof<'_>) -> Result<Option<Holder>, ApiError> {
            let known = self.0.lock().unwrap();
            let found = known.iter().find(|(token, _)| is_it(token));
            Ok(found.map(|(token, right)| Holder { name: token.clone(), right: *right }))
        }
    }

    /// Processes with the same tokens and the same state.
    fn processes<const N: usize>() -> (Arc<Ring>, [Sessions; N]) {
        let ring = Arc::new(Ring::default());
        ring.0.lock().unwrap().insert("old".into(), Right::Trigger);
        let (kept, clock) = (MemorySessions::new(), Arc::new(TokioClock::new()));
        let process = || {
            Sessions::new(Arc::clone(&ring) as _, Arc::new(kept.clone()), Arc::clone(&clock) as _)
        };
        (Arc::clone(&ring), std::array::from_fn(|_| process()))
    }

    #[tokio::test(start_paused = true)]
    async fn a_session_lasts_twelve_hours_and_not_longer() {
        let (_, [sessions]) = processes();
        assert_eq!(sessions.begin("new").await.unwrap(), None, "a wrong token");
        let cookie = sessions.begin("old").await.unwrap().unwrap();
        tokio::time::advance(Duration::from_secs(12 * 3600 - 1)).await;
        let visitor = sessions.visitor(&cookie).await.unwrap().unwrap();
        assert_eq!(visitor.holder.right, Right::Trigger);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(sessions.visitor(&cookie).await.unwrap().is_none());
        assert!(!sessions.lasts(&visitor).await);
    }

    #[tokio::test(start_paused = true)]
    async fn a_session_of_one_process_is_one_of_all_and_ends_in_all_by_logging_out() {
        let (_, [one, other]) = processes();
        let cookie = one.begin("old").await.unwrap().unwrap();
        let second = other.begin("old").await.unwrap().unwrap();
        let visitor = other.visitor(&cookie).await.unwrap().unwrap();
        // A form that one has made is sent to another.
        let here = one.visitor(&cookie).await.unwrap().unwrap();
        assert!(visitor.sent(&here.form_token().unwrap()));
        other.end(&visitor).await.unwrap();
        for sessions in [&one, &other] {
            assert!(sessions.visitor(&cookie).await.unwrap().is_none());
            assert!(!sessions.lasts(&here).await);
            assert!(sessions.visitor(&second).await.unwrap().is_some());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_session_ends_with_its_token_and_is_nothing_by_another_key() {
        let (ring, [sessions]) = processes();
        let (_, [stranger]) = processes();
        let cookie = sessions.begin("old").await.unwrap().unwrap();
        assert!(stranger.visitor(&cookie).await.unwrap().is_none(), "another state's");
        ring.0.lock().unwrap().clear();
        ring.0.lock().unwrap().insert("new".into(), Right::Trigger);
        assert!(sessions.visitor(&cookie).await.unwrap().is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_cookie_is_nothing_with_one_sign_changed() {
        let (_, [sessions]) = processes();
        let cookie = sessions.begin("old").await.unwrap().unwrap();
        assert!(sessions.visitor(&cookie).await.unwrap().is_some());
        for at in 0..cookie.len() {
            for sign in ["0", "7", "a", "A", ".", "", "00", "é"] {
                let other = format!("{}{sign}{}", &cookie[..at], &cookie[at + 1..]);
                // A signature's digits may be written in capitals.
                if !other.eq_ignore_ascii_case(&cookie) {
                    let found = sessions.visitor(&other).await.unwrap();
                    assert!(found.is_none(), "{other} for {cookie}");
                }
            }
        }
        for odd in ["", ".", "..", "a.b.c", &"0".repeat(64)] {
            assert!(sessions.visitor(odd).await.unwrap().is_none(), "{odd}");
        }
    }

    #[tokio::test]
    async fn a_forms_token_is_its_sessions_own() {
        let (_, [sessions]) = processes();
        let mut visitors = Vec::new();
        for _ in 0..2 {
            let cookie = sessions.begin("old").await.unwrap().unwrap();
            visitors.push(sessions.visitor(&cookie).await.unwrap().unwrap());
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
}
