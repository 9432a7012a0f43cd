//! An engine is built whole, or its builder says what is missing.

use sentry_core::engine::BuildError;
use sentry_core::subscription::Subscription;

use super::*;

#[test]
fn what_a_watch_names_must_be_given_and_no_name_twice() {
    let world = World::new();
    let built = |change: &dyn Fn(&mut Watch)| {
        let mut watch = world.watch.clone();
        change(&mut watch);
        let built = Engine::builder(Arc::clone(&world.store))
            .forge("forge", ForgePorts::new(Arc::clone(&world.forge)))
            .deployer("deployer", DeployerPorts::new(Arc::clone(&world.deployer)))
            .notifier("chat", Arc::new(FakeNotifier::new()))
            .watch(watch)
            .build();
        built.map(|engine| engine.watches().len())
    };
    let to = |receiver: &str| Subscription {
        receiver: receiver.to_owned(),
        routes: Vec::new(),
        on: Vec::new(),
    };
    let missing = |kind, name: &str| {
        Err(BuildError::Missing { watch: "qa".to_owned(), kind, name: name.to_owned() })
    };
    assert_eq!(built(&|watch| watch.notify = vec![to("chat")]), Ok(1));
    assert_eq!(built(&|watch| watch.source.forge = "hub".into()), missing("forge", "hub"));
    assert_eq!(built(&|watch| watch.manifests.forge = "lab".into()), missing("forge", "lab"));
    assert_eq!(built(&|watch| watch.cluster.deployer = "k".into()), missing("deployer", "k"));
    let both = |watch: &mut Watch| watch.notify = vec![to("chat"), to("pager")];
    assert_eq!(built(&both), missing("notifier", "pager"));
    let none = Engine::builder(Arc::clone(&world.store)).build();
    assert_eq!(none.unwrap_err(), BuildError::NoWatch);
    let twice = world.builder().watch(world.watch.clone()).build();
    assert_eq!(twice.unwrap_err(), BuildError::DoubledWatch("qa".to_owned()));
    let two = world.builder().watch(watch("other", &["main"])).build().unwrap();
    let names: Vec<_> = two.watches().iter().map(|watch| watch.name.to_string()).collect();
    assert_eq!(names, ["other", "qa"]);
}
