//! How kubectl reads what is followed.

use std::time::Duration;

use async_trait::async_trait;
use sentry_core::deployer::DeployError;
use sentry_core::names::ClusterRef;
use sentry_core::secret::Redactor;
use sentry_process::ProcessError;

use super::{Kubectl, KubectlSettings, call};
use crate::follow::{Lines, Reader, Trouble, lost};

/// What kubectl has beyond the end of its watch before it is killed.
const SLACK: Duration = Duration::from_secs(20);

#[async_trait]
impl Reader for Kubectl {
    type Lines = Watch;

    async fn get(
        &self,
        cluster: &ClusterRef,
        path: &str,
        limit: Duration,
    ) -> Result<String, Trouble> {
        self.caller(cluster, limit).get(path).await.map_err(old_or_error)
    }

    async fn watch(&self, cluster: &ClusterRef, path: &str) -> Result<Watch, Trouble> {
        let length = self.length();
        let caller = self.caller(cluster, length + SLACK.min(length));
        let lines = caller.lines(path).map_err(Trouble::Error)?;
        Ok(Watch { lines: Some(lines), settings: self.settings.clone(), cluster: cluster.clone() })
    }

    fn length(&self) -> Duration {
        self.settings.watch
    }

    fn redactor(&self) -> &Redactor {
        &self.settings.redactor
    }
}

/// kubectl while it watches.
#[derive(Debug)]
pub(crate) struct Watch {
    lines: Option<sentry_process::Lines>,
    settings: KubectlSettings,
    cluster: ClusterRef,
}

#[async_trait]
impl Lines for Watch {
    async fn next(&mut self) -> Result<Option<Vec<u8>>, Trouble> {
        let Some(lines) = &mut self.lines else { return Ok(None) };
        match lines.next().await {
            Ok(Some(line)) => Ok(Some(line)),
            Ok(None) => self.end().await,
            Err(error) => Err(self.broken(&error)),
        }
    }
}

impl Watch {
    async fn end(&mut self) -> Result<Option<Vec<u8>>, Trouble> {
        let Some(lines) = self.lines.take() else { return Ok(None) };
        let end = lines.end().await.map_err(|error| self.broken(&error))?;
        if end.status.success() {
            return Ok(None);
        }
        let redact = |text: &str| self.settings.redactor.redact(text);
        let texts = call::clean(&self.settings, redact, &String::from_utf8_lossy(&end.stderr));
        let text = texts.first().map_or("kubectl did not say why", String::as_str);
        let doing = format!("can't follow the runs of {}", self.cluster);
        Err(old_or_error(call::describe(&doing, text)))
    }

    fn broken(&self, error: &ProcessError) -> Trouble {
        Trouble::Error(match error {
            ProcessError::Timeout { .. } => lost(&self.cluster, "it stopped responding"),
            other => lost(&self.cluster, &other.to_string()),
        })
    }
}

/// A server says that a version or a page is too old by `Expired` or `Gone` (status 410).
fn old_or_error(error: DeployError) -> Trouble {
    let text = error.to_string();
    let old = text.contains("too old resource version") || text.contains("continue parameter");
    if old { Trouble::Old } else { Trouble::Error(error) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sentry_core::deployer::DeployErrorKind;
    use sentry_process::Program;

    #[test]
    fn what_a_server_calls_too_old_is_read_again() {
        for (text, old) in [
            ("x: too old resource version: 1 (2)", true),
            ("x: The provided continue parameter is too old", true),
            ("x: EOF", false),
        ] {
            let error = DeployError::new(DeployErrorKind::Unreachable, text);
            assert_eq!(matches!(old_or_error(error), Trouble::Old), old, "{text}");
        }
    }

    #[tokio::test]
    async fn a_watch_whose_program_failed_is_trouble_and_one_that_ended_well_is_none() {
        for (program, trouble) in [("true", false), ("false", true)] {
            let lines = Some(Program::new(program).lines().unwrap());
            let settings = KubectlSettings::new(Redactor::new());
            let namespace = "qa".parse().unwrap();
            let cluster = ClusterRef { deployer: "k".into(), context: None, namespace };
            let mut watch = Watch { lines, settings, cluster };
            assert_eq!(watch.next().await.is_err(), trouble, "{program}");
        }
    }
}
