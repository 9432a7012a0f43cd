//! The manifests of deploy/ and the program: its arguments, port, probes, files and rights.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use clap::FromArgMatches as _;
use sentry_config::{Config, Environment};
use serde_json::Value;

use super::{read, root, yaml};
use crate::args::{self, Cli};
use crate::help;

const COMPONENTS: [&str; 3] = ["monitoring", "ingress", "webhook"];
/// Where the pod finds its tokens.
const TOKENS: &str = "/run/secrets/sentry";

/// What `kubectl apply -k deploy/kubernetes` sends, and what these components add to it.
fn rendered(components: &[&str]) -> Vec<Value> {
    let base = root().join("deploy/kubernetes");
    let components = components.iter().map(|name| base.join("components").join(name));
    let all = std::iter::once(base.clone()).chain(components).flat_map(|place| {
        let output = Command::new("kubectl").arg("kustomize").arg(&place).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).unwrap();
        text.split("\n---\n").map(yaml).collect::<Vec<_>>()
    });
    all.collect()
}

/// What a Kustomization with these components sends.
fn with(components: &[&str]) -> Vec<Value> {
    let dir = tempfile::tempdir().unwrap();
    let depth = dir.path().canonicalize().unwrap().components().count() - 1;
    let base =
        format!("{}{}/deploy/kubernetes", "../".repeat(depth), &root().display().to_string()[1..]);
    let components: String =
        components.iter().map(|name| format!("  - {base}/components/{name}\n")).collect();
    let text = format!("resources:\n  - {base}\ncomponents:\n{components}");
    std::fs::write(dir.path().join("kustomization.yaml"), text).unwrap();
    let output = Command::new("kubectl").arg("kustomize").arg(dir.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().split("\n---\n").map(yaml).collect()
}

#[test]
fn replicas_share_a_database_and_keep_nothing_of_their_own() {
    let all = with(&["replicas"]);
    let [deployment] = of_kind(&all, "Deployment")[..] else { panic!("one Deployment") };
    let spec = &deployment["spec"];
    assert_eq!(
        (&spec["replicas"], &spec["strategy"]["type"]),
        (&3.into(), &"RollingUpdate".into())
    );
    assert_eq!(spec["strategy"]["rollingUpdate"]["maxUnavailable"], 0);
    assert!(of_kind(&all, "PersistentVolumeClaim").is_empty());
    let (pod, container) = (pod(&all), container(&all));
    assert_eq!(list(&pod["volumes"], "name"), list(&container["volumeMounts"], "name"));
    assert!(!list(&pod["volumes"], "name").contains("state"));
    assert!(!list(&container["env"], "name").contains("SENTRY_STATE_DIR"));
    let selector = &spec["selector"]["matchLabels"];
    for spread in pod["topologySpreadConstraints"].as_array().unwrap() {
        assert_eq!(spread["labelSelector"]["matchLabels"], *selector);
    }
    let [budget] = of_kind(&all, "PodDisruptionBudget")[..] else { panic!("one budget") };
    assert_eq!(budget["spec"]["selector"]["matchLabels"], *selector);
    // The configuration that its first lines show works with what the pod has.
    let component = read("deploy/kubernetes/components/replicas/kustomization.yaml");
    let state = component.lines().find_map(|line| line.strip_prefix("#   ")).unwrap();
    let tokens = tempfile::tempdir().unwrap();
    let mut all = all.clone();
    let map = all.iter_mut().find(|object| object["kind"] == "ConfigMap").unwrap();
    let text = format!("{state}\n{}", map["data"]["sentry.yaml"].as_str().unwrap());
    map["data"]["sentry.yaml"] = text.into();
    let config = configuration(&all, &["github", "page", "database"], tokens.path());
    assert!(config.postgres.unwrap().password_file.unwrap().ends_with("database"));
}

fn of_kind<'a>(all: &'a [Value], kind: &str) -> Vec<&'a Value> {
    all.iter().filter(|object| object["kind"] == kind).collect()
}

fn pod(all: &[Value]) -> &Value {
    let [deployment] = of_kind(all, "Deployment")[..] else { panic!("one Deployment: {all:?}") };
    &deployment["spec"]["template"]["spec"]
}

fn container(all: &[Value]) -> &Value {
    let [container] = &pod(all)["containers"].as_array().unwrap()[..] else { panic!("{all:?}") };
    container
}

fn list<'a>(value: &'a Value, key: &str) -> BTreeSet<&'a str> {
    let items = value.as_array().unwrap().iter();
    items.map(|item| item[key].as_str().unwrap()).collect()
}

/// The port that these arguments make the program listen on.
fn listens_on(arguments: &Value) -> u64 {
    let words = arguments.as_array().unwrap().iter().map(|word| word.as_str().unwrap());
    let parsed = help::command().try_get_matches_from(words).unwrap();
    match Cli::from_arg_matches(&parsed).unwrap().command {
        args::Command::Watch(watch) => {
            let at = watch.listen.expect("it listens");
            assert!(at.ip().is_unspecified(), "nobody outside of the container reaches {at}");
            at.port().into()
        }
        other => panic!("{other:?}"),
    }
}

/// The configuration of the ConfigMap, with a file for each of these keys of the Secret.
fn configuration(all: &[Value], keys: &[&str], tokens: &Path) -> Config {
    for key in keys {
        std::fs::write(tokens.join(key), format!("{key}-0123456789abcdef")).unwrap();
    }
    let [map] = of_kind(all, "ConfigMap")[..] else { panic!("one ConfigMap: {all:?}") };
    let text = map["data"]["sentry.yaml"].as_str().unwrap();
    assert!(text.contains(TOKENS), "{text}");
    let text = text.replace(TOKENS, &tokens.display().to_string());
    let vars = [("KUBERNETES_SERVICE_HOST".to_owned(), "10.0.0.1".to_owned())];
    let problems = |problems| panic!("{problems}");
    sentry_config::parse(&text, "/config/sentry.yaml", &Environment::new(vars.into()))
        .unwrap_or_else(problems)
}

#[test]
fn the_pod_starts_with_arguments_that_the_program_takes_and_is_reached_where_it_listens() {
    let all = rendered(&COMPONENTS);
    let container = container(&all);
    let port = listens_on(&container["args"]);
    let named = &container["ports"];
    assert_eq!((named.as_array().unwrap().len(), &named[0]["name"]), (1, &"http".into()));
    assert_eq!(named[0]["containerPort"], port);
    for (probe, path) in
        [("startupProbe", "/livez"), ("livenessProbe", "/livez"), ("readinessProbe", "/readyz")]
    {
        let get = &container[probe]["httpGet"];
        assert_eq!((&get["path"], &get["port"]), (&path.into(), &"http".into()), "{probe}");
    }
    let [service] = of_kind(&all, "Service")[..] else { panic!("one Service") };
    assert_eq!(service["spec"]["ports"][0]["targetPort"], "http");
    let ingresses = of_kind(&all, "Ingress");
    for ingress in &ingresses {
        let backend = &ingress["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"];
        assert_eq!(
            (&backend["name"], &backend["port"]["name"]),
            (&"sentry".into(), &"http".into())
        );
    }
    let opened: Vec<_> = of_kind(&all, "NetworkPolicy")
        .into_iter()
        .filter_map(|policy| policy["spec"]["ingress"].as_array().and_then(|rules| rules.first()))
        .collect();
    assert_eq!((ingresses.len(), opened.len()), (2, COMPONENTS.len()), "each component opens once");
    assert!(opened.iter().all(|rule| rule["ports"][0]["port"] == "http"), "{opened:?}");
}

#[test]
fn every_volume_is_mounted_and_what_is_written_is_on_one() {
    let all = rendered(&[]);
    let (pod, container) = (pod(&all), container(&all));
    let mounts = &container["volumeMounts"];
    assert_eq!(list(&pod["volumes"], "name"), list(mounts, "name"));
    let is_writable = |path: &str| {
        let mounts = mounts.as_array().unwrap().iter();
        mounts.clone().any(|mount| mount["mountPath"] == path && mount["readOnly"] != true)
    };
    let env = container["env"].as_array().unwrap();
    let env = |name: &str| {
        let one = env.iter().find(|one| one["name"] == name).unwrap();
        one["value"].as_str().unwrap()
    };
    for path in [env("SENTRY_STATE_DIR"), env("HOME"), "/tmp"] {
        assert!(is_writable(path), "{path}");
    }
    assert_eq!(env("SENTRY_CONFIG"), "/config/sentry.yaml");
    let user = pod["securityContext"]["runAsUser"].as_u64().unwrap();
    let own = format!("--config.user {user}:");
    assert!(read("scripts/dist").contains(&own), "the image's own user");
}

#[test]
fn the_shipped_configuration_is_right_and_delivers_only_where_sentry_has_a_role() {
    let (all, tokens) = (rendered(&[]), tempfile::tempdir().unwrap());
    let config = configuration(&all, &["github", "page"], tokens.path());
    assert!(!config.server.tokens.is_empty(), "the page is on");
    let account = pod(&all)["serviceAccountName"].as_str().unwrap();
    let own = of_kind(&all, "Deployment")[0]["metadata"]["namespace"].as_str().unwrap();
    let bound: BTreeSet<_> = of_kind(&all, "RoleBinding")
        .into_iter()
        .filter(|binding| {
            let subject = &binding["subjects"][0];
            (&subject["name"], &subject["namespace"]) == (&account.into(), &own.into())
        })
        .map(|binding| binding["metadata"]["namespace"].as_str().unwrap())
        .collect();
    let targets: BTreeSet<_> =
        config.watches.iter().map(|w| w.cluster.namespace.as_str()).collect();
    assert_eq!(bound, targets);
    assert!(config.watches.iter().all(|watch| watch.cluster.deployer == "native"));
    assert!(!targets.contains(own), "what runs beside Sentry could take its tokens");
}

#[test]
fn the_image_is_named_in_one_place_and_has_this_version() {
    let image = concat!("sentry:", env!("CARGO_PKG_VERSION"));
    assert_eq!(container(&rendered(&COMPONENTS))["image"], image);
    let top = read("deploy/kubernetes/kustomization.yaml");
    assert_eq!((top.matches("newName:").count(), top.matches("newTag:").count()), (1, 1));
    assert!(read("deploy/kubernetes/base/deployment.yaml").contains("image: sentry\n"));
    assert_eq!(yaml(&read("deploy/compose.yaml"))["services"]["sentry"]["image"], image);
}

#[test]
fn the_operator_gets_the_alert_rules_that_are_tested() {
    let rules = yaml(&read("deploy/kubernetes/components/monitoring/rules.yaml"));
    assert_eq!(rules["spec"], yaml(&read("deploy/prometheus/alerts.yaml")));
}

#[test]
fn compose_starts_the_program_as_the_pod_does() {
    let compose = yaml(&read("deploy/compose.yaml"));
    let service = &compose["services"]["sentry"];
    let port = listens_on(&service["command"]);
    assert_eq!(service["ports"][0], format!("127.0.0.1:{port}:{port}"));
    let mounts: Vec<_> = service["volumes"].as_array().unwrap().iter().collect();
    let is_mounted = |path: &str| mounts.iter().any(|m| m.as_str().unwrap().contains(path));
    assert!(is_mounted(":/config:ro") && is_mounted("state:/var/lib/sentry"), "{mounts:?}");
    assert_eq!(service["environment"]["SENTRY_CONFIG"], "/config/sentry.yaml");
    let kubeconfig = service["environment"]["KUBECONFIG"].as_str().unwrap();
    assert!(is_mounted(&format!(":{kubeconfig}:ro")), "{mounts:?}");
    let image = read("scripts/dist");
    assert!(
        image.contains("chmod 0770 \"$files/var/lib/sentry\""),
        "its group may write the state"
    );
    assert!(service["user"].as_str().unwrap().ends_with(":0"));
}
