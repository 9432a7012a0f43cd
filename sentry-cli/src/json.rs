//! The JSON of the commands that ask nobody's state, exactly as documented; all other is in `sentry_api`.

use serde::Serialize;

pub(crate) use sentry_api::VERSION;

/// `diff -o json`.
#[derive(Debug, Serialize)]
pub(crate) struct Diff {
    pub(crate) version: u32,
    pub(crate) objects: Vec<ObjectDiffJson>,
}

#[derive(Debug, Serialize)]
pub(crate) struct ObjectDiffJson {
    pub(crate) path: String,
    pub(crate) document: usize,
    pub(crate) kind: String,
    pub(crate) name: String,
    pub(crate) action: &'static str,
    pub(crate) diff: Option<String>,
}

/// `vendor -o json`.
#[derive(Debug, Serialize)]
pub(crate) struct Vendored {
    pub(crate) version: u32,
    pub(crate) documents: Vec<VendoredDocument>,
}

#[derive(Debug, Serialize)]
pub(crate) struct VendoredDocument {
    pub(crate) kind: String,
    pub(crate) name: String,
    pub(crate) url: String,
    pub(crate) version: Option<String>,
    pub(crate) sha256: String,
    pub(crate) file: String,
}

/// `validate -o json`.
#[derive(Debug, Serialize)]
pub(crate) struct Validation {
    pub(crate) version: u32,
    pub(crate) valid: bool,
    pub(crate) problems: Vec<ProblemJson>,
    pub(crate) warnings: Vec<ProblemJson>,
    pub(crate) checks: Vec<CheckJson>,
}

#[derive(Debug, Serialize)]
pub(crate) struct ProblemJson {
    pub(crate) file: String,
    pub(crate) path: String,
    pub(crate) line: Option<usize>,
    pub(crate) column: Option<usize>,
    pub(crate) message: String,
    pub(crate) remedy: Option<String>,
}

#[derive(Debug, Serialize)]
pub(crate) struct CheckJson {
    pub(crate) check: String,
    pub(crate) subject: String,
    pub(crate) result: &'static str,
    pub(crate) detail: String,
    pub(crate) remedy: Option<String>,
}

/// `notify --test -o json`.
#[derive(Debug, Serialize)]
pub(crate) struct Notified {
    pub(crate) version: u32,
    pub(crate) receivers: Vec<NotifiedReceiver>,
}

#[derive(Debug, Serialize)]
pub(crate) struct NotifiedReceiver {
    pub(crate) receiver: String,
    #[serde(rename = "type")]
    pub(crate) kind: &'static str,
    pub(crate) route: &'static str,
    pub(crate) result: &'static str,
    pub(crate) error: Option<String>,
    pub(crate) hint: Option<String>,
}
