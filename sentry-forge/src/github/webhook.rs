//! GitHub's webhooks: <https://docs.github.com/en/webhooks/webhook-events-and-payloads>

use crate::webhook::body::{Keys, Shape};
use crate::webhook::signature::Check;
use crate::webhook::{Sender, header};

const KEYS: Keys = Keys { repo: "repository", path: "full_name", moved: "ref" };

/// `X-Hub-Signature-256: sha256=<hex>` over the body:
/// <https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries>. `X-GitHub-Event` is not signed, so the
/// body must fit it.
pub const SENDER: Sender = Sender {
    begin: |headers, secret, _| {
        let check = Check::signed(headers, "X-Hub-Signature-256", "sha256=", secret)?;
        let shape = match header(headers, "x-github-event").unwrap_or_default() {
            "push" | "create" | "delete" => Shape::Push(KEYS),
            "ping" => Shape::Ping,
            other => Shape::other(other),
        };
        Ok((check, shape))
    },
};
