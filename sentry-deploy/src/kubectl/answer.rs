//! What kind of error a text of kubectl's is: whether it passes, may pass, or is definite. Pure; the texts are those of
//! kubectl 1.20 and 1.32.

use sentry_core::deployer::DeployErrorKind;

use super::stderr::is_invalid;
use crate::api::answer::{
    Answer, CERTIFICATE, KUBECONFIG, LOG_IN, NO_CLUSTER, NO_KIND, TAKE_OVER, is_denied,
};

/// The reason in `Error from server (Reason): …`; empty in `Error from server: …`, where the server gave none.
pub(super) fn server_reason(error: &str) -> Option<&str> {
    let rest = error.strip_prefix("Error from server")?;
    match rest.strip_prefix(" (") {
        Some(rest) => rest.split_once(')').map(|(reason, _)| reason),
        None => rest.starts_with(": ").then_some(""),
    }
}

/// What kind of error a text of kubectl's is, and what a person can do about it. What is not known is waited for.
///
/// The server's own reason decides where there is one: what follows it may quote a manifest. Reasons are those of
/// `StatusReason` (apimachinery, `pkg/apis/meta/v1/types.go`); where a balancer answered without any, kubectl makes one
/// of the status code (`NewGenericServerResponse`).
pub(super) fn classify(error: &str) -> (DeployErrorKind, Option<&'static str>) {
    if is_invalid(error) {
        return (DeployErrorKind::Refused, None);
    }
    match server_reason(error) {
        Some(reason) => classify_answer(reason, &plain(error)),
        None => classify_client(&plain(error)),
    }
}

/// An answer of the server's: its reason, and its message without the words that kubectl puts before it.
fn classify_answer(reason: &str, message: &str) -> (DeployErrorKind, Option<&'static str>) {
    let code = |code: &str| message.starts_with(&format!("{BARE_CODE}{code} "));
    let reason = match reason {
        "" if code("413") => "RequestEntityTooLarge",
        "" if code("403") => "Forbidden",
        reason => reason,
    };
    Answer {
        reason,
        message,
        // Another text is a balancer's page.
        is_own: reason != "InternalError" || message.starts_with("Internal error occurred: "),
        is_of_fields: message.starts_with(APPLY_CONFLICT),
        names_namespace: message.starts_with("namespaces \""),
    }
    .classify()
}

/// What kubectl says of a status code that it has no reason for.
const BARE_CODE: &str = "the server responded with the status code ";
/// What the server says of fields that another manager owns; kubectl prints it without the reason.
const APPLY_CONFLICT: &str = "Apply failed with ";

/// An error that kubectl reports without the server's reason, or its own error: its text without `error: `.
fn classify_client(error: &str) -> (DeployErrorKind, Option<&'static str>) {
    use DeployErrorKind::{
        Conflict, Local, Missing, Refused, Unauthorized, Unavailable, Unreachable,
    };
    const LOCAL: &[&str] = &[
        "context \"",
        "no context exists",
        "context was not found",
        "cluster \"",
        "auth info \"",
        "error loading config file",
        "Error loading config file",
        "invalid configuration",
        "no configuration has been provided",
        "stat ",
        "unable to read client-",
        "unable to read certificate-authority",
        "unknown flag",
        "unknown command",
    ];
    // What kubectl finds wrong with an object before it sends it. The rest of `error validating data` is that the
    // server could not be asked for what is right.
    const INVALID: &[&str] = &[
        "error validating data: ValidationError(",
        "error validating data: [ValidationError(",
        "unable to decode ",
        "error parsing ",
        "the namespace from the provided object ",
        "Server-side apply not available on the server",
    ];
    const NOT_SERVED: &[&str] = &[
        "no matches for kind \"",
        "the server doesn't have a resource type",
        "the server could not find the requested resource",
    ];
    let starts = |parts: &[&str]| parts.iter().any(|part| error.starts_with(part));
    let has = |parts: &[&str]| parts.iter().any(|part| error.contains(part));
    let login = error.strip_prefix("You must be logged in to the server (");
    if login.is_some_and(|message| is_denied(unquoted(message))) || starts(INVALID) {
        (Refused, None)
    } else if starts(&[APPLY_CONFLICT]) {
        (Conflict, Some(TAKE_OVER))
    } else if starts(&["Operation cannot be fulfilled on "]) {
        (Unavailable, None)
    } else if login.is_some()
        || has(&["the server has asked for the client to provide", "getting credentials: "])
    {
        (Unauthorized, Some(LOG_IN))
    } else if starts(LOCAL) {
        (Local, Some(KUBECONFIG))
    } else if has(&["server localhost:8080 was refused"]) {
        (Local, Some(NO_CLUSTER))
    } else if has(NOT_SERVED) {
        (Missing, Some(NO_KIND))
    } else if has(&["x509:", "tls: failed to verify"]) {
        (Unreachable, Some(CERTIFICATE))
    } else {
        (Unreachable, None)
    }
}

/// An error without the words that say nothing here, and without kubectl's advice for interactive users.
pub(super) fn plain(error: &str) -> String {
    let text = match server_reason(error) {
        Some(_) => error.split_once(": ").map_or(error, |(_, text)| text),
        None => ["error: ", "Error in configuration: "]
            .iter()
            .fold(error, |text, word| text.strip_prefix(word).unwrap_or(text)),
    };
    let text = text.split(" Please review the fields above").next().unwrap_or(text);
    unquoted(text).to_owned()
}

/// A message without the file's name that kubectl puts before it.
fn unquoted(text: &str) -> &str {
    let quoted = ["error when creating \"STDIN\": ", "error validating \"STDIN\": "];
    quoted.iter().fold(text, |text, words| text.strip_prefix(words).unwrap_or(text))
}

#[cfg(test)]
mod tests {
    use DeployErrorKind::{
        Conflict, Forbidden, Local, Missing, Refused, Unauthorized, Unavailable, Unreachable,
    };

    use super::*;
    use crate::api::answer::{GRANT, NAMESPACE};

    const TEXTS: &[(&str, DeployErrorKind)] = &[
        (
            "The connection to the server 127.0.0.1:1 was refused - did you specify the right host or port?",
            Unreachable,
        ),
        ("Unable to connect to the server: net/http: TLS handshake timeout", Unreachable),
        ("Unable to connect to the server: EOF", Unreachable),
        ("error validating data: proto:\u{a0}cannot parse invalid wire-format data", Unreachable),
        (
            "error validating data: Get \"http://h/openapi/v2\": malformed HTTP status code \"neither\"",
            Unreachable,
        ),
        (
            "E1 memcache.go:265] \"Unhandled Error\" err=\"couldn't get current server API group list: Get \
             \\\"http://h/apis\\\": net/http: HTTP/1.x transport connection broken: malformed MIME header\"",
            Unreachable,
        ),
        (
            "Unable to connect to the server: dial tcp 10.0.0.1:443: connect: no route to host",
            Unreachable,
        ),
        ("Error from server (ServiceUnavailable): the server is overloaded", Unavailable),
        ("Error from server (TooManyRequests): the server is overloaded", Unavailable),
        (
            "Error from server (InternalError): Internal error occurred: failed calling webhook \"w\": connection \
             refused",
            Unavailable,
        ),
        ("Error from server (Invalid): Task \"EOF\" is invalid: connection refused", Refused),
        (
            "Error from server (Forbidden): tasks.tekton.dev \"t\" is forbidden: User \"s\" cannot patch",
            Forbidden,
        ),
        ("Error from server (Forbidden): pods \"p\" is forbidden: exceeded quota: q", Forbidden),
        ("error: You must be logged in to the server (Unauthorized)", Unauthorized),
        ("error: context \"x\" does not exist", Local),
        ("error: stat /x: no such file or directory", Local),
        (
            "Unable to connect to the server: x509: certificate signed by unknown authority",
            Unreachable,
        ),
        (
            "error: resource mapping not found for name: \"x\": no matches for kind \"K\" in version \"V\"",
            Missing,
        ),
        ("error: Apply failed with 1 conflict: conflict with \"m\": .spec", Conflict),
        (
            "error: Operation cannot be fulfilled on tasks.tekton.dev \"t\": the object has been modified",
            Unavailable,
        ),
        (
            "Error from server: error when creating \"STDIN\": admission webhook \"w\" denied the request: no",
            Refused,
        ),
        (
            "Error from server (Forbidden): admission webhook \"w\" denied the request: exceeded quota",
            Refused,
        ),
        (
            "Error from server (InternalError): an error on the server (\"<html>\") has prevented the request",
            Unreachable,
        ),
        ("something that nobody has seen before", Unreachable),
    ];

    /// Answers of a server: its reason, its message, the kind, and the remedy where there is one.
    const ANSWERS: &[(&str, &str, DeployErrorKind, Option<&str>)] = &[
        ("BadRequest", "no", Refused, None),
        ("RequestEntityTooLarge", "no", Refused, None),
        ("Unauthorized", "no", Unauthorized, Some(LOG_IN)),
        ("Forbidden", "tasks \"t\" is forbidden: User \"s\" cannot patch", Forbidden, Some(GRANT)),
        ("Forbidden", "pods \"p\" is forbidden: exceeded quota: q", Forbidden, None),
        ("NotFound", "namespaces \"qa\" not found", Missing, Some(NAMESPACE)),
        ("NotFound", "tasks \"t\" not found", Missing, None),
        ("Conflict", "Apply failed with 1 conflict: x", Conflict, Some(TAKE_OVER)),
        ("Conflict", "the object has been modified", Unavailable, None),
        ("Timeout", "no", Unreachable, None),
        // A webhook that denies with a reason that is a server's trouble.
        ("Timeout", "admission webhook \"w\" denied the request: no", Unreachable, None),
        ("InternalError", "admission webhook \"w\" denied the request: no", Unavailable, None),
        ("NotFound", "admission webhook \"w\" denied the request: no", Refused, None),
        ("", "the server responded with the status code 413 but did not", Refused, None),
        ("", "the server responded with the status code 403 but did not", Forbidden, None),
        ("", "the server responded with the status code 502 but did not", Unreachable, None),
    ];

    #[test]
    fn an_answer_has_its_kind_and_remedy_by_its_reason_and_its_first_words() {
        for (reason, message, kind, hint) in ANSWERS {
            let reason = if reason.is_empty() { String::new() } else { format!(" ({reason})") };
            let text = format!("Error from server{reason}: {message}");
            assert_eq!(classify(&text), (*kind, *hint), "{text}");
        }
    }

    #[test]
    fn what_kubectl_says_of_its_own_has_its_kind_and_remedy() {
        let denied = "error: You must be logged in to the server (error when creating \"STDIN\": admission webhook \"w\" denied the request: no)";
        for (text, kind, hint) in [
            (denied, Refused, None),
            ("error: You must be logged in to the server (no)", Unauthorized, Some(LOG_IN)),
            (
                "error: the server has asked for the client to provide credentials",
                Unauthorized,
                Some(LOG_IN),
            ),
            (
                "error: error validating \"STDIN\": error validating data: ValidationError(Task): no",
                Refused,
                None,
            ),
            ("error: Apply failed with 1 conflict: x", Conflict, Some(TAKE_OVER)),
            ("error: context \"x\" does not exist", Local, Some(KUBECONFIG)),
            (
                "The connection to the server localhost:8080 was refused - did you specify the right host or port?",
                Local,
                Some(NO_CLUSTER),
            ),
            ("error: no matches for kind \"K\" in version \"V\"", Missing, Some(NO_KIND)),
            ("Unable to connect to the server: x509: unknown", Unreachable, Some(CERTIFICATE)),
            ("Unable to connect to the server: EOF", Unreachable, None),
        ] {
            assert_eq!(classify(text), (kind, hint), "{text}");
        }
    }

    #[test]
    fn each_text_has_its_kind() {
        for (text, kind) in TEXTS {
            assert_eq!(classify(text).0, *kind, "{text}");
        }
    }
}
