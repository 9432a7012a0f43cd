//! Who is notified of what: routes, occasions, and what a receiver subscribes to.

crate::closed_list! {
    /// Whom a notification is for.
    pub enum Route {
        /// The commit's author: a run failed.
        TestsFailed = "tests_failed",
        /// The person on call: nothing can be started, or track of runs was lost.
        CouldNotStart = "could_not_start",
    }
}

crate::closed_list! {
    /// What a notice is about.
    pub enum Occasion {
        /// Something failed that was not notified before.
        Failure = "failure",
        /// What was notified as a failure on the same route is over.
        Recovery = "recovery",
        /// The first delivery of the branch that succeeded as a whole, after it could not be started.
        FirstSuccess = "first_success",
        /// A success after a success.
        Success = "success",
        /// A person tries the receiver out.
        Test = "test",
    }
}

crate::closed_list! {
    /// What a receiver wants to hear of.
    pub enum On {
        /// What fails.
        Failure = "failure",
        /// That what was notified as a failure is over.
        Recovery = "recovery",
        /// A branch's first success after any failure.
        FirstSuccess = "first_success",
        /// Everything, every success as well.
        All = "all",
    }
}

/// Which notices of a watch a receiver hears.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscription {
    /// The notifier's name, as registered with the engine.
    pub receiver: String,
    /// The routes that it is on.
    pub routes: Vec<Route>,
    /// What it wants to hear of.
    pub on: Vec<On>,
}

impl Subscription {
    /// True if the receiver wants this.
    #[must_use]
    pub fn wants(&self, route: Route, occasion: Occasion) -> bool {
        let wanted = |on: &On| match (on, occasion) {
            (On::All, _) | (_, Occasion::Test) => true,
            (On::Failure, occasion) => occasion == Occasion::Failure,
            (On::Recovery, occasion) => occasion == Occasion::Recovery,
            (On::FirstSuccess, Occasion::FirstSuccess) => true,
            // Tests that pass again are the branch's first success.
            (On::FirstSuccess, Occasion::Recovery) => route == Route::TestsFailed,
            (On::FirstSuccess, _) => false,
        };
        self.routes.contains(&route) && self.on.iter().any(wanted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hears(routes: &[Route], on: &[On]) -> Vec<(Route, Occasion)> {
        let subscription =
            Subscription { receiver: "x".into(), routes: routes.into(), on: on.into() };
        let occasions =
            [Occasion::Failure, Occasion::Recovery, Occasion::FirstSuccess, Occasion::Success];
        let pairs = Route::ALL.iter().flat_map(|r| occasions.map(|o| (*r, o)));
        pairs.filter(|(route, occasion)| subscription.wants(*route, *occasion)).collect()
    }

    #[test]
    fn a_receiver_hears_its_routes_and_occasions_and_nothing_else() {
        use Occasion::{Failure, FirstSuccess, Recovery};
        use Route::{CouldNotStart, TestsFailed};
        assert_eq!(
            hears(&[CouldNotStart], &[On::Failure, On::Recovery]),
            [(CouldNotStart, Failure), (CouldNotStart, Recovery)]
        );
        assert_eq!(
            hears(&[TestsFailed], &[On::FirstSuccess]),
            [(TestsFailed, Recovery), (TestsFailed, FirstSuccess)]
        );
        assert_eq!(hears(&[CouldNotStart], &[On::FirstSuccess]), [(CouldNotStart, FirstSuccess)]);
        assert_eq!(hears(Route::ALL, &[On::All]).len(), 8);
        assert_eq!(hears(&[], &[On::All]), []);
    }
}
