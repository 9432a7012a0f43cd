//! What a server's answer means: its status code, and the `Status` object that a Kubernetes API gives with each error.
//! Pure. Fields and reasons are those of `metav1.Status` (apimachinery, `pkg/apis/meta/v1/types.go`).

use bytes::Bytes;
use sentry_core::deployer::DeployErrorKind;
use serde_json::Value;

use crate::api::answer::Answer;

/// An answer, whatever it says. It may hold secrets: it is not to be shown.
#[derive(Clone)]
pub(super) struct Reply {
    pub(super) code: u16,
    pub(super) body: Bytes,
}

/// An answer that is no success.
#[derive(Debug)]
pub(super) struct Refusal {
    code: u16,
    /// The `Status`; `null` where something in between answered.
    status: Value,
}

impl Reply {
    /// The JSON of a success.
    ///
    /// # Errors
    /// The refusal. One of code 200 is an answer that no API server gives.
    pub(super) fn json(&self) -> Result<Value, Refusal> {
        let body: Value = serde_json::from_slice(&self.body).unwrap_or_default();
        if (200..300).contains(&self.code) && body.is_object() {
            return Ok(body);
        }
        Err(Refusal::new(self.code, body))
    }

    /// The text of a success.
    ///
    /// # Errors
    /// The refusal.
    pub(super) fn text(&self) -> Result<String, Refusal> {
        if self.code == 200 {
            return Ok(String::from_utf8_lossy(&self.body).into_owned());
        }
        Err(Refusal::new(self.code, serde_json::from_slice(&self.body).unwrap_or_default()))
    }
}

impl Refusal {
    pub(super) fn new(code: u16, body: Value) -> Self {
        let is_status = body["kind"] == "Status" && !(200..300).contains(&code);
        Self { code, status: if is_status { body } else { Value::Null } }
    }

    /// What kind of error it is, and what a person can do.
    pub(super) fn classify(&self) -> (DeployErrorKind, Option<&'static str>) {
        let mut causes = self.causes();
        let message = self.word("message");
        Answer {
            reason: self.reason(),
            message,
            is_own: !self.word("reason").is_empty(),
            is_of_fields: causes.any(|cause| cause["reason"] == CONFLICT),
            names_namespace: self.status["details"]["kind"] == "namespaces",
        }
        .classify()
    }

    /// What it says, for people.
    pub(super) fn message(&self) -> String {
        match (self.code, self.word("message")) {
            (200..300, _) => "its answer is none of a Kubernetes API".to_owned(),
            (code, "") => {
                let known = http::StatusCode::from_u16(code).ok();
                let known = known.and_then(|code| code.canonical_reason()).unwrap_or_default();
                format!("it answered {code} {known}").trim_end().to_owned()
            }
            (_, message) => message.to_owned(),
        }
    }

    /// True if a name is taken.
    pub(super) fn is_taken(&self) -> bool {
        self.code == 409 && self.word("reason") == "AlreadyExists"
    }

    /// True if what was asked for is not there.
    pub(super) fn is_absent(&self) -> bool {
        self.code == 404
    }

    /// True if the API server itself says that the object of the request is not there.
    pub(super) fn is_gone(&self) -> bool {
        self.code == 404 && !self.status["details"]["name"].is_null()
    }

    /// True if the object is not in the version that was sent. Fields that others hold are another matter.
    pub(super) fn is_outdated(&self) -> bool {
        self.reason() == "Conflict" && self.causes().all(|cause| cause["reason"] != CONFLICT)
    }

    /// True if a version or a page is too old.
    pub(super) fn is_old(&self) -> bool {
        self.code == 410
    }

    /// True if no API server judged the object: nobody did, or whoever did looked at our credentials alone.
    pub(super) fn is_general(&self) -> bool {
        let (kind, _) = self.classify();
        let is_judged = kind.is_answer() || !self.word("reason").is_empty();
        kind == DeployErrorKind::Unauthorized || !is_judged
    }

    /// True if fields are in the way that nobody but these managers holds.
    pub(super) fn is_held_by_none_but(&self, managers: &[&str]) -> bool {
        let mut held = self.causes().filter(|cause| cause["reason"] == CONFLICT).peekable();
        let is_known = |cause: &Value| {
            manager(cause["message"].as_str().unwrap_or_default())
                .is_some_and(|name| managers.contains(&name))
        };
        self.code == 409 && held.peek().is_some() && held.all(is_known)
    }

    fn causes(&self) -> impl Iterator<Item = &Value> {
        self.status["details"]["causes"].as_array().into_iter().flatten()
    }

    fn word(&self, field: &str) -> &str {
        self.status[field].as_str().unwrap_or_default()
    }

    /// The reason that decides. The code comes first: a webhook gives its denial whatever reason it likes.
    fn reason(&self) -> &str {
        let said = self.word("reason");
        match self.code {
            400 => "BadRequest",
            401 => "Unauthorized",
            403 => "Forbidden",
            404 => "NotFound",
            408 => "Timeout",
            409 if said == "AlreadyExists" => said,
            409 => "Conflict",
            413 => "RequestEntityTooLarge",
            415 => "UnsupportedMediaType",
            422 => "Invalid",
            429 => "TooManyRequests",
            500 => "InternalError",
            503 => "ServiceUnavailable",
            501.. => "ServerTimeout",
            _ => said,
        }
    }
}

/// The reason of a cause about a field that another manager owns.
const CONFLICT: &str = "FieldManagerConflict";

/// The manager that a cause names: `conflict with "NAME"`, then more of it (apimachinery,
/// `pkg/util/managedfields/internal/conflict.go`). No name holds a quote that is not escaped.
fn manager(message: &str) -> Option<&str> {
    let (name, _) = message.strip_prefix("conflict with \"")?.split_once('"')?;
    (!name.ends_with('\\')).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use DeployErrorKind::{
        Conflict, Forbidden, Missing, Refused, Unauthorized, Unavailable, Unreachable,
    };
    use serde_json::json;

    fn refusal(code: u16, reason: &str, message: &str) -> Refusal {
        Refusal::new(
            code,
            json!({"kind": "Status", "status": "Failure", "code": code, "reason": reason,
                "message": message}),
        )
    }

    #[test]
    fn the_code_decides_then_the_reason_and_never_what_the_message_quotes() {
        let denied = "admission webhook \"w\" denied the request: no";
        let quoting = "spec.x: Invalid value: \"connection refused, EOF, try again later\"";
        for (code, reason, message, kind) in [
            (400, "BadRequest", quoting, Refused),
            (422, "Invalid", quoting, Refused),
            (422, "InternalError", denied, Refused),
            (413, "", "", Refused),
            (415, "", "", Refused),
            (401, "Unauthorized", "no", Unauthorized),
            (401, "", denied, Refused),
            (403, "Forbidden", "exceeded quota: Timeout", Forbidden),
            (403, "", denied, Refused),
            (403, "Timeout", denied, Refused),
            (404, "NotFound", "tasks \"t\" not found", Missing),
            (408, "", "", Unreachable),
            (409, "Conflict", "the object has been modified", Unavailable),
            (409, "AlreadyExists", "x", Unreachable),
            (429, "BadRequest", denied, Unavailable),
            (500, "InternalError", "failed calling webhook", Unavailable),
            (500, "InternalError", denied, Unavailable),
            (500, "", "etcdserver: request timed out", Unreachable),
            (502, "", denied, Unreachable),
            (503, "ServiceUnavailable", "no", Unavailable),
            (503, "Invalid", denied, Unavailable),
            (504, "Timeout", "no", Unreachable),
            (418, "", "", Unreachable),
            (301, "", "", Unreachable),
        ] {
            let refusal = refusal(code, reason, message);
            assert_eq!(refusal.classify().0, kind, "{code} {reason} {message}");
        }
    }

    #[test]
    fn a_page_of_something_in_between_counts_by_its_code_and_is_not_shown() {
        for (code, kind, general) in [
            (200, Unreachable, true),
            (302, Unreachable, true),
            (400, Refused, false),
            (403, Forbidden, false),
            (404, Missing, false),
            (500, Unreachable, true),
            (502, Unreachable, true),
            (503, Unavailable, false),
        ] {
            let body = Bytes::from_static(b"<html>error: s3cr3t</html>");
            let refusal = Reply { code, body }.json().unwrap_err();
            assert_eq!(refusal.classify().0, kind, "{code}");
            assert_eq!(refusal.is_general(), general, "{code}");
            assert!(!refusal.message().contains("s3cr3t"), "{code}");
        }
    }

    #[test]
    fn only_what_kubectl_left_is_held_by_none_but_it() {
        let with = |managers: &[&str]| {
            let cause = |name: &&str| {
                json!({"reason": CONFLICT, "field": ".data.a",
                    "message": format!("conflict with {name:?} using v1 at 2026-01-02T03:04:05Z")})
            };
            let causes: Vec<_> = managers.iter().map(cause).collect();
            let mut refusal = refusal(409, "Conflict", "Apply failed with 1 conflict");
            refusal.status["details"] = json!({"causes": causes});
            refusal
        };
        const LEFT: &[&str] = &["kubectl-create", "kubectl-client-side-apply"];
        for (managers, left) in [
            (&["kubectl-create"][..], true),
            (&["kubectl-create", "kubectl-client-side-apply"], true),
            (&["kubectl-create", "helm"], false),
            (&["kubectl-create\" x"], false),
            (&[], false),
        ] {
            let refusal = with(managers);
            assert_eq!(refusal.is_held_by_none_but(LEFT), left, "{managers:?}");
            let kind = if managers.is_empty() { Unavailable } else { Conflict };
            assert_eq!(refusal.classify().0, kind, "{managers:?}");
        }
    }

    #[test]
    fn a_namespace_that_is_missing_is_told_from_an_object_that_is() {
        let mut refusal = refusal(404, "NotFound", "namespaces \"qa\" not found");
        assert!(refusal.classify().1.is_none() && !refusal.is_gone());
        refusal.status["details"] = json!({"kind": "namespaces", "name": "qa"});
        assert!(refusal.classify().1.is_some() && refusal.is_gone());
    }
}
