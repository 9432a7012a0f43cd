//! What of Sentry's own a document names, as it is called where Sentry was installed by its Kubernetes base: a run that has
//! it has Sentry's tokens.

use serde_json::Value;

/// Keys whose value names something, what it names, and how that is called in deploy/kubernetes.
const NAMES: [(&str, &str, &str); 4] = [
    ("serviceAccountName", "the account", "sentry"),
    ("serviceAccount", "the account", "sentry"),
    ("secretName", "the Secret", "sentry-tokens"),
    ("claimName", "the claim", "sentry-state"),
];
/// Keys of objects with a `name`, of Secrets: variables of a container, all of them at once, a projected volume, what is pulled
/// with.
const SECRETS: [&str; 4] = ["secretKeyRef", "secretRef", "secret", "imagePullSecrets"];

/// A note for each thing of Sentry's own that is named somewhere in an object.
pub(super) fn named(object: &Value) -> Vec<String> {
    let mut found = Vec::new();
    let mut left = vec![("", object)];
    while let Some((parent, value)) = left.pop() {
        match value {
            Value::Object(map) => {
                found.extend(map.iter().filter_map(|(key, value)| known(parent, key, value, map)));
                left.extend(map.iter().map(|(key, value)| (key.as_str(), value)));
            }
            Value::Array(items) => left.extend(items.iter().map(|item| (parent, item))),
            _ => {}
        }
    }
    found.sort();
    found.dedup();
    found
        .into_iter()
        .map(|(what, name)| {
            format!(
                "{what} `{name}` is used, which is Sentry's own if it was installed from its \
                 Kubernetes base: anyone who has it has Sentry's tokens. Use another one for runs, \
                 and give Sentry its own namespace"
            )
        })
        .collect()
}

fn known(
    parent: &str,
    key: &str,
    value: &Value,
    map: &serde_json::Map<String, Value>,
) -> Option<(&'static str, &'static str)> {
    let name = value.as_str()?;
    let is_account = map.get("kind").and_then(Value::as_str) == Some("ServiceAccount");
    let direct = NAMES.iter().find(|(known, _, own)| *known == key && *own == name);
    let direct = direct.map(|(_, what, own)| (*what, *own));
    let (account, secret) = ((NAMES[0].1, NAMES[0].2), (NAMES[2].1, NAMES[2].2));
    direct
        .or_else(|| {
            (key == "name" && SECRETS.contains(&parent) && name == secret.1).then_some(secret)
        })
        .or_else(|| (key == "name" && is_account && name == account.1).then_some(account))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_names_the_account_the_secret_or_the_claim_of_sentry_is_noted_wherever_it_stands() {
        let secret = json!({"name": "sentry-tokens", "key": "GITHUB_TOKEN"});
        for (value, what) in [
            (json!({"taskRunTemplate": {"serviceAccountName": "sentry"}}), "account"),
            (json!({"taskRunSpecs": [{"serviceAccountName": "sentry"}]}), "account"),
            (json!({"serviceAccount": "sentry"}), "account"),
            (json!({"subjects": [{"kind": "ServiceAccount", "name": "sentry"}]}), "account"),
            (
                json!({"workspaces": [{"name": "w", "secret": {"secretName": "sentry-tokens"}}]}),
                "Secret",
            ),
            (json!({"volumes": [{"projected": {"sources": [{"secret": secret}]}}]}), "Secret"),
            (json!({"env": [{"name": "T", "valueFrom": {"secretKeyRef": secret}}]}), "Secret"),
            (json!({"envFrom": [{"secretRef": {"name": "sentry-tokens"}}]}), "Secret"),
            (json!({"imagePullSecrets": [{"name": "sentry-tokens"}]}), "Secret"),
            (json!({"persistentVolumeClaim": {"claimName": "sentry-state"}}), "claim"),
        ] {
            let notes = named(&json!({"spec": [value.clone()]}));
            assert_eq!(notes.len(), 1, "{value}");
            assert!(notes[0].contains(&format!("the {what} `sentry")), "{value}: {notes:?}");
        }
    }

    #[test]
    fn the_names_are_those_of_the_shipped_base() {
        let base = include_str!("../../../deploy/kubernetes/base/deployment.yaml");
        for written in [
            "serviceAccountName: sentry\n",
            "secretName: sentry-tokens,",
            "claimName: sentry-state}",
        ] {
            assert!(base.contains(written), "{written}");
        }
    }

    #[test]
    fn others_are_not() {
        for value in [
            json!({"serviceAccountName": "sentry-runs", "secretName": "tokens", "claimName": "state"}),
            json!({"metadata": {"name": "sentry"}, "params": [{"name": "sentry-tokens"}]}),
            json!({"env": [{"name": "sentry-tokens", "value": "sentry"}]}),
            json!({"configMapKeyRef": {"name": "sentry-tokens"}}),
        ] {
            assert_eq!(named(&value), Vec::<String>::new(), "{value}");
        }
    }
}
