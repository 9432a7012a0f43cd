//! Which kinds there are and which live in a namespace, for when no cluster can be asked.
//!
//! The groups of Kubernetes itself are whole (`kubectl api-resources` of 1.34, and kinds that older servers still
//! serve): a kind that is not in them does not exist. Of other groups only what is known to be cluster-scoped stands
//! here: any other kind of theirs counts as namespaced, and the cluster has the last word.

use crate::repo::ParseError;
use crate::watch::GroupKind;

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

/// Kinds of Tekton's groups that live in a namespace, by which they may be named without their group.
const TEKTON: &[(&str, &str)] = &[
    ("pipelinesascode.tekton.dev", "Repository"),
    ("tekton.dev", "CustomRun"),
    ("tekton.dev", "Pipeline"),
    ("tekton.dev", "PipelineRun"),
    ("tekton.dev", "StepAction"),
    ("tekton.dev", "Task"),
    ("tekton.dev", "TaskRun"),
    ("tekton.dev", "VerificationPolicy"),
    ("triggers.tekton.dev", "EventListener"),
    ("triggers.tekton.dev", "Interceptor"),
    ("triggers.tekton.dev", "Trigger"),
    ("triggers.tekton.dev", "TriggerBinding"),
    ("triggers.tekton.dev", "TriggerTemplate"),
];

/// The kinds that an entry of `allow_kinds` stands for: `Kind.group` for one, and a kind's name alone for all kinds of
/// that name that Kubernetes and Tekton have (`Deployment` is one of `apps` and one of `extensions`).
///
/// # Errors
/// If it is not the name of a kind, or names none.
pub fn kinds_named(text: &str) -> Result<Vec<GroupKind>, ParseError> {
    let problem = |problem: String| ParseError::new("kind", text, problem);
    let (kind, group) = text.split_once('.').map_or((text, None), |(kind, g)| (kind, Some(g)));
    let capital = kind.starts_with(|c: char| c.is_ascii_uppercase());
    if !capital || !kind.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return Err(problem("is not a kind's name".to_owned()));
    }
    let Some(group) = group else {
        let found: Vec<_> = groups_of(kind).map(|group| GroupKind::new(group, kind)).collect();
        return if found.is_empty() {
            Err(problem(format!(
                "is not a kind of Kubernetes or Tekton: add its group, {kind}.GROUP"
            )))
        } else {
            Ok(found)
        };
    };
    if group.is_empty() || !super::policy::is_subdomain(group) {
        return Err(problem(format!("has no API group after `{kind}.`")));
    }
    if scope(group, kind) == Scope::Missing {
        return Err(problem(format!("is not a kind: the Kubernetes group {group} has no {kind}")));
    }
    Ok(vec![GroupKind::new(group, kind)])
}

/// How a kind is written in `allow_kinds`: without its group where the name alone says it.
pub(super) fn written(group: &str, kind: &str) -> String {
    if groups_of(kind).any(|own| own == group) {
        kind.to_owned()
    } else {
        GroupKind::new(group, kind).to_string()
    }
}

/// The groups that have a kind of this name, as far as the built-in table knows.
fn groups_of(kind: &str) -> impl Iterator<Item = &'static str> {
    let whole =
        WHOLE.iter().filter(move |g| g.namespaced.contains(&kind) || g.cluster.contains(&kind));
    let others = TEKTON.iter().chain(CLUSTER_SCOPED).filter(move |(_, own)| *own == kind);
    whole.map(|group| group.name).chain(others.map(|(group, _)| *group))
}

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

    #[test]
    fn a_kinds_name_alone_stands_for_those_of_kubernetes_and_tekton() {
        for (text, want) in [
            ("ConfigMap", "ConfigMap"),
            ("Task", "Task.tekton.dev"),
            ("Deployment", "Deployment.apps Deployment.extensions"),
            ("Event", "Event Event.events.k8s.io"),
            ("ClusterIssuer", "ClusterIssuer.cert-manager.io"),
            ("Namespace", "Namespace"),
            ("Ingress.networking.k8s.io", "Ingress.networking.k8s.io"),
            ("Pipeline.other.example", "Pipeline.other.example"),
        ] {
            let found = kinds_named(text).unwrap();
            assert_eq!(found.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "), want);
            // What is printed means the same when it is read again.
            let again: Vec<_> =
                found.iter().flat_map(|k| kinds_named(&k.to_string()).unwrap()).collect();
            assert!(
                found.iter().all(|kind| again.contains(kind))
                    && again.iter().all(|k| found.contains(k))
            );
        }
    }

    #[test]
    fn a_kind_that_could_be_anybodys_needs_its_group() {
        for (text, word) in [
            ("Certificate", "add its group, Certificate.GROUP"),
            ("configMap", "not a kind's name"),
            ("Task.", "no API group after `Task.`"),
            ("Task.Tekton.dev", "no API group"),
            ("ConfigMap.apps", "the Kubernetes group apps has no ConfigMap"),
            ("", "not a kind's name"),
        ] {
            let error = kinds_named(text).unwrap_err();
            assert!(error.problem().contains(word), "{text}: {error}");
        }
    }
}
