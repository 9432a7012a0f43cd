//! Which kinds live in a namespace, for when no cluster can be asked.
//!
//! The groups of Kubernetes itself are whole (`kubectl api-resources` of 1.34, and kinds that older servers still
//! serve): a kind that is not in them does not exist. Of other groups only what is known to be cluster-scoped stands
//! here: any other kind of theirs counts as namespaced, and the cluster has the last word.

/// What the built-in table knows of a kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    /// It lives in a namespace.
    Namespaced,
    /// It belongs to the whole cluster.
    Cluster,
    /// Its group is Kubernetes' own and has no such kind.
    Missing,
}

struct Group {
    name: &'static str,
    namespaced: &'static [&'static str],
    cluster: &'static [&'static str],
}

const fn group(
    name: &'static str,
    namespaced: &'static [&'static str],
    cluster: &'static [&'static str],
) -> Group {
    Group { name, namespaced, cluster }
}

/// The groups of Kubernetes itself.
const WHOLE: &[Group] = &[
    group(
        "",
        &[
            "ConfigMap",
            "Endpoints",
            "Event",
            "LimitRange",
            "PersistentVolumeClaim",
            "Pod",
            "PodTemplate",
            "ReplicationController",
            "ResourceQuota",
            "Secret",
            "Service",
            "ServiceAccount",
        ],
        &["Namespace", "Node", "PersistentVolume"],
    ),
    group(
        "admissionregistration.k8s.io",
        &[],
        &[
            "MutatingAdmissionPolicy",
            "MutatingAdmissionPolicyBinding",
            "MutatingWebhookConfiguration",
            "ValidatingAdmissionPolicy",
            "ValidatingAdmissionPolicyBinding",
            "ValidatingWebhookConfiguration",
        ],
    ),
    group("apiextensions.k8s.io", &[], &["CustomResourceDefinition"]),
    group("apiregistration.k8s.io", &[], &["APIService"]),
    group(
        "apps",
        &["ControllerRevision", "DaemonSet", "Deployment", "ReplicaSet", "StatefulSet"],
        &[],
    ),
    group("authentication.k8s.io", &[], &["SelfSubjectReview", "TokenReview"]),
    group(
        "authorization.k8s.io",
        &["LocalSubjectAccessReview"],
        &["SelfSubjectAccessReview", "SelfSubjectRulesReview", "SubjectAccessReview"],
    ),
    group("autoscaling", &["HorizontalPodAutoscaler"], &[]),
    group("batch", &["CronJob", "Job"], &[]),
    group(
        "certificates.k8s.io",
        &["PodCertificateRequest"],
        &["CertificateSigningRequest", "ClusterTrustBundle"],
    ),
    group("coordination.k8s.io", &["Lease", "LeaseCandidate"], &[]),
    group("discovery.k8s.io", &["EndpointSlice"], &[]),
    group("events.k8s.io", &["Event"], &[]),
    group("extensions", &["Deployment", "DaemonSet", "Ingress", "ReplicaSet"], &[]),
    group("flowcontrol.apiserver.k8s.io", &[], &["FlowSchema", "PriorityLevelConfiguration"]),
    group("internal.apiserver.k8s.io", &[], &["StorageVersion"]),
    group(
        "networking.k8s.io",
        &["Ingress", "NetworkPolicy"],
        &["IPAddress", "IngressClass", "ServiceCIDR"],
    ),
    group("node.k8s.io", &[], &["RuntimeClass"]),
    group("policy", &["PodDisruptionBudget"], &["PodSecurityPolicy"]),
    group(
        "rbac.authorization.k8s.io",
        &["Role", "RoleBinding"],
        &["ClusterRole", "ClusterRoleBinding"],
    ),
    group(
        "resource.k8s.io",
        &["ResourceClaim", "ResourceClaimTemplate"],
        &["DeviceClass", "DeviceTaintRule", "ResourceSlice"],
    ),
    group("scheduling.k8s.io", &[], &["PriorityClass"]),
    group(
        "storage.k8s.io",
        &["CSIStorageCapacity"],
        &["CSIDriver", "CSINode", "StorageClass", "VolumeAttachment", "VolumeAttributesClass"],
    ),
    group("storagemigration.k8s.io", &[], &["StorageVersionMigration"]),
];

/// Cluster-scoped kinds of well-known extensions.
const CLUSTER_SCOPED: &[(&str, &str)] = &[
    ("cert-manager.io", "ClusterIssuer"),
    ("external-secrets.io", "ClusterExternalSecret"),
    ("external-secrets.io", "ClusterSecretStore"),
    ("kyverno.io", "ClusterPolicy"),
    ("operator.tekton.dev", "OpenShiftPipelinesAsCode"),
    ("operator.tekton.dev", "TektonAddon"),
    ("operator.tekton.dev", "TektonChain"),
    ("operator.tekton.dev", "TektonConfig"),
    ("operator.tekton.dev", "TektonDashboard"),
    ("operator.tekton.dev", "TektonHub"),
    ("operator.tekton.dev", "TektonPipeline"),
    ("operator.tekton.dev", "TektonPruner"),
    ("operator.tekton.dev", "TektonResult"),
    ("operator.tekton.dev", "TektonTrigger"),
    ("project.openshift.io", "Project"),
    ("project.openshift.io", "ProjectRequest"),
    ("security.openshift.io", "SecurityContextConstraints"),
    ("tekton.dev", "ClusterTask"),
    ("triggers.tekton.dev", "ClusterInterceptor"),
    ("triggers.tekton.dev", "ClusterTriggerBinding"),
];

/// The scope of a kind by the built-in table.
pub(super) fn scope(group: &str, kind: &str) -> Scope {
    if let Some(whole) = WHOLE.iter().find(|g| g.name == group) {
        return if whole.namespaced.contains(&kind) {
            Scope::Namespaced
        } else if whole.cluster.contains(&kind) {
            Scope::Cluster
        } else {
            Scope::Missing
        };
    }
    if CLUSTER_SCOPED.contains(&(group, kind)) { Scope::Cluster } else { Scope::Namespaced }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kubernetes_own_groups_are_whole_and_others_are_open() {
        for (group, kind, want) in [
            ("", "ConfigMap", Scope::Namespaced),
            ("", "Namespace", Scope::Cluster),
            ("", "Deployment", Scope::Missing),
            ("apps", "Deployment", Scope::Namespaced),
            ("apps", "Deploymant", Scope::Missing),
            ("rbac.authorization.k8s.io", "ClusterRole", Scope::Cluster),
            ("tekton.dev", "PipelineRun", Scope::Namespaced),
            ("tekton.dev", "ClusterTask", Scope::Cluster),
            ("triggers.tekton.dev", "ClusterInterceptor", Scope::Cluster),
            ("example.org", "Anything", Scope::Namespaced),
        ] {
            assert_eq!(scope(group, kind), want, "{group} {kind}");
        }
    }
}
