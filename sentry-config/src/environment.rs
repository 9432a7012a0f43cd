//! What the configuration takes from the process around it, given as data.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::problem::Problem;

/// Where a pod finds the name of its namespace.
/// <https://kubernetes.io/docs/tasks/run-application/access-api-from-pod/>
const POD_NAMESPACE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";

/// The environment a configuration is read in.
#[derive(Clone, Default)]
pub struct Environment {
    /// Environment variables.
    pub vars: BTreeMap<String, String>,
    /// True inside a Kubernetes pod.
    pub in_cluster: bool,
    /// The home directory, for `~`.
    pub home: Option<PathBuf>,
    /// The namespace of the pod, where this is one.
    pub own_namespace: Option<String>,
    /// True if kubectl would find a kubeconfig by itself.
    pub kubeconfig_exists: bool,
}

impl std::fmt::Debug for Environment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Values may be tokens.
        f.debug_struct("Environment")
            .field("vars", &self.vars.keys().collect::<Vec<_>>())
            .field("in_cluster", &self.in_cluster)
            .field("home", &self.home)
            .field("own_namespace", &self.own_namespace)
            .field("kubeconfig_exists", &self.kubeconfig_exists)
            .finish()
    }
}

impl Environment {
    /// The environment of this process. Variables that are not UTF-8 are left out.
    #[must_use]
    pub fn from_process() -> Self {
        let mut this = Self::new(
            std::env::vars_os()
                .filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?)))
                .collect(),
        );
        // A pod without a token of its account has no such file.
        let namespace = this.in_cluster.then(|| std::fs::read_to_string(POD_NAMESPACE).ok());
        this.own_namespace = namespace.flatten().map(|name| name.trim().to_owned());
        this
    }

    /// The environment that a set of variables describes: a pod has `KUBERNETES_SERVICE_HOST`; a kubeconfig is in
    /// `KUBECONFIG` or `~/.kube/config`.
    #[must_use]
    pub fn new(vars: BTreeMap<String, String>) -> Self {
        let set = |name: &str| vars.get(name).filter(|value| !value.is_empty());
        let home = set("HOME").map(PathBuf::from);
        let in_cluster = set("KUBERNETES_SERVICE_HOST").is_some();
        let kubeconfig_exists = set("KUBECONFIG").is_some()
            || home.as_ref().is_some_and(|home| home.join(".kube/config").exists());
        Self { in_cluster, home, own_namespace: None, kubeconfig_exists, vars }
    }

    /// The path with a leading `~` replaced, relative ones taken from a base directory.
    pub(crate) fn path(&self, text: &str, base: &Path) -> PathBuf {
        let path = match (text.strip_prefix('~'), &self.home) {
            (Some(""), Some(home)) => home.clone(),
            (Some(rest), Some(home)) if rest.starts_with('/') => home.join(&rest[1..]),
            _ => PathBuf::from(text),
        };
        base.join(path)
    }
}

/// Reads the lines of a `.env` file: `NAME=value`, with `export`, quotes and comments as shells have them.
pub(crate) fn dotenv(file: &str, text: &str) -> (BTreeMap<String, String>, Vec<Problem>) {
    let mut vars = BTreeMap::new();
    let mut problems = Vec::new();
    for (number, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let line = line.strip_prefix("export ").map_or(line, str::trim_start);
        let parsed = line.split_once('=').and_then(|(name, value)| {
            let name = name.trim();
            Some((is_name(name).then_some(name)?, dotenv_value(value.trim())?))
        });
        match parsed {
            Some((name, value)) => {
                vars.insert(name.to_owned(), value);
            }
            // The line itself may hold a secret: it is not repeated.
            None => problems.push(Problem::at_line(
                file,
                number + 1,
                "",
                "is not NAME=value, or a quote is not closed",
                "write NAME=value, NAME=\"value with spaces\", or a # comment",
            )),
        }
    }
    (vars, problems)
}

/// True for what a variable may be called.
pub(crate) fn is_name(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with(|c: char| c.is_ascii_digit())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

fn dotenv_value(text: &str) -> Option<String> {
    let Some(quote) = text.chars().next().filter(|c| ['"', '\''].contains(c)) else {
        let end = text.find(" #").unwrap_or(text.len());
        return Some(text[..end].trim_end().to_owned());
    };
    let mut value = String::new();
    let mut chars = text[1..].chars();
    loop {
        match chars.next()? {
            c if c == quote => break,
            '\\' if quote == '"' => match chars.next()? {
                'n' => value.push('\n'),
                c @ ('"' | '\\' | '$') => value.push(c),
                c => value.extend(['\\', c]),
            },
            c => value.push(c),
        }
    }
    let rest = chars.as_str().trim_start();
    (rest.is_empty() || rest.starts_with('#')).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dotenv_file_is_read_as_shells_read_it() {
        let text =
            "# c\nA=1\nexport B = two # note\nC=\"a \\\"b\\\"\\n\" # x\nD='$x \\n'\nE=\nF=a#b\n";
        let (vars, problems) = dotenv(".env", text);
        assert!(problems.is_empty());
        let got: Vec<_> = vars.iter().map(|(k, v)| format!("{k}={v}")).collect();
        assert_eq!(got, ["A=1", "B=two", "C=a \"b\"\n", "D=$x \\n", "E=", "F=a#b"]);
    }

    #[test]
    fn bad_lines_of_a_dotenv_file_are_named_by_number_only() {
        let (_, problems) = dotenv("x/.env", "A=1\ns3cr3t\nB=\"s3cr3t\n1C=s3cr3t\n");
        assert_eq!(problems.iter().map(|p| p.line).collect::<Vec<_>>(), [2, 3, 4]);
        assert!(problems.iter().all(|p| !p.to_string().contains("s3cr3t")));
    }

    #[test]
    fn a_pod_and_its_kubeconfig_are_seen_by_variables() {
        let vars = |pairs: &[(&str, &str)]| {
            Environment::new(
                pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
            )
        };
        let pod = vars(&[("KUBERNETES_SERVICE_HOST", "10.0.0.1"), ("GITHUB_TOKEN", "s3cr3t")]);
        assert!(pod.in_cluster && !pod.kubeconfig_exists);
        assert!(!format!("{pod:?}").contains("s3cr3t"));
        assert!(vars(&[("KUBECONFIG", "/x")]).kubeconfig_exists);
    }
}
