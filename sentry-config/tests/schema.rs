//! The JSON Schema says the same as the reader.

use serde_json::{Value, json};

const SHORT: &str = include_str!("../../docs/config/short.yaml");
const SAMPLE: &str = include_str!("../../sentry.yaml");

/// The part of JSON Schema that this schema uses, patterns and lengths left out.
fn fits(root: &Value, schema: &Value, value: &Value) -> bool {
    let Some(rules) = schema.as_object() else { return schema == &json!(true) };
    rules.iter().all(|(rule, wanted)| match rule.as_str() {
        "$ref" => {
            let path = wanted.as_str().expect("a schema's own shape").trim_start_matches('#');
            fits(root, root.pointer(path).unwrap_or_else(|| panic!("{path}")), value)
        }
        "anyOf" | "oneOf" => wanted
            .as_array()
            .expect("a schema's own shape")
            .iter()
            .any(|one| fits(root, one, value)),
        "type" => match wanted {
            Value::Array(types) => types.iter().any(|one| is_type(one, value)),
            one => is_type(one, value),
        },
        "const" => wanted == value,
        "enum" => wanted.as_array().expect("a schema's own shape").contains(value),
        "minimum" => value
            .as_f64()
            .is_none_or(|number| number >= wanted.as_f64().expect("a schema's own shape")),
        "items" => value.as_array().is_none_or(|all| all.iter().all(|one| fits(root, wanted, one))),
        "additionalProperties" => value.as_object().is_none_or(|map| {
            let known = rules.get("properties").and_then(Value::as_object);
            map.iter()
                .filter(|(key, _)| known.is_none_or(|k| !k.contains_key(*key)))
                .all(|(_, one)| fits(root, wanted, one))
        }),
        "properties" => value.as_object().is_none_or(|map| {
            map.iter().all(|(key, one)| wanted.get(key).is_none_or(|s| fits(root, s, one)))
        }),
        _ => true,
    })
}

fn is_type(name: &Value, value: &Value) -> bool {
    match name.as_str().expect("a schema's own shape") {
        "null" => value.is_null(),
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "boolean" => value.is_boolean(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("{other}"),
    }
}

fn file_fits(text: &str) -> bool {
    let value: Value = serde_saphyr::from_str(text).expect("YAML");
    let schema = sentry_config::schema();
    fits(&schema, &schema, &value)
}

#[test]
fn the_samples_fit_the_schema() {
    assert!(file_fits(SHORT));
    assert!(file_fits(SAMPLE));
}

#[test]
fn what_the_reader_refuses_by_its_shape_the_schema_refuses_as_well() {
    for (line, by) in [
        ("log_level: info", "log_levl: info"),
        ("log_level: info", "log_level: loud"),
        ("max_retries: 3", "max_retries: three"),
        ("type: github", "type: svn"),
        ("allow_kinds: tekton", "allow_kinds: everything"),
        ("dir: .tekton", "dir: [.tekton]"),
        ("allow_kinds: tekton", "namespace_policy: anywhere"),
        ("allow_kinds: tekton", "inline: maybe"),
        ("allow_kinds: tekton", "unannotated: never"),
        ("allow_kinds: tekton", "unknown_fields: keep"),
        ("allow_kinds: tekton", "git_auth_secret: {per_run: false}"),
        ("allow_kinds: tekton", "remote_tasks: always"),
        ("allow_kinds: tekton", "report_detail: all"),
        ("max_active_runs: 20", "max_active_runs: many"),
        ("report: per_watch", "report: per_task"),
        ("allow_kinds: tekton", "report_links: x"),
        ("team: qa", "team: 1"),
        ("allow_kinds: tekton", "notify: [{type: pager}]"),
        ("log_level: info", "notify: [chat]"),
        ("log_level: info", "state: {postgres: 'postgres://ada@db/ci'}"),
        ("log_level: info", "state: {postgres: {password: x}}"),
    ] {
        assert!(SAMPLE.contains(line), "{line}");
        assert!(!file_fits(&SAMPLE.replacen(line, by, 1)), "{by}");
    }
    let lent = SAMPLE.replacen("allow_kinds: tekton", "git_auth_secret: {per_run: true}", 1);
    assert!(file_fits(&lent));
    let told = SAMPLE.replacen("allow_kinds: tekton", "notify: [chat, {name: x, type: slack}]", 1);
    assert!(file_fits(&told));
    assert!(!file_fits(&SHORT.replace("tekton_dir", "tekton_directory")));
}

#[test]
fn every_key_of_the_schema_is_in_the_reference_and_has_a_description() {
    let reference = include_str!("../../docs/config.md");
    let schema = sentry_config::schema();
    for (name, definition) in schema["$defs"].as_object().unwrap() {
        for (key, property) in definition["properties"].as_object().unwrap() {
            assert!(property["description"].is_string(), "{name}.{key}");
            assert!(
                reference.contains(&format!("`{key}`")),
                "{name}.{key} is not in docs/config.md"
            );
        }
    }
}
