//! GitLab's webhooks, of projects, groups and the whole instance:
//! <https://docs.gitlab.com/user/project/integrations/webhooks/>

use crate::webhook::body::{Keys, Shape};
use crate::webhook::signature::Check;
use crate::webhook::{Sender, header};

const KEYS: Keys = Keys { repo: "project", path: "path_with_namespace", moved: "ref" };

/// What system hooks report about branches and tags.
const SYSTEM: &[(&str, Keys)] =
    &[("push", KEYS), ("tag_push", KEYS), ("repository_update", Keys { moved: "refs", ..KEYS })];

/// A secret `whsec_…` is a signing token: then every request must be signed. Any other one is the "secret token", which is
/// sent as it is. New and deleted branches and tags are reported as pushes; more than three tags of one push are not
/// reported.
pub const SENDER: Sender = Sender {
    begin: |headers, secret, now| {
        let check = match secret.expose().strip_prefix("whsec_") {
            Some(key) => Check::standard(headers, key, now)?,
            None => Check::shown(headers, "X-Gitlab-Token", secret)?,
        };
        let shape = match header(headers, "x-gitlab-event").unwrap_or_default() {
            "Push Hook" | "Tag Push Hook" => Shape::Push(KEYS),
            "System Hook" => Shape::Named(SYSTEM),
            other => Shape::other(other),
        };
        Ok((check, shape))
    },
};
