//! Objects that are written only as the check saw them.

use sentry_core::clock::Timestamp;
use sentry_core::deployer::{Checked, DeployErrorKind, Deployer as _};
use sentry_core::ids::DeliveryId;
use sentry_core::plan::{Action, DELIVERY_LABEL, Plan, PlannedObject};
use serde_json::json;

use super::{lab, plan, planned};

/// A Task of the nth delivery.
fn of_delivery(nth: u128) -> Plan {
    let mut task: PlannedObject = planned("Task", "unit", None);
    let delivery = DeliveryId::new(Timestamp::UNIX_EPOCH, nth);
    task.json["metadata"]["labels"][DELIVERY_LABEL] = json!(delivery.as_str());
    plan(vec![task])
}

fn bound(mut checked: Checked) -> Checked {
    checked.bind();
    checked
}

#[tokio::test]
async fn what_a_newer_delivery_wrote_is_not_undone_by_an_apply_that_was_held_up() {
    for is_there in [false, true] {
        let lab = lab();
        let deployer = &lab.deployer;
        if is_there {
            deployer.apply(&of_delivery(1), &Checked::default()).await.unwrap();
        }
        let held_up = bound(deployer.check(&of_delivery(2)).await.unwrap());
        let newer = bound(deployer.check(&of_delivery(3)).await.unwrap());
        assert!(deployer.apply(&of_delivery(3), &newer).await.unwrap().is_complete());
        let written = lab.server.object("Task", "unit");
        let late = deployer.apply(&of_delivery(2), &held_up).await.unwrap();
        assert_eq!(late.error.unwrap().kind(), DeployErrorKind::Stale, "there: {is_there}");
        assert_eq!(lab.server.object("Task", "unit"), written);
        // Unbound, it would have been.
        let unbound = deployer.apply(&of_delivery(2), &Checked::default()).await.unwrap();
        assert!(unbound.is_complete());
        assert_ne!(lab.server.object("Task", "unit"), written);
    }
}

#[tokio::test]
async fn what_others_wrote_or_deleted_meanwhile_or_an_older_delivery_did_is_no_obstacle() {
    for meanwhile in ["written by others", "deleted", "an older delivery's"] {
        let lab = lab();
        let deployer = &lab.deployer;
        deployer.apply(&of_delivery(2), &Checked::default()).await.unwrap();
        let checked = bound(deployer.check(&of_delivery(3)).await.unwrap());
        let task = json!({"apiVersion": "tekton.dev/v1", "kind": "Task",
            "metadata": {"name": "unit", "namespace": "qa", "annotations": {"by": "somebody"}}});
        match meanwhile {
            "written by others" => {
                let args = ["apply", "--server-side", "--field-manager=other"];
                lab.by_hand(&args, &task).await;
            }
            "deleted" => assert!(lab.server.delete("Task", "unit")),
            _ => drop(deployer.apply(&of_delivery(1), &Checked::default()).await.unwrap()),
        }
        let done = deployer.apply(&of_delivery(3), &checked).await.unwrap();
        assert!(done.is_complete(), "{meanwhile}: {:?}", done.error);
        assert!(
            matches!(done.objects[0].action, Action::Configured | Action::Created),
            "{meanwhile}"
        );
        let labels = lab.server.object("Task", "unit").unwrap()["metadata"]["labels"].clone();
        assert_eq!(
            labels[DELIVERY_LABEL],
            of_delivery(3).objects[0].json["metadata"]["labels"][DELIVERY_LABEL]
        );
    }
}
