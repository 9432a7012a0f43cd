//! What stands in the files.

use sentry_tests::repo::{BareRepo, Entry};
use sentry_tests::road::FIXED;

use super::{Case, Ground, HONEST};

const RUN: &str = "apiVersion: tekton.dev/v1\nkind: PipelineRun\n";
const SPEC: &str = "spec: {pipelineRef: {name: suite}}\n";

fn with(b: &BareRepo, bytes: impl AsRef<[u8]>) {
    let mut all: Vec<_> = HONEST.iter().map(|(path, text)| Entry::file(path, text)).collect();
    all.push(Entry::file(".tekton/hostile.yaml", bytes));
    b.commit_entries("main", &all, "hostile");
}

/// One more document is refused.
fn bad(name: &'static str, tries: &'static str, text: impl Into<String>) -> Case {
    let text = text.into();
    Case::refused(name, tries, move |b: &BareRepo, g: &Ground| {
        with(b, text.replace("CANARY", &g.file).replace("OTHER", &g.url));
    })
}

/// One more document has no effect beyond Tekton's own kinds in the namespace.
fn good(name: &'static str, tries: &'static str, text: impl Into<String>) -> Case {
    Case { reaches: super::Reaches::Harmless, ..bad(name, tries, text) }
}

fn bytes(name: &'static str, tries: &'static str, bytes: Vec<u8>) -> Case {
    Case::refused(name, tries, move |b, _| with(b, &bytes))
}

fn run(metadata: &str) -> String {
    format!("{RUN}metadata: {metadata}\n{SPEC}")
}

/// A run with one annotation of Pipelines as Code.
fn annotated(key: &str, value: &str) -> String {
    let value = serde_json::Value::from(value);
    run(&format!("{{name: x, annotations: {{pipelinesascode.tekton.dev/{key}: {value}}}}}"))
}

fn bomb() -> String {
    let mut text = "a0: &a0 [x,x,x,x,x,x,x,x]\n".to_owned();
    for n in 1..20 {
        text += &format!("a{n}: &a{n} [{}]\n", vec![format!("*a{}", n - 1); 8].join(","));
    }
    text
}

pub(super) fn cases() -> Vec<Case> {
    [
        yaml(),
        more_yaml(),
        encodings(),
        kinds(),
        powers(),
        metadata(),
        fields(),
        annotations(),
        variables(),
        tools(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn yaml() -> Vec<Case> {
    vec![
        bad("a million laughs", "aliases that unfold to 8^20 texts", bomb()),
        bad(
            "aliases for keys",
            "aliases that unfold in keys",
            "a: &a {x: 1}\n? *a\n: *a\n".repeat(500),
        ),
        bad(
            "10,000 brackets",
            "lists in lists in lists",
            format!("a: {}{}\n", "[".repeat(10_000), "]".repeat(10_000)),
        ),
        bad(
            "10,000 blocks",
            "mappings in mappings in mappings",
            (0..2000).map(|n| format!("{}a:\n", " ".repeat(n))).collect::<String>(),
        ),
        bad("an anchor that holds itself", "a document without end", "a: &a\n  b: *a\n"),
        bad(
            "a kind twice",
            "two kinds, of which readers take different ones",
            "apiVersion: v1\nkind: ConfigMap\nkind: Secret\nmetadata: {name: x}\n",
        ),
    ]
}

fn more_yaml() -> Vec<Case> {
    vec![
        bad(
            "a kind that is merged in",
            "`<<` lays another kind over the one that is seen",
            "base: &b {kind: Secret}\napiVersion: v1\nkind: ConfigMap\n<<: *b\nmetadata: {name: x}\n",
        ),
        bad(
            "a tag that makes an object",
            "`!!python/object/apply:os.system`",
            format!(
                "{RUN}metadata: {{name: x}}\nspec: !!python/object/apply:os.system [cat CANARY]\n"
            ),
        ),
        bad(
            "a tag that includes a file",
            "`!include` of a file of this machine",
            format!("{RUN}metadata: {{name: x}}\nspec: !include CANARY\n"),
        ),
        bad(
            "10,000 documents",
            "more documents than may be",
            format!("---\n{}", run("{name: x}")).repeat(10_000),
        ),
        bad(
            "100,000 values",
            "more values than may be",
            format!("{RUN}metadata: {{name: x}}\nspec: [{}]\n", "x,".repeat(100_000)),
        ),
        bad(
            "a number beyond numbers",
            "a number that readers round differently",
            format!(
                "{RUN}metadata: {{name: x}}\nspec: {{timeout: 1e999, n: 18446744073709551617}}\n"
            ),
        ),
        bad(
            "a document in a directive",
            "directives before a document",
            format!("%YAML 9.9\n%TAG ! tag:evil,2000:\n---\n{}", run("{name: x}")),
        ),
    ]
}

fn encodings() -> Vec<Case> {
    let wide = |text: &str| -> Vec<u8> {
        [0xff, 0xfe].into_iter().chain(text.encode_utf16().flat_map(u16::to_le_bytes)).collect()
    };
    vec![
        bytes("UTF-16", "a manifest in an encoding that only some readers know", wide(FIXED)),
        bytes(
            "a NUL",
            "a manifest with a NUL in it",
            format!("{}\0kind: Secret\n", run("{name: x}")).into_bytes(),
        ),
        bytes(
            "a manifest that is no text",
            "a manifest that is not UTF-8",
            b"apiVersion: v1\nkind: \xff\xfe\n".to_vec(),
        ),
        good(
            "a byte order mark",
            "a manifest that begins with U+FEFF",
            format!("\u{feff}{}", run("{name: bom}")),
        ),
        good(
            "line ends of Windows",
            "a manifest whose lines end in CR LF",
            run("{name: crlf}").replace('\n', "\r\n"),
        ),
        bad(
            "line ends of another kind",
            "a line that only some readers see",
            "apiVersion: v1\nkind: ConfigMap # \u{2028}kind: Secret\u{85}kind: Secret\nmetadata: {name: \"a\u{2028}b\"}\n",
        ),
    ]
}

fn kinds() -> Vec<Case> {
    let of =
        |api: &str, kind: &str| format!("apiVersion: {api}\nkind: {kind}\nmetadata: {{name: x}}\n");
    let rbac = "rbac.authorization.k8s.io/v1";
    vec![
        bad(
            "items that are smuggled in",
            "a run with `items:`, which kubectl unfolds",
            format!(
                "{}items: [{{apiVersion: v1, kind: Namespace, metadata: {{name: x}}}}]\n",
                run("{name: x}")
            ),
        ),
        bad(
            "a list",
            "`kind: List`",
            "apiVersion: v1\nkind: List\nitems: [{apiVersion: v1, kind: Secret, metadata: {name: x}}]\n",
        ),
        bad(
            "a list of a kind",
            "`kind: SecretList`",
            "apiVersion: v1\nkind: SecretList\nitems: [{metadata: {name: x}}]\n",
        ),
        bad("a namespace", "a kind of the whole cluster", of("v1", "Namespace")),
        bad(
            "a cluster role",
            "rights over the whole cluster",
            format!(
                "{}rules: [{{apiGroups: ['*'], resources: ['*'], verbs: ['*']}}]\n",
                of(rbac, "ClusterRole")
            ),
        ),
        bad(
            "a binding to cluster-admin",
            "rights over the whole cluster for everyone",
            format!(
                "{}roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}}\nsubjects: [{{kind: Group, name: 'system:authenticated', apiGroup: rbac.authorization.k8s.io}}]\n",
                of(rbac, "ClusterRoleBinding")
            ),
        ),
    ]
}

fn powers() -> Vec<Case> {
    let of =
        |api: &str, kind: &str| format!("apiVersion: {api}\nkind: {kind}\nmetadata: {{name: x}}\n");
    let rbac = "rbac.authorization.k8s.io/v1";
    vec![
        bad(
            "a binding in the namespace",
            "cluster-admin in the namespace: the shipped Role does not allow it",
            format!(
                "{}roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}}\nsubjects: [{{kind: ServiceAccount, name: default}}]\n",
                of(rbac, "RoleBinding")
            ),
        ),
        bad(
            "a secret",
            "a secret, which the shipped Role does not allow",
            format!("{}stringData: {{a: b}}\n", of("v1", "Secret")),
        ),
        bad(
            "a pod of the machine",
            "a Pod with the host's file system",
            format!(
                "{}spec: {{hostPID: true, containers: [{{name: x, image: x}}]}}\n",
                of("v1", "Pod")
            ),
        ),
        bad(
            "another namespace",
            "an object that names kube-system",
            "apiVersion: tekton.dev/v1\nkind: Task\nmetadata: {name: x, namespace: kube-system}\nspec: {steps: [{image: x}]}\n",
        ),
        bad(
            "a kind that is not there",
            "a kind that the cluster does not have",
            of("evil.example.com/v1", "Evil"),
        ),
        bad("a version that climbs", "an apiVersion that is a path", of("v1/../../api", "Secret")),
        bad("a kind that is an option", "a kind called `--all`", of("v1", "--all")),
    ]
}

fn metadata() -> Vec<Case> {
    vec![
        good(
            "a name that climbs",
            "an object called `../../secrets/x`",
            run("{name: ../../secrets/x}"),
        ),
        good(
            "a name with a question",
            "an object called `x?dryRun=All`",
            run("{name: 'x?dryRun=All'}"),
        ),
        bad(
            "a name that is an option",
            "an object called `--all`",
            "apiVersion: tekton.dev/v1\nkind: Task\nmetadata: {name: --all}\nspec: {steps: [{image: x}]}\n",
        ),
        good(
            "a name in colours",
            "an object called with an escape sequence",
            run("{name: \"\\e[31mx\"}"),
        ),
        good(
            "a generated name of 300 letters",
            "a generateName that no name has room for",
            run(&format!("{{generateName: {}-}}", "x".repeat(300))),
        ),
        good(
            "a generated name that climbs",
            "a generateName with slashes",
            run("{generateName: ../../x-}"),
        ),
    ]
}

fn fields() -> Vec<Case> {
    vec![
        good(
            "an owner",
            "a run that the cluster would delete with another object",
            run(
                "{name: owned, ownerReferences: [{apiVersion: v1, kind: ConfigMap, name: x, uid: 00000000-0000-4000-8000-000000000001, controller: true}]}",
            ),
        ),
        good(
            "a finalizer",
            "a run that could never be deleted",
            run("{name: final, finalizers: [evil.example.com/never]}"),
        ),
        good(
            "marks of Sentry's own",
            "a run with the annotations and labels by which Sentry knows its own",
            run(
                "{name: marked, labels: {sentry-gitops.dev/delivery: x, sentry-gitops.dev/watch: other, app.kubernetes.io/managed-by: x}, annotations: {sentry-gitops.dev/key: stolen, sentry-gitops.dev/delivery: x}}",
            ),
        ),
        good(
            "fields of the server's",
            "a run with an id, a version and managed fields",
            run(
                "{name: served, uid: 00000000-0000-4000-8000-000000000001, resourceVersion: '1', managedFields: [], creationTimestamp: null, generation: 9}",
            ),
        ),
        good(
            "a status",
            "a run that says that it has succeeded",
            format!(
                "{}status: {{conditions: [{{type: Succeeded, status: 'True'}}]}}\n",
                run("{name: done}")
            ),
        ),
        bad(
            "labels that are none",
            "labels that are lists and numbers",
            run("{name: x, labels: [a, b]}"),
        ),
        bad(
            "metadata that is none",
            "metadata that is a text",
            format!("{RUN}metadata: x\n{SPEC}"),
        ),
    ]
}

fn annotations() -> Vec<Case> {
    vec![
        good(
            "an expression bomb",
            "1,000 operators in an expression",
            annotated("on-cel-expression", &"true && ".repeat(1000)),
        ),
        good(
            "an expression without end",
            "lists of lists in an expression",
            annotated(
                "on-cel-expression",
                &format!(
                    "[1,2,3,4,5,6,7,8,9].map(a, {}1{})",
                    "[1,2,3,4,5,6,7,8,9].map(b, ".repeat(12),
                    ")".repeat(12)
                ),
            ),
        ),
        good(
            "a pattern bomb",
            "a pattern that some engines never end",
            annotated(
                "on-cel-expression",
                "'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!'.matches('^(a+)+$')",
            ),
        ),
        good(
            "a pattern of 10^9 states",
            "a pattern that unfolds",
            annotated("on-cel-expression", "'a'.matches('(((a{100}){100}){100}){100}')"),
        ),
        good(
            "a branch pattern bomb",
            "a glob with 500 stars",
            annotated("on-target-branch", &format!("[{}]", "*a".repeat(500))),
        ),
    ]
}

fn variables() -> Vec<Case> {
    vec![
        good(
            "a path pattern bomb",
            "globs of braces in braces",
            annotated("on-path-change", &format!("[\"{}\"]", "{a,b}".repeat(60))),
        ),
        good(
            "a remote task",
            "a task to be loaded from elsewhere",
            annotated("task", "OTHER/task.yaml"),
        ),
        good(
            "a task of this machine",
            "a task to be loaded from a file",
            annotated("task", "[CANARY]"),
        ),
        bad(
            "variables in variables",
            "1,000 open brackets of variables",
            format!(
                "{RUN}metadata: {{name: x}}\nspec: {{pipelineRef: {{name: '{}'}}}}\n",
                "{{ ".repeat(1000)
            ),
        ),
        good(
            "a variable that runs",
            "variables with commands and other languages' templates",
            format!(
                "{RUN}metadata: {{name: tpl}}\nspec: {{pipelineRef: {{name: suite}}, params: [{{name: a, value: \"$(cat CANARY) ${{PATH}} {{% raw %}} <%= 1 %> #{{1}}\"}}]}}\n"
            ),
        ),
        good(
            "a value that is YAML",
            "a parameter that would be more objects, were it put in as text",
            format!(
                "{RUN}metadata: {{name: val}}\nspec: {{pipelineRef: {{name: suite}}, params: [{{name: a, value: \"x\\n---\\napiVersion: v1\\nkind: Secret\"}}]}}\n"
            ),
        ),
    ]
}

/// Files that other tools would run something for.
fn tools() -> Vec<Case> {
    let files = |name, tries, path: &'static str, text: &'static str| {
        Case::harmless(name, tries, move |b: &BareRepo, g: &Ground| {
            let text = text.replace("CANARY", &g.file).replace("OTHER", &g.url);
            let mut all: Vec<_> =
                HONEST.iter().map(|(path, text)| Entry::file(path, text)).collect();
            all.push(Entry::file(path, text));
            b.commit_entries("main", &all, "hostile");
        })
    };
    vec![
        files(
            "a kustomization",
            "bases elsewhere, and a generator that is a program",
            ".tekton/kustomization.yaml",
            "resources: [OTHER/base, ../../../CANARY]\ngenerators: [gen.yaml]\n",
        ),
        files(
            "a chart",
            "a Helm chart with a remote dependency",
            ".tekton/chart/Chart.yaml",
            "apiVersion: v2\nname: x\nversion: 1.0.0\ndependencies: [{name: y, version: 1.0.0, repository: OTHER}]\n",
        ),
        files(
            "settings of Sentry",
            "a sentry.yaml in the repository",
            ".tekton/.sentry.yaml",
            "# state_dir: CANARY\n",
        ),
        files(
            "settings of kubectl",
            "a kubeconfig in the repository, with a program for credentials",
            ".tekton/kubeconfig",
            "apiVersion: v1\nkind: Config\nusers: [{name: x, user: {exec: {command: cat, args: [CANARY]}}}]\n",
        ),
        files(
            "an environment file",
            "a .env in the repository",
            ".tekton/.env",
            "GIT_TOKEN=x\nKUBECONFIG=CANARY\n",
        ),
    ]
}
