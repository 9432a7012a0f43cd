//! A road whose agent serves the API and the page.

use crate::road::Road;
use crate::sandbox::Agent;

/// The token of those who may ask.
pub const READ: &str = "read-t0ken-5d1c";
/// The token of those who may also start something.
pub const TRIGGER: &str = "trigger-t0ken-77aa";

/// A road whose agent serves.
pub struct Served {
    /// Where everything else is.
    pub road: Road,
    /// The agent.
    pub agent: Agent,
    /// Where it is asked, without a path.
    pub url: String,
}

impl Served {
    /// Once the first heads are recorded, with both tokens.
    pub fn with_tokens() -> Self {
        Self::with("read_token: '${READ}', trigger_token: '${TRIGGER}'")
    }

    /// Once the first heads are recorded, with this under `server`.
    ///
    /// # Panics
    /// If the configuration can't be written, or the agent does not start.
    #[track_caller]
    pub fn with(server: &str) -> Self {
        let mut road = Road::new();
        road.sandbox.env("READ", READ).env("TRIGGER", TRIGGER);
        let file = road.sandbox.work().join("sentry.yaml");
        let config = std::fs::read_to_string(&file).expect("the road has a configuration");
        let config = format!("server: {{{server}}}\n{config}");
        std::fs::write(&file, config).expect("the configuration can be written");
        assert_eq!(road.once().code, Some(0));
        let mut agent = road.sandbox.spawn(["watch", "--listen", "127.0.0.1:0"]);
        let url = format!("http://{}", agent.serves_at());
        agent.wait_for_log("started");
        Self { road, agent, url }
    }
}
