//! What Slack and Mattermost take: both a JSON object with the text in it.

use serde_json::json;

/// The body of an incoming webhook.
///
/// Slack: <https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks/>; Mattermost:
/// <https://developers.mattermost.com/integrate/webhooks/incoming/>.
pub(crate) fn body(text: &str) -> String {
    json!({ "text": text }).to_string()
}
