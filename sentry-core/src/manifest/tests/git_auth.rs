//! The Secrets that are made for runs to clone A with.

use super::Scene;
use crate::forge::CloneCredential;
use crate::manifest::{Decision, ManifestSet};
use crate::plan::GitAuth;
use crate::secret::Secret;
use crate::testing::sample;
use crate::watch::{GitAuthSecret, NamespacePolicy};

const TOKEN: &str = "ghs_c4n/ry+==";

fn scene() -> Scene {
    let mut scene = Scene::default();
    scene.watch.reading.git_auth_secret = GitAuthSecret::PerRun;
    scene
}

/// A run with a workspace that a Secret of this name is behind.
fn run(name: &str, secret: &str) -> String {
    format!(
        "apiVersion: tekton.dev/v1\nkind: PipelineRun\nmetadata: {{name: {name}}}\nspec: {{workspaces: [{{name: auth, \
         secret: {{secretName: '{secret}'}}}}]}}\n---\n"
    )
}

fn user(name: &str) -> String {
    run(name, "{{ git_auth_secret }}")
}

fn wanted(scene: &Scene, set: &ManifestSet) -> Vec<GitAuth> {
    set.git_auth(&scene.context())
}

fn users(secret: &GitAuth) -> Vec<&str> {
    secret.users.iter().map(|run| &run.name[..1]).collect()
}

fn credential() -> CloneCredential {
    CloneCredential {
        username: "x-access-token".into(),
        token: Secret::new(TOKEN),
        is_read_only: false,
    }
}

#[test]
fn a_secret_is_made_once_for_the_runs_that_use_it_and_only_where_the_watch_wants_it() {
    let mut scene = scene();
    let set = scene.prepare(&(user("a") + &run("b", "mine") + &user("c")));
    let secrets = wanted(&scene, &set);
    let [secret] = &secrets[..] else { panic!("{secrets:?}") };
    assert_eq!((users(secret), secret.namespace.as_str()), (vec!["a", "c"], "qa"));
    assert_eq!(
        set.objects[0].json["spec"]["workspaces"][0]["secret"]["secretName"],
        secret.name.as_str()
    );
    assert!(wanted(&scene, &scene.prepare(&run("b", "mine"))).is_empty());
    scene.watch.variables.insert("git_auth_secret".into(), "own".into());
    assert!(
        wanted(&scene, &scene.prepare(&user("a"))).is_empty(),
        "the watch has its own variable"
    );
    scene.watch.variables.clear();
    scene.watch.reading.git_auth_secret = GitAuthSecret::Named("theirs".into());
    assert!(wanted(&scene, &scene.prepare(&user("a"))).is_empty());
}

#[test]
fn the_name_is_the_same_at_every_attempt_and_another_for_another_commit_or_trigger() {
    let name = |change: &dyn Fn(&mut Scene)| {
        let mut scene = scene();
        change(&mut scene);
        wanted(&scene, &scene.prepare(&user("a"))).remove(0).name
    };
    let first = name(&|_| {});
    assert_eq!(first, name(&|scene| scene.manifests = sample::revision(3)));
    assert_eq!(
        first,
        name(&|scene| scene.delivery = "01jdq0000000000000000000bb".parse().unwrap())
    );
    assert!(first.starts_with("git-auth-1a2b3c4d-") && first.len() == 34, "{first}");
    let other: [&dyn Fn(&mut Scene); 3] = [
        &|scene| scene.trigger = Some("01jdq0000000000000000000cc".parse().unwrap()),
        &|scene| scene.revision.subject = sample::subject("main"),
        &|scene| scene.watch.name = "other".parse().unwrap(),
    ];
    for change in other {
        assert_ne!(first, name(change));
    }
}

#[test]
fn a_run_uses_what_is_put_into_it_and_what_it_still_refers_to() {
    let task = "apiVersion: tekton.dev/v1\nkind: Task\nmetadata: {name: clone}\nspec: {steps: [{image: i, env: [{name: T, \
                valueFrom: {secretKeyRef: {name: '{{ git_auth_secret }}', key: git-provider-token}}}]}]}\n";
    let pipeline = "apiVersion: tekton.dev/v1\nkind: Pipeline\nmetadata: {name: p}\nspec: {tasks: [{name: x, taskRef: \
                    {name: clone}}]}\n";
    let refers = "apiVersion: tekton.dev/v1\nkind: PipelineRun\nmetadata: {name: a}\nspec: {pipelineRef: {name: p}}\n";
    let files =
        [("a.yaml", refers), ("b.yaml", &run("b", "mine")), ("p.yaml", pipeline), ("t.yaml", task)];
    for inline in [true, false] {
        let mut scene = scene();
        scene.watch.reading.inline = inline;
        let secrets = wanted(&scene, &scene.files(&files));
        assert_eq!(secrets.iter().map(users).collect::<Vec<_>>(), [["a"]], "inline: {inline}");
    }
    let unused = [("b.yaml", run("b", "mine")), ("t.yaml", task.to_owned())];
    let unused = unused.each_ref().map(|(path, text)| (*path, text.as_str()));
    assert!(wanted(&scene(), &scene().files(&unused)).is_empty());
}

#[test]
fn each_namespace_has_its_own() {
    let mut scene = scene();
    scene.watch.reading.namespace_policy =
        NamespacePolicy::Listed(["other".parse().unwrap()].into());
    let other = user("b").replace("{name: b}", "{name: b, namespace: other}");
    let secrets = wanted(&scene, &scene.prepare(&(user("a") + &other)));
    let of =
        |secret: &GitAuth| (secret.namespace.clone(), secret.json["metadata"]["namespace"].clone());
    assert_eq!(
        secrets.iter().map(of).collect::<Vec<_>>(),
        [("other".to_owned(), "other".into()), ("qa".to_owned(), "qa".into())]
    );
    assert_eq!(users(&secrets[0]), ["b"]);
}

#[test]
fn it_holds_what_git_and_a_forges_api_need_and_prints_none_of_it() {
    let scene = scene();
    let mut set = scene.prepare(&user("a"));
    let secrets = set.lend(wanted(&scene, &set), &scene.context(), Some(&credential()));
    let plain = |key: &str| secrets[0].data[key].expose();
    assert_eq!(plain(".gitconfig"), "[credential \"https://github.com\"]\n\thelper = store\n");
    assert_eq!(
        plain(".git-credentials"),
        "https://x-access-token:ghs_c4n%2Fry%2B%3D%3D@github.com/Acme/Web.git\n"
    );
    assert_eq!(plain("git-provider-token"), TOKEN);
    let object = secrets[0].object();
    assert_eq!(object["data"]["git-provider-token"], "Z2hzX2M0bi9yeSs9PQ==");
    assert_eq!((&object["type"], &object["kind"]), (&"Opaque".into(), &"Secret".into()));
    assert_eq!(object["metadata"]["labels"]["sentry-gitops.dev/watch"], "web");
    for shown in [format!("{secrets:?}"), format!("{:?}", set.notes), secrets[0].json.to_string()] {
        assert!(!shown.contains("c4n") && !shown.contains("Z2hz"), "{shown}");
    }
    assert!(set.notes[0].contains(&secrets[0].name), "{:?}", set.notes);
}

#[test]
fn without_a_token_the_runs_that_use_it_are_refused_and_the_others_are_not() {
    let scene = scene();
    let mut set = scene.prepare(&(user("a") + &run("b", "mine")));
    let secrets = wanted(&scene, &set);
    assert!(set.lend(secrets, &scene.context(), None).is_empty());
    let decisions: Vec<_> = set.decisions.iter().map(|d| d.decision).collect();
    assert_eq!(decisions[..2], [Decision::Refuse, Decision::Run]);
    let reason = &set.decisions[0].reason;
    assert!(reason.contains("the forge github has no token"), "{reason}");
    assert!(reason.contains("or set `git_auth_secret` to the name of a Secret"), "{reason}");
    assert_eq!(set.objects.len(), 1);
}

#[test]
fn a_fork_is_lent_nothing_that_can_do_more_than_read_for_a_while() {
    let mut scene = scene();
    scene.pull = Some(crate::pull::PullRequest { is_fork: true, ..sample::pull(12) });
    for (is_read_only, is_fork, lent) in
        [(false, true, false), (true, true, true), (false, false, true), (true, false, true)]
    {
        scene.pull.as_mut().unwrap().is_fork = is_fork;
        let mut set = scene.prepare(&user("a"));
        let secrets = wanted(&scene, &set);
        assert_eq!(secrets.len(), 1, "the run uses one");
        let credential = CloneCredential { is_read_only, ..credential() };
        let secrets = set.lend(secrets, &scene.context(), Some(&credential));
        assert_eq!(!secrets.is_empty(), lent, "{is_read_only} {is_fork}");
        let decision = &set.decisions[0];
        assert_eq!(decision.decision == Decision::Run, lent, "{}", decision.reason);
        assert!(lent || decision.reason.contains("a head of a fork"), "{}", decision.reason);
    }
}
