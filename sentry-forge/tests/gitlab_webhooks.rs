//! GitLab's webhooks and system hooks in the shapes that its documentation shows, written here for these tests:
//! <https://docs.gitlab.com/user/project/integrations/webhook_events/> and
//! <https://docs.gitlab.com/administration/system_hooks/>.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail their test")]

use http::{HeaderMap, HeaderValue};
use sentry_core::clock::Timestamp;
use sentry_core::secret::{Redactor, Secret};
use sentry_forge::gitlab;
use sentry_forge::webhook::{Message, Webhook, WebhookError};
use serde_json::{Value, json};

const TOKEN: &str = "the-secret-token";

/// The object that every event about a project has.
fn project() -> Value {
    json!({"id": 15, "name": "shop", "description": "", "web_url": "http://gitlab.example.com/group/sub/shop",
        "avatar_url": null, "git_ssh_url": "git@gitlab.example.com:group/sub/shop.git",
        "git_http_url": "http://gitlab.example.com/group/sub/shop.git", "namespace": "sub", "visibility_level": 0,
        "path_with_namespace": "group/sub/shop", "default_branch": "main", "ci_config_path": null,
        "homepage": "http://gitlab.example.com/group/sub/shop", "url": "git@gitlab.example.com:group/sub/shop.git"})
}

/// A push event, which also tells of new and deleted branches.
fn push(before: &str, after: &str) -> Value {
    json!({"object_kind": "push", "event_name": "push", "before": before, "after": after,
        "ref": "refs/heads/release/1.0", "ref_protected": true, "checkout_sha": after, "user_id": 4,
        "user_name": "A. Person", "user_username": "person", "user_email": "", "user_avatar": null, "project_id": 15,
        "project": project(),
        "repository": {"name": "shop", "url": "git@gitlab.example.com:group/sub/shop.git", "description": "",
            "homepage": "http://gitlab.example.com/group/sub/shop", "visibility_level": 0,
            "git_http_url": "http://gitlab.example.com/group/sub/shop.git"},
        "commits": [{"id": after, "message": "work\n", "title": "work", "timestamp": "2026-01-02T03:04:05+00:00",
            "url": "http://gitlab.example.com/group/sub/shop/-/commit/a", "author": {"name": "A. Person", "email": "p@example.com"},
            "added": ["a"], "modified": [], "removed": []}],
        "total_commits_count": 1, "push_options": {}})
}

/// The other events of projects and groups: their headers, and what their bodies have at the top.
fn others() -> Vec<(&'static str, Value)> {
    let object = |kind: &str| {
        json!({"object_kind": kind, "event_type": kind, "user": {"id": 1, "username": "person"}, "project": project(),
            "object_attributes": {"id": 99, "iid": 1, "ref": "main", "action": "open", "target_branch": "main"},
            "repository": {"name": "shop", "url": "x", "homepage": "x"}})
    };
    let with = |kind: &str, key: &str, value: Value| {
        let mut object = object(kind);
        object[key] = value;
        object
    };
    vec![
        ("Issue Hook", object("issue")),
        ("Confidential Issue Hook", object("issue")),
        ("Note Hook", object("note")),
        ("Confidential Note Hook", object("note")),
        ("Merge Request Hook", object("merge_request")),
        (
            "Wiki Page Hook",
            with("wiki_page", "wiki", json!({"path_with_namespace": "group/sub/shop.wiki"})),
        ),
        ("Pipeline Hook", with("pipeline", "builds", json!([]))),
        ("Job Hook", with("build", "ref", "main".into())),
        ("Deployment Hook", with("deployment", "ref", "main".into())),
        ("Feature Flag Hook", object("feature_flag")),
        ("Release Hook", with("release", "tag", "v1".into())),
        ("Milestone Hook", object("milestone")),
        ("Emoji Hook", object("emoji")),
        ("Resource Access Token Hook", object("access_token")),
        ("Vulnerability Hook", object("vulnerability")),
        ("Member Hook", json!({"event_name": "user_add_to_group", "group_path": "group"})),
        ("Subgroup Hook", json!({"event_name": "subgroup_create", "full_path": "group/sub"})),
        (
            "Project Hook",
            json!({"event_name": "project_create", "path_with_namespace": "group/sub/shop"}),
        ),
    ]
}

fn headers(event: &str) -> HeaderMap {
    let pairs = [
        ("content-type", "application/json"),
        ("user-agent", "GitLab/17.1.0-pre"),
        ("x-gitlab-event", event),
        ("x-gitlab-event-uuid", "13792a34-cac6-4fda-95a8-c58e00a3954e"),
        ("x-gitlab-instance", "https://gitlab.example.com"),
        ("x-gitlab-token", TOKEN),
        ("idempotency-key", "f5e57576-8fb8-4a2b-a7d5-e5b2d0fd1e0c"),
    ];
    pairs.iter().map(|(k, v)| (k.parse().unwrap(), HeaderValue::from_str(v).unwrap())).collect()
}

async fn told(headers: &HeaderMap, body: &Value) -> Result<Message, WebhookError> {
    let secret = Secret::new(TOKEN).into();
    let webhook = Webhook::new(gitlab::SENDER, secret, Redactor::new());
    let mut incoming = webhook.begin(headers, Timestamp::UNIX_EPOCH).await?;
    incoming.take(body.to_string().as_bytes());
    incoming.finish()
}

fn hint() -> Message {
    Message::Hint { repo: "group/sub/shop".parse().unwrap() }
}

#[tokio::test]
async fn a_push_a_new_branch_and_a_deleted_one_are_hints() {
    let (none, some, other) = ("0".repeat(40), "a".repeat(40), "b".repeat(40));
    for body in [push(&some, &other), push(&none, &some), push(&some, &none)] {
        assert_eq!(told(&headers("Push Hook"), &body).await.unwrap(), hint());
        // A system hook tells the same by its body alone.
        assert_eq!(told(&headers("System Hook"), &body).await.unwrap(), hint());
    }
}

#[tokio::test]
async fn a_new_tag_and_a_deleted_one_are_hints() {
    let (none, some) = ("0".repeat(40), "a".repeat(40));
    for (before, after) in [(&none, &some), (&some, &none)] {
        let mut body = push(before, after);
        body["object_kind"] = "tag_push".into();
        body["event_name"] = "tag_push".into();
        body["ref"] = "refs/tags/v1.0.0".into();
        for event in ["Tag Push Hook", "System Hook"] {
            assert_eq!(told(&headers(event), &body).await.unwrap(), hint());
        }
    }
}

#[tokio::test]
async fn the_other_events_of_projects_and_groups_are_acknowledged_and_ignored() {
    for (event, body) in others() {
        let message = told(&headers(event), &body).await.unwrap();
        assert_eq!(message, Message::Ignored(event.to_owned()));
    }
}

#[tokio::test]
async fn of_system_hooks_only_pushes_and_updates_of_repositories_are_hints() {
    let update = json!({"event_name": "repository_update", "user_id": 1, "project_id": 15, "project": project(),
        "changes": [{"before": "a", "after": "b", "ref": "refs/heads/main"}], "refs": ["refs/heads/main"]});
    assert_eq!(told(&headers("System Hook"), &update).await.unwrap(), hint());
    for name in [
        "project_create",
        "project_destroy",
        "project_rename",
        "project_transfer",
        "project_update",
        "user_create",
        "user_add_to_team",
        "key_create",
        "group_create",
        "group_rename",
        "user_add_to_group",
        "merge_request",
        "gitlab_subscription_member_approval",
    ] {
        let body = json!({"event_name": name, "created_at": "2026-01-02T03:04:05Z", "path": "shop",
            "path_with_namespace": "group/sub/shop", "project": project(), "ref": "refs/tags/v1"});
        let message = told(&headers("System Hook"), &body).await.unwrap();
        assert_eq!(message, Message::Ignored(name.to_owned()));
    }
    // A merge request's system hook has no event_name: by the documentation its kind says what it is.
    let body = json!({"object_kind": "merge_request", "event_type": "merge_request", "project": project()});
    assert!(matches!(
        told(&headers("System Hook"), &body).await,
        Err(WebhookError::Unreadable(_)) | Ok(Message::Ignored(_))
    ));
}

#[tokio::test]
async fn a_wrong_token_event_header_or_body_is_refused_or_ignored() {
    let body = push(&"a".repeat(40), &"b".repeat(40));
    for wrong in ["", "the-secret-toke", "the-secret-token ", "The-secret-token"] {
        let mut all = headers("Push Hook");
        all.insert("x-gitlab-token", HeaderValue::from_bytes(wrong.as_bytes()).unwrap());
        // White space around a header's value is no part of it on the wire; here it is.
        assert!(matches!(told(&all, &body).await, Err(WebhookError::Wrong(_))), "{wrong:?}");
    }
    let mut none = headers("Push Hook");
    none.remove("x-gitlab-token");
    assert!(matches!(told(&none, &body).await, Err(WebhookError::Unsigned(_))));
    let mut twice = headers("Push Hook");
    twice.append("x-gitlab-token", HeaderValue::from_static(TOKEN));
    assert!(matches!(told(&twice, &body).await, Err(WebhookError::Unsigned(_))));
    let mut form = headers("Push Hook");
    form.insert("content-type", HeaderValue::from_static("text/plain"));
    assert!(matches!(told(&form, &body).await, Err(WebhookError::Unreadable(_))));
    for other in ["push hook", "Push", "Push Hook 2", ""] {
        assert!(matches!(told(&headers(other), &body).await, Ok(Message::Ignored(_))), "{other}");
    }
    for (event, body) in others() {
        let as_push = told(&headers("Push Hook"), &body).await;
        // A body that names a branch or a tag of a project tells what a push tells.
        let may_be = body.get("ref").is_some() && body.get("project").is_some();
        match as_push {
            Ok(message) => assert!(may_be && message == hint(), "{event}: {message:?}"),
            Err(refused) => assert!(
                !may_be && matches!(refused, WebhookError::Unreadable(_)),
                "{event}: {refused:?}"
            ),
        }
    }
}
