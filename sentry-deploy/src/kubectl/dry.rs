//! Dry runs on the server: what objects would be, and which of them are refused.
//!
//! kubectl continues after an object that fails, and the text of an error often does not say which one it is about. So
//! what was not acknowledged is tried again, one by one: which object an error belongs to is observed, never guessed.

use sentry_core::deployer::{DeployError, ObjectErrors};
use sentry_core::plan::{ObjectRef, PlannedObject};
use sentry_core::watch::ForceConflicts;
use serde_json::Value;

use super::call::{self, APPLY, Caller, FORCE, Reply, is_general, object_error};
use super::{answer, managers, output};

/// One way of asking.
#[derive(Debug)]
pub(super) struct DryRun<'a> {
    caller: &'a Caller<'a>,
    args: Vec<&'static str>,
    force: ForceConflicts,
    /// True if what would be is asked for as well.
    shows: bool,
    /// A run that exists already is no reason to refuse: its key decides when it is applied.
    may_exist: bool,
}

/// What a dry run found out.
#[derive(Debug, Default)]
pub(super) struct Asked {
    /// What the objects would be, where that was asked for: those that exist carry a resource version.
    pub(super) live: Vec<Value>,
    /// The errors, each with its object.
    pub(super) refused: ObjectErrors,
}

impl<'a> DryRun<'a> {
    /// Of what is applied.
    pub(super) fn apply(
        caller: &'a Caller<'a>,
        validate: &'static str,
        force: ForceConflicts,
    ) -> Self {
        let mut args = APPLY.to_vec();
        args.extend(["--dry-run=server", validate]);
        args.extend((force == ForceConflicts::Always).then_some(FORCE));
        Self { caller, args, force, shows: true, may_exist: false }
    }

    /// Of runs, of which some may exist.
    pub(super) fn create(caller: &'a Caller<'a>, validate: &'static str) -> Self {
        let args = vec!["create", "-f", "-", "--dry-run=server", validate];
        Self { caller, args, force: ForceConflicts::Never, shows: false, may_exist: true }
    }

    /// Of runs that do not exist, with what they would be.
    pub(super) fn show_new(caller: &'a Caller<'a>, validate: &'static str) -> Self {
        Self { shows: true, ..Self::create(caller, validate) }
    }

    /// Asks about objects of one namespace.
    ///
    /// # Errors
    /// Where the answer says nothing about them.
    pub(super) async fn ask(&self, objects: &[&PlannedObject]) -> Result<Asked, DeployError> {
        if objects.is_empty() {
            return Ok(Asked::default());
        }
        let reply = self.call(objects, self.shows).await?;
        if let Some(live) = self.passes(&reply) {
            return Ok(Asked { live, refused: Vec::new() });
        }
        if let [object] = objects {
            return self.alone(object, reply).await;
        }
        // With JSON kubectl prints nothing when anything failed; its lines say what passed.
        let reply = if self.shows { self.call(objects, false).await? } else { reply };
        about_all(&reply)?;
        let refs: Vec<&ObjectRef> = objects.iter().map(|planned| &planned.object).collect();
        let done = output::acknowledged(&reply.stdout, &refs);
        let mut asked = Asked::default();
        for (object, _) in objects.iter().zip(&done).filter(|(_, done)| !**done) {
            let found = self.alone(object, self.call(&[object], self.shows).await?).await?;
            asked.live.extend(found.live);
            asked.refused.extend(found.refused);
        }
        let passed = objects.iter().zip(&done).filter(|(_, done)| **done);
        let passed: Vec<_> = passed.map(|(object, _)| *object).collect();
        if self.shows && !passed.is_empty() {
            let reply = self.call(&passed, true).await?;
            let live = self.passes(&reply).ok_or_else(|| reply.error("the check failed"))?;
            asked.live.extend(live);
        }
        Ok(asked)
    }

    /// What a call about one object alone comes to.
    async fn alone(&self, object: &PlannedObject, reply: Reply) -> Result<Asked, DeployError> {
        let mut reply = reply;
        if self.force == ForceConflicts::First
            && reply.errors.iter().any(|error| managers::is_left_by_kubectl(error))
        {
            let args = [&self.args[..], &[FORCE]].concat();
            reply = self.call_with(args, &[object], self.shows).await?;
        }
        if let Some(live) = self.passes(&reply) {
            return Ok(Asked { live, refused: Vec::new() });
        }
        about_all(&reply)?;
        let text = reply.errors.first().ok_or_else(|| reply.error("the check failed"))?;
        let refused = vec![(object.object.clone(), object_error(&object.object, text))];
        Ok(Asked { live: Vec::new(), refused })
    }

    /// What a call reports, if it reports no error.
    fn passes(&self, reply: &Reply) -> Option<Vec<Value>> {
        let exists = |error: &String| answer::server_reason(error) == Some("AlreadyExists");
        let excused = self.may_exist && !reply.errors.is_empty() && reply.errors.iter().all(exists);
        (reply.success || excused).then(|| output::documents(&reply.stdout))
    }

    async fn call(&self, objects: &[&PlannedObject], shows: bool) -> Result<Reply, DeployError> {
        self.call_with(self.args.clone(), objects, shows).await
    }

    async fn call_with(
        &self,
        mut args: Vec<&str>,
        objects: &[&PlannedObject],
        shows: bool,
    ) -> Result<Reply, DeployError> {
        if shows {
            args.extend(["-o", "json"]);
        }
        self.caller.run(&args, call::list(objects)).await
    }
}

/// Whether a reply's errors are about single objects.
///
/// # Errors
/// The error if none of them is: the cluster is away, or the call can't have reached it.
pub(super) fn about_all(reply: &Reply) -> Result<(), DeployError> {
    let general = !reply.errors.is_empty() && reply.errors.iter().all(|error| is_general(error));
    match reply.errors.first() {
        _ if reply.ended.is_some() => Err(reply.error("")),
        Some(error) if general => Err(call::describe("kubectl", error)),
        _ => Ok(()),
    }
}
