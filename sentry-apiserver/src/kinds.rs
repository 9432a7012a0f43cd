//! The kinds that the server knows.

/// One kind of one version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Kind {
    pub(super) group: &'static str,
    pub(super) version: &'static str,
    pub(super) kind: &'static str,
    pub(super) plural: &'static str,
    pub(super) namespaced: bool,
    /// The fields that its `spec` may have under strict field validation; none means that any will do.
    pub(super) spec: &'static [&'static str],
    /// False for a kind that is answered but never stored, such as an access review.
    pub(super) stored: bool,
}

impl Kind {
    pub(super) fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.to_owned()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }

    /// `tasks.tekton.dev`, the way error texts name it.
    pub(super) fn resource(&self) -> String {
        if self.group.is_empty() {
            self.plural.to_owned()
        } else {
            format!("{}.{}", self.plural, self.group)
        }
    }

    /// The fields beside `apiVersion`, `kind` and `metadata` that its objects may have.
    pub(super) fn top_level(&self) -> &'static [&'static str] {
        match self.kind {
            "ConfigMap" => &["data", "binaryData", "immutable"],
            "Secret" => &["data", "stringData", "type", "immutable"],
            "ServiceAccount" => &["secrets", "imagePullSecrets", "automountServiceAccountToken"],
            "Role" | "ClusterRole" => &["rules", "aggregationRule"],
            "RoleBinding" | "ClusterRoleBinding" => &["roleRef", "subjects"],
            _ => &["spec", "status"],
        }
    }
}

const TASK: &[&str] = &[
    "description",
    "displayName",
    "params",
    "resources",
    "results",
    "sidecars",
    "stepTemplate",
    "steps",
    "volumes",
    "workspaces",
];
const STEP: &[&str] = &[
    "args",
    "command",
    "description",
    "env",
    "image",
    "params",
    "ref",
    "results",
    "script",
    "securityContext",
    "volumeMounts",
    "workingDir",
];
const PIPELINE: &[&str] = &[
    "description",
    "displayName",
    "finally",
    "params",
    "resources",
    "results",
    "tasks",
    "workspaces",
];
const PIPELINE_RUN: &[&str] = &[
    "managedBy",
    "params",
    "pipelineRef",
    "pipelineSpec",
    "podTemplate",
    "resources",
    "serviceAccountName",
    "status",
    "taskRunSpecs",
    "taskRunTemplate",
    "timeout",
    "timeouts",
    "workspaces",
];
const TASK_RUN: &[&str] = &[
    "computeResources",
    "debug",
    "managedBy",
    "params",
    "podTemplate",
    "resources",
    "retries",
    "serviceAccountName",
    "sidecarSpecs",
    "status",
    "statusMessage",
    "stepSpecs",
    "taskRef",
    "taskSpec",
    "timeout",
    "workspaces",
];

const fn stored(
    group: &'static str,
    version: &'static str,
    kind: &'static str,
    plural: &'static str,
    namespaced: bool,
    spec: &'static [&'static str],
) -> Kind {
    Kind { group, version, kind, plural, namespaced, spec, stored: true }
}

const fn review(kind: &'static str, plural: &'static str) -> Kind {
    Kind {
        group: "authorization.k8s.io",
        version: "v1",
        kind,
        plural,
        namespaced: false,
        spec: &[],
        stored: false,
    }
}

/// All of them; of a group, the preferred version's come first.
pub(super) const KINDS: &[Kind] = &[
    stored("", "v1", "Namespace", "namespaces", false, &[]),
    stored("", "v1", "ConfigMap", "configmaps", true, &[]),
    stored("", "v1", "Secret", "secrets", true, &[]),
    stored("", "v1", "ServiceAccount", "serviceaccounts", true, &[]),
    stored("", "v1", "Service", "services", true, &[]),
    stored("", "v1", "PersistentVolumeClaim", "persistentvolumeclaims", true, &[]),
    stored("", "v1", "Pod", "pods", true, &[]),
    stored("apps", "v1", "Deployment", "deployments", true, &[]),
    stored("batch", "v1", "Job", "jobs", true, &[]),
    stored("batch", "v1", "CronJob", "cronjobs", true, &[]),
    stored("rbac.authorization.k8s.io", "v1", "Role", "roles", true, &[]),
    stored("rbac.authorization.k8s.io", "v1", "RoleBinding", "rolebindings", true, &[]),
    stored("rbac.authorization.k8s.io", "v1", "ClusterRole", "clusterroles", false, &[]),
    stored(
        "rbac.authorization.k8s.io",
        "v1",
        "ClusterRoleBinding",
        "clusterrolebindings",
        false,
        &[],
    ),
    stored("coordination.k8s.io", "v1", "Lease", "leases", true, &[]),
    review("SelfSubjectAccessReview", "selfsubjectaccessreviews"),
    review("SelfSubjectRulesReview", "selfsubjectrulesreviews"),
    stored("tekton.dev", "v1", "Task", "tasks", true, TASK),
    stored("tekton.dev", "v1", "Pipeline", "pipelines", true, PIPELINE),
    stored("tekton.dev", "v1", "PipelineRun", "pipelineruns", true, PIPELINE_RUN),
    stored("tekton.dev", "v1", "TaskRun", "taskruns", true, TASK_RUN),
    stored("tekton.dev", "v1beta1", "Task", "tasks", true, TASK),
    stored("tekton.dev", "v1beta1", "Pipeline", "pipelines", true, PIPELINE),
    stored("tekton.dev", "v1beta1", "PipelineRun", "pipelineruns", true, PIPELINE_RUN),
    stored("tekton.dev", "v1beta1", "TaskRun", "taskruns", true, TASK_RUN),
    stored("tekton.dev", "v1beta1", "StepAction", "stepactions", true, STEP),
    stored("tekton.dev", "v1beta1", "CustomRun", "customruns", true, &[]),
];

/// A kind by the path's words.
pub(super) fn by_plural(group: &str, version: &str, plural: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|k| (k.group, k.version, k.plural) == (group, version, plural))
}

/// A kind by the words of an object.
pub(super) fn by_kind(api_version: &str, kind: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|k| k.kind == kind && k.api_version() == api_version)
}
