//! Where kubeconfigs are, the credentials in them, so that these can be taken out of every text (a server, a proxy or a plugin
//! may repeat it), and the current context.
//!
//! The keys are those of <https://kubernetes.io/docs/reference/config-api/kubeconfig.v1/>.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use sentry_core::secret::{Redactor, Secret};
use serde_json::Value;

/// Where a pod finds its own account.
pub(crate) const POD_ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
/// Its token.
pub(crate) const POD_TOKEN: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";
/// Larger files are no kubeconfigs and no tokens, in bytes.
pub(crate) const LARGEST: u64 = 4 << 20;
/// Keys of a user that are secrets. What `exec` is given is left alone: most of it is no secret, and any word of it may
/// stand in every text.
const SECRETS: &[&str] = &["token", "password", "client-key-data"];
/// The same of an `auth-provider`'s `config`.
const PROVIDERS_SECRETS: &[&str] = &["access-token", "id-token", "refresh-token", "client-secret"];

/// Makes the redactor know the credentials as they are now. What can't be read is for whoever uses it to complain about.
pub(crate) fn learn(named: Option<&Path>, redactor: &Redactor) {
    for path in files(named, |name| std::env::var_os(name)) {
        let Some(text) = read(&path) else { continue };
        let config: Value = serde_saphyr::from_str(&text).unwrap_or_default();
        for user in config["users"].as_array().into_iter().flatten().map(|user| &user["user"]) {
            let provider = &user["auth-provider"]["config"];
            let values = SECRETS.iter().map(|key| &user[*key]);
            let values = values.chain(PROVIDERS_SECRETS.iter().map(|key| &provider[*key]));
            values.filter_map(Value::as_str).for_each(|text| know(redactor, text));
            if let Some(file) = user["tokenFile"].as_str() {
                let beside = path.parent().unwrap_or(Path::new("")).join(file);
                read(&beside).into_iter().for_each(|text| know(redactor, &text));
            }
        }
    }
    if std::env::var_os("KUBERNETES_SERVICE_HOST").is_some() {
        read(Path::new(POD_TOKEN)).into_iter().for_each(|text| know(redactor, &text));
    }
}

/// The context that kubectl uses where none is named: that of the first kubeconfig that has one. `variable` looks into the
/// environment, for `KUBECONFIG` and `HOME`. What can't be read has none.
pub fn current_context(variable: impl Fn(&str) -> Option<OsString>) -> Option<String> {
    files(None, variable).iter().find_map(|path| {
        let config: Value = serde_saphyr::from_str(&read(path)?).ok()?;
        config["current-context"].as_str().filter(|name| !name.is_empty()).map(str::to_owned)
    })
}

/// True for a variable with a secret of ours, or one that configures Sentry. All others a credential plugin of a kubeconfig
/// has as from a shell: it is set up by them (`AWS_PROFILE`, `GOOGLE_APPLICATION_CREDENTIALS`).
pub(crate) fn is_ours(redact: &impl Fn(&str) -> String, name: &OsStr, value: &OsStr) -> bool {
    let value = value.to_string_lossy();
    name.to_string_lossy().starts_with("SENTRY_") || redact(&value) != value
}

fn know(redactor: &Redactor, text: &str) {
    redactor.learn(&Secret::new(text.trim()));
}

/// Where they are: as kubectl looks for them.
pub(crate) fn files(
    named: Option<&Path>,
    variable: impl Fn(&str) -> Option<OsString>,
) -> Vec<PathBuf> {
    if let Some(path) = named {
        return vec![path.to_owned()];
    }
    if let Some(list) = variable("KUBECONFIG").filter(|list| !list.is_empty()) {
        return std::env::split_paths(&list).collect();
    }
    let home = variable("HOME").map(|home| Path::new(&home).join(".kube/config"));
    home.into_iter().collect()
}

/// A file of that size at most; `None` if it can't be read.
pub(crate) fn read(path: &Path) -> Option<String> {
    let file = std::fs::metadata(path).ok()?;
    (file.is_file() && file.len() <= LARGEST).then(|| std::fs::read_to_string(path).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_current_context_is_that_of_the_first_file_that_has_one() {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            std::fs::create_dir_all(dir.path().join(name).parent().unwrap()).unwrap();
            std::fs::write(dir.path().join(name), text).unwrap();
        };
        file(".kube/config", "current-context: home\n");
        file("none", "current-context: ''\ncontexts: []\n");
        file("broken", "current-context: [\n");
        file("one", "{\"current-context\": \"kind-qa\"}");
        file("two", "current-context: prod\n");
        let of = |list: &[&str]| {
            let list: Vec<_> = list.iter().map(|name| dir.path().join(name)).collect();
            let list = std::env::join_paths(list).unwrap();
            let home = dir.path().as_os_str().to_owned();
            current_context(|name| match name {
                "KUBECONFIG" => Some(list.clone()),
                _ => Some(home.clone()),
            })
        };
        assert_eq!(of(&[]).as_deref(), Some("home"), "an empty variable counts as none");
        assert_eq!(of(&["one", "two"]).as_deref(), Some("kind-qa"));
        assert_eq!(of(&["absent", "none", "broken", "two"]).as_deref(), Some("prod"));
        assert_eq!(of(&["none", "."]), None);
    }

    #[test]
    fn whatever_a_user_of_a_kubeconfig_proves_itself_with_is_taken_out_of_texts() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("token"), "from-a-file\n").unwrap();
        let (config, redactor) = (dir.path().join("config"), Redactor::new());
        std::fs::write(
            dir.path().join("config"),
            "users:\n- name: a\n  user: {token: the-token, username: somebody, password: the-password}\n\
             - name: b\n  user: {tokenFile: token, client-key-data: dGhlIGtleQ==}\n\
             - name: c\n  user: {auth-provider: {name: oidc, config: {id-token: the-id, client-id: somebody}}}\n",
        )
        .unwrap();
        learn(Some(&config), &redactor);
        let text =
            redactor.redact("the-token somebody the-password from-a-file dGhlIGtleQ== the-id");
        assert_eq!(text, "[redacted] somebody [redacted] [redacted] [redacted] [redacted]");
    }

    #[test]
    fn credentials_are_looked_for_where_kubectl_looks_for_them() {
        let own = Path::new("/own");
        for (named, list, home, wanted) in [
            (Some(own), Some("/a:/b"), Some("/home"), &["/own"][..]),
            (None, Some("/a:b"), Some("/home"), &["/a", "b"]),
            (None, Some(""), Some("/home"), &["/home/.kube/config"]),
            (None, None, Some("/home"), &["/home/.kube/config"]),
            (None, None, None, &[]),
        ] {
            let variable = |name: &str| match name {
                "KUBECONFIG" => list.map(OsString::from),
                "HOME" => home.map(OsString::from),
                _ => None,
            };
            let wanted: Vec<_> = wanted.iter().map(PathBuf::from).collect();
            assert_eq!(files(named, variable), wanted, "{named:?}, {list:?}, {home:?}");
        }
    }

    #[test]
    fn a_file_is_read_up_to_the_size_that_a_kubeconfig_may_have() {
        let dir = tempfile::tempdir().unwrap();
        for (more, known) in [(0, true), (1, false)] {
            let mut text = "users: [{user: {token: the-token}}]\n#".to_owned();
            let rest = usize::try_from(LARGEST).unwrap() + more - text.len();
            text.push_str(&"x".repeat(rest));
            let (config, redactor) = (dir.path().join("config"), Redactor::new());
            std::fs::write(&config, text).unwrap();
            learn(Some(&config), &redactor);
            assert_eq!(redactor.redact("the-token") != "the-token", known, "{more}");
        }
    }

    #[test]
    fn a_kubeconfig_that_is_none_is_kubectls_to_complain_about() {
        let dir = tempfile::tempdir().unwrap();
        let (config, redactor) = (dir.path().join("config"), Redactor::new());
        for text in [
            "",
            "users: 1",
            "users: [1, {user: [1]}]",
            ": : :",
            "[",
            "users: [{user: {token: {a: b}}}]",
        ] {
            std::fs::write(&config, text).unwrap();
            learn(Some(&config), &redactor);
        }
        learn(Some(dir.path()), &redactor);
        assert_eq!(redactor.redact("somebody"), "somebody");
    }

    #[test]
    fn a_plugin_gets_the_variables_of_a_shell_but_none_that_configures_us_or_holds_a_secret() {
        let redactor = Redactor::new();
        redactor.learn(&Secret::new("glpat-s3cr3t"));
        let redact = |text: &str| redactor.redact(text);
        let ours = |name: &str, value: &str| is_ours(&redact, name.as_ref(), value.as_ref());
        assert!(!ours("AWS_PROFILE", "qa") && !ours("HTTPS_PROXY", "http://proxy.example:3128"));
        assert!(ours("SENTRY_STATE_DIR", "/state") && ours("GIT_TOKEN", "glpat-s3cr3t"));
        assert!(ours("HEADER", "Basic OmdscGF0LXMzY3IzdA=="), "encoded as well");
    }
}
