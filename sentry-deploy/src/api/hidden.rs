//! What a plan holds that no text may show. Pure.

use sentry_core::plan::Plan;
use sentry_core::secret::{Redactor, Secret};

/// Makes a redactor know what the plan's Secret objects hold, and what is lent to its runs.
pub(crate) fn learn(redactor: &Redactor, plan: &Plan) {
    plan.git_auth.iter().flat_map(|lent| lent.data.values()).for_each(|s| redactor.learn(s));
    for secret in plan.objects.iter().filter(|planned| planned.object.kind == "Secret") {
        for field in ["data", "stringData"] {
            let values = secret.json[field].as_object().into_iter().flatten();
            for value in values.filter_map(|(_, value)| value.as_str()) {
                redactor.learn(&Secret::new(value));
                // A server's error quotes what the base64 stands for.
                if let Some(plain) = (field == "data").then(|| decode(value)).flatten() {
                    redactor.learn(&Secret::new(plain));
                }
            }
        }
    }
}

fn decode(text: &str) -> Option<String> {
    use base64::Engine as _;
    let bytes = base64::engine::general_purpose::STANDARD.decode(text).ok()?;
    String::from_utf8(bytes).ok()
}
