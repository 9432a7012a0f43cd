//! `/openapi/v2`, as far as kubectl reads it: the fields of each kind, and what the requests that patch it take. kubectl checks
//! a `List`, as Sentry sends it, by it before it asks the server; old versions, such as Debian's 1.20, also look up there
//! whether a dry run is possible.

use serde_json::{Map, Value, json};

use super::kinds::{KINDS, Kind};

/// The document as kubectl asks for it: a protobuf `openapi.v2.Document`
/// (<https://github.com/google/gnostic/blob/main/openapiv2/OpenAPIv2.proto>), in which what comes several times is merged.
pub(super) fn document() -> Vec<u8> {
    let describe = |kind: &Kind| {
        let patch = within(&[number::PATHS, 2, 2, number::PATCH], &patch(kind));
        [within(&[number::DEFINITIONS], &definition(kind)), patch].concat()
    };
    KINDS.iter().filter(|kind| kind.stored).flat_map(describe).collect()
}

/// `/openapi/v3/apis/GROUP/VERSION`: the fields of each kind of that version, in JSON. kubectl itself must not see that there
/// is a third version, so its index is left out.
pub(super) fn third(path: &str) -> Option<Value> {
    let version = path.strip_prefix("/openapi/v3/")?;
    let version = version.strip_prefix("apis/").or(version.strip_prefix("api/"))?;
    let kinds: Vec<_> = KINDS.iter().filter(|kind| kind.api_version() == version).collect();
    let schema = |kind: &&Kind| {
        let fields = kind.spec.iter().map(|field| ((*field).to_owned(), json!({})));
        let spec = json!({"type": "object", "properties": Map::from_iter(fields)});
        let identity = json!([{"group": kind.group, "version": kind.version, "kind": kind.kind}]);
        let schema = json!({
            "type": "object", "x-kubernetes-group-version-kind": identity, "properties": {"spec": spec},
        });
        (kind.kind.to_owned(), schema)
    };
    let schemas: Map<String, Value> = kinds.iter().map(schema).collect();
    (!schemas.is_empty()).then(|| json!({"openapi": "3.0.0", "components": {"schemas": schemas}}))
}

/// Fields of the document's messages.
mod number {
    pub(super) const PATHS: u8 = 8;
    pub(super) const DEFINITIONS: u8 = 9;
    /// Of `PathItem`.
    pub(super) const PATCH: u8 = 8;
    /// Of `Operation`.
    pub(super) const PARAMETERS: u8 = 8;
    pub(super) const OPERATION_EXTENSION: u8 = 13;
    /// Of `Schema`.
    pub(super) const PROPERTIES: u8 = 25;
    pub(super) const SCHEMA_EXTENSION: u8 = 31;
}

/// An `Operation` that takes a dry run and strict validation.
fn patch(kind: &Kind) -> Vec<u8> {
    // parameter, non_body_parameter, query_parameter_sub_schema, name
    let parameter = |name: &str| within(&[number::PARAMETERS, 1, 2, 3, 4], name.as_bytes());
    let extension = within(&[number::OPERATION_EXTENSION], &named(&identity(kind)));
    ["dryRun", "fieldValidation"].iter().flat_map(|name| parameter(name)).chain(extension).collect()
}

/// The kind's name with its `Schema`: the fields that it may have, of any type.
fn definition(kind: &Kind) -> Vec<u8> {
    let spec = properties(kind.spec.iter().map(|field| (*field, Vec::new())));
    let own = kind.top_level().iter().map(|field| match *field {
        "spec" if !kind.spec.is_empty() => ("spec", spec.clone()),
        field => (field, Vec::new()),
    });
    let common = ["apiVersion", "kind", "metadata"].map(|field| (field, Vec::new()));
    let mut schema = properties(common.into_iter().chain(own));
    schema.extend(within(&[number::SCHEMA_EXTENSION], &named(&format!("[{}]", identity(kind)))));
    pair(&format!("{}.{}", kind.api_version(), kind.kind), &schema)
}

fn properties(fields: impl Iterator<Item = (&'static str, Vec<u8>)>) -> Vec<u8> {
    let property =
        |(name, schema): (&str, Vec<u8>)| within(&[number::PROPERTIES], &pair(name, &schema));
    fields.flat_map(property).collect()
}

/// The first element of a map, which has such pairs.
fn pair(name: &str, value: &[u8]) -> Vec<u8> {
    within(&[1], &[within(&[1], name.as_bytes()), within(&[2], value)].concat())
}

fn identity(Kind { group, version, kind, .. }: &Kind) -> String {
    format!("{{group: '{group}', version: '{version}', kind: '{kind}'}}")
}

/// The extension that tells which kind something is of, in YAML.
fn named(yaml: &str) -> Vec<u8> {
    let name = within(&[1], b"x-kubernetes-group-version-kind");
    [name, within(&[2, 2], yaml.as_bytes())].concat()
}

/// The content of a field in a field, and so on, by their numbers from the outside
/// (<https://protobuf.dev/programming-guides/encoding/>).
fn within(fields: &[u8], content: &[u8]) -> Vec<u8> {
    const LENGTH_DELIMITED: usize = 2;
    let Some((outer, inner)) = fields.split_first() else { return content.to_vec() };
    let content = within(inner, content);
    let key = varint(usize::from(*outer) << 3 | LENGTH_DELIMITED);
    [key, varint(content.len()), content].concat()
}

fn varint(mut number: usize) -> Vec<u8> {
    let mut encoded = Vec::new();
    while number > 0x7f {
        encoded.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    encoded.push(number as u8);
    encoded
}
