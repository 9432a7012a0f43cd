//! What is left out with an object that the cluster refuses.

use std::collections::BTreeSet;

use super::LeftOut;
use super::refs::{Library, referable};
use crate::deployer::DeployError;
use crate::plan::{ObjectRef, PlannedObject};

/// What a delivery that leaves out what is refused does not send: the objects that the errors of
/// [`crate::deployer::Deployer::check`] tell, and the runs that refer to one of them by name, directly or through
/// others. What is put into a run is the run's own.
#[must_use]
pub fn left_out(objects: &[PlannedObject], refused: &[(ObjectRef, DeployError)]) -> Vec<LeftOut> {
    let alone = |(object, error): &(ObjectRef, DeployError)| LeftOut {
        object: object.clone(),
        reason: error.told(),
    };
    let mut left_out: Vec<LeftOut> = refused.iter().map(alone).collect();
    let is_out = |planned: &&PlannedObject| left_out.iter().any(|out| out.object == planned.object);
    let gone: BTreeSet<_> = objects
        .iter()
        .filter(is_out)
        .filter_map(|p| Some((referable(&p.json)?, p.object.name.clone(), place(p))))
        .collect();
    let mut library = Library::default();
    objects.iter().for_each(|planned| library.add(&planned.json, place(planned), false));
    let left = objects.iter().filter(|planned| planned.is_run() && !is_out(planned));
    let users: Vec<_> = left
        .filter_map(|run| {
            let wanted = library.reachable(&run.json, place(run));
            let missing = |(kind, name): (&'static str, String)| (kind, name, place(run));
            let (kind, name, _) = wanted.into_iter().map(missing).find(|w| gone.contains(w))?;
            let reason = format!("it refers to {kind} {name}, which the cluster refuses");
            Some(LeftOut { object: run.object.clone(), reason })
        })
        .collect();
    left_out.extend(users);
    left_out
}

fn place(planned: &PlannedObject) -> &str {
    planned.object.namespace.as_deref().unwrap_or_default()
}
