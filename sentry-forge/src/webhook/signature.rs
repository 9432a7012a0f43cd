//! The proofs that a webhook comes from its forge. All comparisons take constant time.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use data_encoding::HEXLOWER_PERMISSIVE;
use hmac::{Hmac, Mac as _};
use http::HeaderMap;
use sentry_core::clock::Timestamp;
use sentry_core::secret::Secret;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::replays::Once;
use super::{WebhookError, header};

const SIGNATURE: &str = "webhook-signature";
/// How far a signed time may be from ours, in seconds: what Standard Webhooks' own libraries allow.
/// <https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>
const WINDOW: i64 = 300;
/// No sender names more than a few signatures: two while a secret is rotated.
const SIGNATURES: usize = 8;

/// What is left to compare when the body has come.
#[derive(Debug)]
pub(crate) enum Check {
    /// The secret itself was shown: the body proves nothing.
    Shown,
    /// A keyed hash over the body.
    Signed { mac: Box<Hmac<Sha256>>, wanted: Vec<Once>, header: &'static str, once: Option<Once> },
}

impl Check {
    /// A keyed SHA-256 over the body in the header `name`, in hexadecimal digits behind `prefix`.
    pub(crate) fn signed(
        headers: &HeaderMap,
        name: &'static str,
        prefix: &str,
        secret: &Secret,
    ) -> Result<Self, WebhookError> {
        let text = header(headers, name).ok_or(WebhookError::Unsigned(name))?;
        let bytes = text
            .strip_prefix(prefix)
            .and_then(|hex| HEXLOWER_PERMISSIVE.decode(hex.as_bytes()).ok());
        let wanted: Once =
            bytes.and_then(|bytes| bytes.try_into().ok()).ok_or(WebhookError::Wrong(name))?;
        // The delivery's id is not signed: the signature stands for the delivery.
        let (mac, once) = (keyed(secret.expose().as_bytes()), Some(wanted));
        Ok(Self::Signed { mac, wanted: vec![wanted], header: name, once })
    }

    /// The secret itself in the header `name`.
    pub(crate) fn shown(
        headers: &HeaderMap,
        name: &'static str,
        secret: &Secret,
    ) -> Result<Self, WebhookError> {
        let token = header(headers, name).ok_or(WebhookError::Unsigned(name))?;
        // Hashed first, so that not even the length shows.
        let (ours, theirs) = (Sha256::digest(secret.expose()), Sha256::digest(token));
        if bool::from(ours.ct_eq(&theirs)) {
            Ok(Self::Shown)
        } else {
            Err(WebhookError::Wrong(name))
        }
    }

    /// The form of Standard Webhooks, with the base64 of a key.
    pub(crate) fn standard(
        headers: &HeaderMap,
        key: &str,
        now: Timestamp,
    ) -> Result<Self, WebhookError> {
        let signature = header(headers, SIGNATURE).ok_or(WebhookError::Unsigned(SIGNATURE))?;
        let id = header(headers, "webhook-id").ok_or(WebhookError::Unsigned("webhook-id"))?;
        let time = header(headers, "webhook-timestamp")
            .ok_or(WebhookError::Unsigned("webhook-timestamp"))?;
        let signed: i64 = time.parse().map_err(|_| WebhookError::Unsigned("webhook-timestamp"))?;
        if signed.saturating_sub(now.as_second()).unsigned_abs() > WINDOW.unsigned_abs() {
            return Err(WebhookError::OutOfTime);
        }
        let wrong = || WebhookError::Wrong(SIGNATURE);
        let key = STANDARD.decode(key).map_err(|_| wrong())?;
        let one = |text: &str| STANDARD.decode(text.strip_prefix("v1,")?).ok()?.try_into().ok();
        let wanted: Vec<Once> = signature.split(' ').take(SIGNATURES).filter_map(one).collect();
        if wanted.is_empty() {
            return Err(wrong());
        }
        let mut mac = keyed(&key);
        mac.update(format!("{id}.{time}.").as_bytes());
        let once = Some(Sha256::digest(id).into());
        Ok(Self::Signed { mac, wanted, header: SIGNATURE, once })
    }

    /// More of the body.
    pub(super) fn take(&mut self, bytes: &[u8]) {
        if let Self::Signed { mac, .. } = self {
            mac.update(bytes);
        }
    }

    /// What the webhook can be known again by, if it can.
    pub(super) fn verify(self) -> Result<Option<Once>, WebhookError> {
        let Self::Signed { mac, wanted, header, once } = self else { return Ok(None) };
        let fits = |wanted: &Once| mac.clone().verify_slice(wanted).is_ok();
        if wanted.iter().any(fits) { Ok(once) } else { Err(WebhookError::Wrong(header)) }
    }
}

fn keyed(key: &[u8]) -> Box<Hmac<Sha256>> {
    Box::new(match Hmac::new_from_slice(key) {
        Ok(mac) => mac,
        Err(never) => unreachable!("HMAC takes keys of any length: {never}"),
    })
}
