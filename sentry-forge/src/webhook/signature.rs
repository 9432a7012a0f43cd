//! The proofs that a webhook comes from its forge. Nothing is compared in a time that tells how much of it fits.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use data_encoding::HEXLOWER_PERMISSIVE;
use hmac::{Hmac, Mac as _};
use http::HeaderMap;
use sentry_core::clock::Timestamp;
use sentry_core::secret::Secret;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::seen::Once;
use super::{Refused, header};

const GITHUB: &str = "x-hub-signature-256";
const TOKEN: &str = "x-gitlab-token";
const SIGNATURE: &str = "webhook-signature";
/// How far a signed time may be from ours, in seconds: what Standard Webhooks' own libraries allow.
/// <https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>
const WINDOW: i64 = 300;
/// No sender names more than a few signatures: two while a secret is rotated.
const SIGNATURES: usize = 8;

/// What is left to compare when the body has come.
#[derive(Debug)]
pub(super) enum Check {
    /// The secret itself was shown: the body proves nothing.
    Shown,
    /// A keyed hash over the body.
    Signed { mac: Box<Hmac<Sha256>>, wanted: Vec<Once>, header: &'static str, once: Option<Once> },
}

impl Check {
    /// `X-Hub-Signature-256: sha256=<hex>` over the body.
    /// <https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries>
    pub(super) fn github(headers: &HeaderMap, secret: &Secret) -> Result<Self, Refused> {
        let text = header(headers, GITHUB).ok_or(Refused::Unsigned("X-Hub-Signature-256"))?;
        let bytes = text
            .strip_prefix("sha256=")
            .and_then(|hex| HEXLOWER_PERMISSIVE.decode(hex.as_bytes()).ok());
        let wanted: Once = bytes
            .and_then(|bytes| bytes.try_into().ok())
            .ok_or(Refused::Wrong("X-Hub-Signature-256"))?;
        // The delivery's id is not signed: the signature stands for the delivery.
        let (mac, once) = (keyed(secret.expose().as_bytes()), Some(wanted));
        Ok(Self::Signed { mac, wanted: vec![wanted], header: "X-Hub-Signature-256", once })
    }

    /// GitLab's signed form (Standard Webhooks) where the secret is a signing token, else the token itself.
    /// <https://docs.gitlab.com/user/project/integrations/webhooks/>
    pub(super) fn gitlab(
        headers: &HeaderMap,
        secret: &Secret,
        now: Timestamp,
    ) -> Result<Self, Refused> {
        let Some(key) = secret.expose().strip_prefix("whsec_") else {
            let token = header(headers, TOKEN).ok_or(Refused::Unsigned("X-Gitlab-Token"))?;
            // Hashed first, so that not even the length shows.
            let (ours, theirs) = (Sha256::digest(secret.expose()), Sha256::digest(token));
            let same = bool::from(ours.ct_eq(&theirs));
            return if same { Ok(Self::Shown) } else { Err(Refused::Wrong("X-Gitlab-Token")) };
        };
        let signature = header(headers, SIGNATURE).ok_or(Refused::Unsigned(SIGNATURE))?;
        let id = header(headers, "webhook-id").ok_or(Refused::Unsigned("webhook-id"))?;
        let time =
            header(headers, "webhook-timestamp").ok_or(Refused::Unsigned("webhook-timestamp"))?;
        let signed: i64 = time.parse().map_err(|_| Refused::Unsigned("webhook-timestamp"))?;
        if signed.saturating_sub(now.as_second()).unsigned_abs() > WINDOW.unsigned_abs() {
            return Err(Refused::OutOfTime);
        }
        let wrong = || Refused::Wrong(SIGNATURE);
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
    pub(super) fn verify(self) -> Result<Option<Once>, Refused> {
        let Self::Signed { mac, wanted, header, once } = self else { return Ok(None) };
        let fits = |wanted: &Once| mac.clone().verify_slice(wanted).is_ok();
        if wanted.iter().any(fits) { Ok(once) } else { Err(Refused::Wrong(header)) }
    }
}

fn keyed(key: &[u8]) -> Box<Hmac<Sha256>> {
    Box::new(match Hmac::new_from_slice(key) {
        Ok(mac) => mac,
        Err(never) => unreachable!("HMAC takes keys of any length: {never}"),
    })
}
