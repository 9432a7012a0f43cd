//! The JSON Schema of the file, for editors and checks in CI.

use schemars::generate::SchemaSettings;
use serde_json::{Value, json};

use crate::raw::{RawLong, RawShort};

/// The JSON Schema (draft 2020-12) of `sentry.yaml`: the short form or the long form.
#[must_use]
pub fn schema() -> Value {
    let mut generator = SchemaSettings::draft2020_12().into_generator();
    let short = generator.subschema_for::<RawShort>();
    let long = generator.subschema_for::<RawLong>();
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "sentry.yaml",
        "description": "The configuration of Sentry: the short form (one watch) or the long form.",
        "anyOf": [long, short],
        "$defs": generator.take_definitions(true),
    })
}
