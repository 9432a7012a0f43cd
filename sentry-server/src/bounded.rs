//! Limits on concurrent requests. A reader must neither start programs without end nor keep the agent from its
//! own state, so every question has a turn to wait for, a queue that ends, and a deadline.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use sentry_api::query::{AuditQuery, ExplainQuery, HistoryQuery, StatusQuery, WhyQuery};
use sentry_api::shape::{
    Acknowledgement, AgentStatus, ApproveRequest, Audit, Documents, History, RerunRequest, Show,
    Status, SuspendRequest, SuspensionAcknowledgement, TriggerRequest, Why,
};
use sentry_api::{Answers, ApiError, Asker, ErrorKind};
use tokio::sync::Semaphore;

/// Answers that are asked by many: so few questions at a time that each can be afforded. Requests go through as they are:
/// only who may start runs makes them.
#[derive(Debug)]
pub struct Bounded {
    answers: Arc<dyn Answers>,
    /// What the state alone answers.
    near: Bound,
    /// What starts programs and asks forge and cluster.
    far: Bound,
}

impl Bounded {
    /// The same answers, 8 at a time from the state and 2 at a time from forge and cluster.
    #[must_use]
    pub fn new(answers: Arc<dyn Answers>) -> Self {
        let (near, far) = (Bound::new(8, 40, 30), Bound::new(2, 10, 100));
        Self { answers, near, far }
    }
}

/// A bound for one kind of question.
#[derive(Debug)]
struct Bound {
    /// Those that are answered now.
    turns: Semaphore,
    /// These, and those that wait.
    queue: Semaphore,
    deadline: Duration,
}

impl Bound {
    fn new(turns: usize, queue: usize, seconds: u64) -> Self {
        let deadline = Duration::from_secs(seconds);
        Self { turns: Semaphore::new(turns), queue: Semaphore::new(queue), deadline }
    }

    async fn keep<T>(
        &self,
        answer: impl Future<Output = Result<T, ApiError>> + Send,
    ) -> Result<T, ApiError> {
        let too_much =
            |text| Err(ApiError::new(ErrorKind::TooMuch, text).with_hint("try again later"));
        let Ok(_waiting) = self.queue.try_acquire() else {
            return too_much("too many requests of this kind are waiting".to_owned());
        };
        let in_turn = async {
            let _turn = self.turns.acquire().await;
            answer.await
        };
        match tokio::time::timeout(self.deadline, in_turn).await {
            Ok(answer) => answer,
            Err(_) => too_much(format!("it was not answered within {} s", self.deadline.as_secs())),
        }
    }
}

#[async_trait]
impl Answers for Bounded {
    async fn status(&self, query: &StatusQuery) -> Result<Status, ApiError> {
        self.near.keep(self.answers.status(query)).await
    }

    async fn agent(&self) -> Result<Option<AgentStatus>, ApiError> {
        self.near.keep(self.answers.agent()).await
    }

    async fn why(&self, commit: &str, query: &WhyQuery) -> Result<Why, ApiError> {
        self.near.keep(self.answers.why(commit, query)).await
    }

    async fn history(&self, query: &HistoryQuery) -> Result<History, ApiError> {
        self.near.keep(self.answers.history(query)).await
    }

    async fn show(&self, delivery: &str) -> Result<Show, ApiError> {
        self.near.keep(self.answers.show(delivery)).await
    }

    async fn audit(&self, query: &AuditQuery) -> Result<Audit, ApiError> {
        self.near.keep(self.answers.audit(query)).await
    }

    async fn explain(&self, query: &ExplainQuery) -> Result<Documents, ApiError> {
        self.far.keep(self.answers.explain(query)).await
    }

    async fn trigger_state(&self, trigger: &str) -> Result<Acknowledgement, ApiError> {
        self.near.keep(self.answers.trigger_state(trigger)).await
    }

    async fn trigger(
        &self,
        request: &TriggerRequest,
        asker: Asker<'_>,
    ) -> Result<Acknowledgement, ApiError> {
        self.answers.trigger(request, asker).await
    }

    async fn retry(&self, delivery: &str, asker: Asker<'_>) -> Result<Acknowledgement, ApiError> {
        self.answers.retry(delivery, asker).await
    }

    async fn cancel(&self, delivery: &str, asker: Asker<'_>) -> Result<Acknowledgement, ApiError> {
        self.answers.cancel(delivery, asker).await
    }

    async fn approve(
        &self,
        watch: &str,
        number: &str,
        request: &ApproveRequest,
        asker: Asker<'_>,
    ) -> Result<Acknowledgement, ApiError> {
        self.answers.approve(watch, number, request, asker).await
    }

    async fn rerun(
        &self,
        delivery: &str,
        request: &RerunRequest,
        asker: Asker<'_>,
    ) -> Result<Acknowledgement, ApiError> {
        self.answers.rerun(delivery, request, asker).await
    }

    async fn suspend(
        &self,
        watch: &str,
        request: &SuspendRequest,
        by: Option<&str>,
    ) -> Result<SuspensionAcknowledgement, ApiError> {
        self.answers.suspend(watch, request, by).await
    }

    async fn resume(
        &self,
        watch: &str,
        by: Option<&str>,
    ) -> Result<SuspensionAcknowledgement, ApiError> {
        self.answers.resume(watch, by).await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures::future::join_all;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn questions_take_turns_the_queue_ends_and_none_outlasts_its_deadline() {
        let bound = Bound::new(2, 10, 100);
        let (now, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let ask = |seconds| {
            let (now, most) = (&now, &most);
            bound.keep(async move {
                most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_secs(seconds)).await;
                now.fetch_sub(1, Ordering::SeqCst);
                Ok(())
            })
        };
        let answers = join_all((0..120).map(|_| ask(1))).await;
        assert_eq!(most.load(Ordering::SeqCst), 2);
        assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 10);
        let refused = answers.into_iter().find_map(Result::err).unwrap();
        assert_eq!(refused.kind(), ErrorKind::TooMuch);
        let began = tokio::time::Instant::now();
        assert!(ask(1000).await.is_err());
        assert_eq!(began.elapsed().as_secs(), 100);
        ask(1).await.unwrap();
    }
}
