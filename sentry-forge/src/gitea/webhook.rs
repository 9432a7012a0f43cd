//! The webhooks of Gitea and Forgejo: <https://docs.gitea.com/usage/webhooks>. Forgejo sends its own headers beside Gitea's:
//! <https://forgejo.org/docs/latest/user/webhooks/>

use crate::webhook::body::{Keys, Shape};
use crate::webhook::signature::Check;
use crate::webhook::{Sender, header};

const KEYS: Keys = Keys { repo: "repository", path: "full_name", moved: "ref" };

/// `X-Gitea-Signature: <hex>` over the body. `X-Gitea-Event` is not signed, so the body must fit it. A test of the forge's
/// page is a push.
pub const SENDER: Sender = Sender {
    begin: |headers, secret, _| {
        let check = Check::signed(headers, "X-Gitea-Signature", "", secret)?;
        let shape = match header(headers, "x-gitea-event").unwrap_or_default() {
            "push" | "create" | "delete" => Shape::Push(KEYS),
            other => Shape::other(other),
        };
        Ok((check, shape))
    },
};
