//! Fields that another field manager holds.

use sentry_core::deployer::{Checked, Cluster as _, Deployer as _, ObjectErrors};
use sentry_core::plan::{Action, Plan, PlannedObject};
use sentry_core::watch::ForceConflicts;
use serde_json::{Value, json};

use super::{Lab, lab, plan, planned};

const ALL: [ForceConflicts; 3] =
    [ForceConflicts::Never, ForceConflicts::First, ForceConflicts::Always];

fn task(image: &str) -> PlannedObject {
    let mut task = planned("Task", "unit", None);
    task.json["spec"] = json!({"steps": [{"name": "a", "image": image}], "description": image});
    task
}

fn forced(objects: Vec<PlannedObject>, force_conflicts: ForceConflicts) -> Plan {
    Plan { force_conflicts, ..plan(objects) }
}

/// A lab where a person made the task by hand, whom kubectl names so, and a webhook filled in what it lacks.
async fn made_by(args: &[&str]) -> Lab {
    let lab = lab();
    lab.by_hand(args, &task("by-hand").json).await;
    lab.server
        .edit("Task", "unit", |task| task["spec"]["steps"][0]["computeResources"] = json!({}));
    lab
}

fn image(lab: &Lab) -> Value {
    lab.server.object("Task", "unit").unwrap()["spec"]["steps"][0]["image"].clone()
}

/// What becomes of a delivery beside another object: the check's refusals, or a complete apply.
async fn deliver(lab: &Lab, force: ForceConflicts) -> ObjectErrors {
    let plan = forced(vec![task("new"), planned("ConfigMap", "other", None)], force);
    let checked = lab.deployer.check(&plan).await.unwrap();
    if checked.refused.is_empty() {
        let changes = lab.deployer.apply(&plan, &checked).await.unwrap();
        assert!(changes.is_complete(), "{changes:?}");
    }
    checked.refused
}

#[tokio::test]
async fn what_kubectl_apply_and_kubectl_create_made_is_taken_over_unless_the_watch_says_never() {
    for (args, manager) in
        [(&["apply"][..], "kubectl-client-side-apply"), (&["create"], "kubectl-create")]
    {
        for force in ALL {
            let lab = made_by(args).await;
            let refused = deliver(&lab, force).await;
            if force != ForceConflicts::Never {
                assert!(refused.is_empty(), "{force:?}: {refused:?}");
                assert_eq!(image(&lab), "new");
                assert!(
                    deliver(&lab, ForceConflicts::Never).await.is_empty(),
                    "it is Sentry's now"
                );
                continue;
            }
            let [(object, error)] = &refused[..] else { panic!("{refused:?}") };
            assert_eq!(object.name, "unit");
            let text = error.to_string();
            assert!(text.contains(manager) && text.contains(".spec.steps"), "{text}");
            assert!(
                !text.contains("--force-conflicts"),
                "no option that a person can't give: {text}"
            );
            assert!(error.hint().unwrap().contains("`cluster.force_conflicts` to `first`"));
            assert_eq!(image(&lab), "by-hand");
        }
    }
}

#[tokio::test]
async fn what_anybody_else_holds_as_well_is_refused_by_name_unless_the_watch_says_always() {
    for force in ALL {
        let lab = made_by(&["apply"]).await;
        let helm = ["apply", "--server-side", "--force-conflicts", "--field-manager=helm"];
        let mut theirs = planned("Task", "unit", None).json;
        theirs["spec"]["description"] = json!("theirs");
        lab.by_hand(&helm, &theirs).await;
        let refused = deliver(&lab, force).await;
        if force == ForceConflicts::Always {
            assert!(refused.is_empty(), "{refused:?}");
            assert_eq!(image(&lab), "new");
            continue;
        }
        assert!(refused[0].1.to_string().contains("helm"), "{force:?}: {refused:?}");
        assert_eq!(image(&lab), "by-hand", "{force:?}");
    }
}

#[tokio::test]
async fn an_apply_takes_over_no_more_than_its_check_would_have() {
    for (manager, taking) in [("kubectl-create", &ALL[1..]), ("helm", &ALL[2..])] {
        for force in ALL {
            let lab = lab();
            let by = format!("--field-manager={manager}");
            lab.by_hand(&["apply", "--server-side", &by], &task("by-hand").json).await;
            let changes = lab
                .deployer
                .apply(&forced(vec![task("new")], force), &Checked::default())
                .await
                .unwrap();
            let taken = taking.contains(&force);
            assert_eq!(changes.is_complete(), taken, "{manager} {force:?}: {changes:?}");
            assert_eq!(image(&lab), if taken { "new" } else { "by-hand" }, "{manager} {force:?}");
        }
    }
}

#[tokio::test]
async fn a_diff_shows_what_would_be_taken_over() {
    let lab = made_by(&["create"]).await;
    let first = forced(vec![task("new")], ForceConflicts::First);
    let diff = lab.deployer.diff(&first).await.unwrap();
    assert_eq!(diff[0].action, Action::Configured);
    assert!(diff[0].after.contains("new"), "{}", diff[0].after);
    let error =
        lab.deployer.diff(&forced(vec![task("new")], ForceConflicts::Never)).await.unwrap_err();
    assert!(error.to_string().contains("kubectl-create"), "{error}");
    assert_eq!(image(&lab), "by-hand");
}
