//! Which kinds a cluster serves, in which versions.

use std::collections::BTreeSet;

use sentry_core::deployer::{
    Cluster as _, DeployErrorKind, Deployer as _, KindTable, KindsQuery, Served,
};

use super::{Lab, cluster, lab, plan, planned};

const YES: Served<'static> = Served::Yes { namespaced: true };

async fn table(lab: &Lab, wanted: &[(&str, &str)]) -> std::sync::Arc<KindTable> {
    let wanted = wanted.iter().map(|(version, kind)| ((*version).to_owned(), (*kind).to_owned()));
    let wanted = KindsQuery { kinds: wanted.collect(), fields: BTreeSet::new() };
    lab.deployer.kinds(&cluster(), &wanted).await.unwrap().unwrap()
}

#[tokio::test]
async fn each_wanted_version_is_known_to_be_served_or_not_and_those_that_are() {
    let lab = lab();
    let wanted = [
        ("v1", "ConfigMap"),
        ("v2", "ConfigMap"),
        ("tekton.dev/v1", "Task"),
        ("tekton.dev/v1beta1", "Task"),
        ("tekton.dev/v1alpha1", "Task"),
        ("tekton.dev/v1", "StepAction"),
        ("tekton.dev/v1", "Taks"),
        ("batch/v1beta1", "CronJob"),
        ("absent.example/v1", "Thing"),
    ];
    let table = table(&lab, &wanted).await;
    let served = |at: usize| table.served(wanted[at].0, wanted[at].1);
    let only = |versions: &[&str]| versions.iter().map(|v| (*v).to_owned()).collect::<Vec<_>>();
    assert_eq!([served(0), served(2), served(3)], [YES; 3]);
    assert_eq!(served(1), Served::In(&only(&["v1"])));
    assert_eq!(served(4), Served::In(&only(&["v1", "v1beta1"])));
    assert_eq!(served(5), Served::In(&only(&["v1beta1"])));
    assert_eq!(served(7), Served::In(&only(&["v1"])));
    assert_eq!([served(6), served(8)], [Served::Never; 2]);
}

#[tokio::test]
async fn what_is_known_of_a_group_is_not_asked_for_again() {
    let lab = lab();
    table(&lab, &[("tekton.dev/v1", "Task"), ("v1", "ConfigMap")]).await;
    let asked = |lab: &Lab| lab.server.requests().len();
    let first = asked(&lab);
    table(&lab, &[("tekton.dev/v1", "Pipeline"), ("absent.example/v1", "Thing")]).await;
    assert_eq!(asked(&lab), first, "it is known");
    let old = [("tekton.dev/v1alpha1", "Task")];
    let known = table(&lab, &old).await;
    assert!(matches!(known.served(old[0].0, old[0].1), Served::In(_)));
    let second = asked(&lab);
    table(&lab, &old).await;
    assert_eq!(asked(&lab), second);
}

#[tokio::test]
async fn once_a_check_meets_a_kind_that_is_missing_the_table_is_read_anew() {
    let lab = lab();
    let wanted = [("tekton.dev/v1", "Task")];
    table(&lab, &wanted).await;
    let mut gone = planned("Task", "unit", None);
    gone.object.api_version = "tekton.dev/v1alpha1".into();
    gone.json["apiVersion"] = "tekton.dev/v1alpha1".into();
    let refused = lab.deployer.check(&plan(vec![gone])).await.unwrap().refused;
    assert_eq!(refused[0].1.kind(), DeployErrorKind::Missing, "{refused:?}");
    let before = lab.server.requests().len();
    table(&lab, &wanted).await;
    assert!(lab.server.requests().len() > before, "its cluster may have installed it since");
}

#[tokio::test]
async fn a_group_that_can_not_be_read_is_unknown_and_the_others_are_not() {
    let lab = lab();
    lab.server.faults().break_group("metrics.k8s.io");
    let wanted = [("metrics.k8s.io/v1beta1", "PodMetrics"), ("tekton.dev/v1alpha1", "Task")];
    let known = table(&lab, &wanted).await;
    assert_eq!(
        known.served("metrics.k8s.io/v1beta1", "PodMetrics"),
        Served::Unknown { namespaced: None }
    );
    assert_eq!(known.served("tekton.dev/v1", "Task"), YES);
    assert!(matches!(known.served("tekton.dev/v1alpha1", "Task"), Served::In(_)));
    assert_eq!(known.served("tekton.dev/v1", "Taks"), Served::Never);
    lab.server.faults().heal();
    let healed = table(&lab, &wanted).await;
    assert_eq!(healed.served("metrics.k8s.io/v1beta1", "PodMetrics"), Served::Never);
}

#[tokio::test]
async fn the_fields_of_a_version_are_read_once_where_they_are_wanted_and_the_server_has_them() {
    let lab = lab();
    let wanted = |version: &str| KindsQuery {
        kinds: [(version.to_owned(), "Task".to_owned())].into(),
        fields: [version.to_owned()].into(),
    };
    let asked = |lab: &Lab| {
        let all = lab.server.requests();
        all.iter().filter(|request| request.path.starts_with("/openapi/v3/")).count()
    };
    for _ in 0..2 {
        let kinds =
            lab.deployer.kinds(&cluster(), &wanted("tekton.dev/v1")).await.unwrap().unwrap();
        let task = kinds.fields("tekton.dev/v1", "Task").unwrap();
        assert!(task.named.contains_key("steps") && !task.named.contains_key("owner"));
        assert_eq!(asked(&lab), 1);
    }
    let absent = lab.deployer.kinds(&cluster(), &wanted("tekton.dev/v1alpha1")).await.unwrap();
    assert_eq!(absent.unwrap().fields("tekton.dev/v1alpha1", "Task"), None);
    assert_eq!(asked(&lab), 1, "what is not served is not asked for");
    lab.server.pause();
    let away = lab.deployer.kinds(&cluster(), &wanted("tekton.dev/v1beta1")).await.unwrap_err();
    assert_eq!(away.kind(), DeployErrorKind::Unreachable);
}
