//! What is PostgreSQL's alone: locks between processes, what is written, and what is said when the database is not as it should be.

use std::path::PathBuf;

use futures::StreamExt as _;
use sentry_core::delivery::Delivery;
use sentry_core::fleet::{
    Heard, Member, MemberId, Slot, SlotSet, Slots as _, Term, Wire as _, Word,
};
use sentry_core::secret::{Redactor, Secret, SecretSource};
use sentry_core::store::{
    Archive as _, Claim, DeliveryQuery, Hold, Inbox as _, Journal as _, StoreError, StoreErrorKind,
    Write,
};
use sentry_core::testing::sample;
use sentry_store::{AnyStore, CopyError, PostgresConfig, PostgresStore, SqliteStore, copy};
use tokio::task::JoinSet;
use tokio_postgres::{Client, NoTls};

use crate::server::{PASSWORD, ROLE, Server, server};
use crate::shared::{config, end_leases, open};

/// A connection of a test's own, which ends with the set.
async fn raw(url: &str, password: &str) -> (Client, JoinSet<()>) {
    let mut config: tokio_postgres::Config = url.parse().unwrap();
    let (client, connection) = config.password(password).connect(NoTls).await.unwrap();
    let mut moves = JoinSet::new();
    moves.spawn(async move { drop(connection.await) });
    (client, moves)
}

async fn admin(database: &str) -> (Client, JoinSet<()>) {
    raw(&server().admin_url(database), "").await
}

fn slot() -> Slot {
    Slot::new(1).unwrap()
}

async fn renewed(store: &PostgresStore, n: u32) -> MemberId {
    let id = MemberId::new(n.into());
    let member = Member { id: id.clone(), wanted: SlotSet::default(), agent: sample::agent(n) };
    store.renew(&member).await.unwrap();
    id
}

/// A database whose slot is held by a member, under a term, with one watch in it.
async fn held() -> (String, PostgresStore, Term) {
    let database = server().database();
    let store = open(&database).await;
    let one = renewed(&store, 1).await;
    let term = store.take(&one, slot(), None).await.unwrap();
    store.settle(slot(), &term, &[sample::watch("app")]).await.unwrap();
    (database, store, term)
}

async fn claim(store: &PostgresStore, term: &Term) -> Box<dyn Claim> {
    store.state(slot(), term).journal.claim("a test").await.unwrap()
}

/// A commit that its process does not end.
async fn begin_commit(client: &Client, term: &Term) {
    let sql = format!("BEGIN; SELECT sentry_commit_1(1::smallint, '{term}', '{{app}}', '[]')");
    client.batch_execute(&sql).await.unwrap();
}

/// Ready once so many connections wait for a lock of another.
async fn wait(client: &Client, connections: usize) {
    let sql = "SELECT 1 FROM pg_stat_activity
        WHERE datname = current_database() AND wait_event_type = 'Lock'";
    while client.query(sql, &[]).await.unwrap().len() < connections {}
}

#[tokio::test]
async fn no_take_comes_between_the_fence_of_a_commit_and_its_end() {
    let (database, store, term) = held().await;
    let ((commits, _one), (looks, _two)) = (admin(&database).await, admin(&database).await);
    begin_commit(&commits, &term).await;
    end_leases(&database);
    let two = renewed(&store, 2).await;
    let mut take = std::pin::pin!(store.take(&two, slot(), Some(&term)));
    tokio::select! {
        taken = &mut take => panic!("taken in the middle of a commit: {taken:?}"),
        () = wait(&looks, 1) => {}
    }
    commits.batch_execute("COMMIT").await.unwrap();
    take.await.unwrap();
}

#[tokio::test]
async fn no_watch_moves_between_the_fence_of_a_commit_and_its_end() {
    let (database, store, term) = held().await;
    let ((commits, _one), (looks, _two)) = (admin(&database).await, admin(&database).await);
    begin_commit(&commits, &term).await;
    end_leases(&database);
    let (two, other) = (renewed(&store, 2).await, Slot::new(2).unwrap());
    let second = store.take(&two, other, None).await.unwrap();
    let watches = [sample::watch("app")];
    let mut settle = std::pin::pin!(store.settle(other, &second, &watches));
    tokio::select! {
        settled = &mut settle => panic!("moved in the middle of a commit: {settled:?}"),
        () = wait(&looks, 1) => {}
    }
    commits.batch_execute("COMMIT").await.unwrap();
    assert_eq!(settle.await.unwrap(), watches);
}

#[tokio::test]
async fn a_commit_that_waited_for_a_take_is_fenced() {
    let (database, store, term) = held().await;
    let ((takes, _one), (looks, _two)) = (admin(&database).await, admin(&database).await);
    takes.batch_execute("BEGIN; UPDATE slots SET term = repeat('0', 32)").await.unwrap();
    let claim = claim(&store, &term).await;
    let writes = [Write::Watch(sample::watch_state(1))];
    let mut commit = std::pin::pin!(claim.commit(&writes));
    tokio::select! {
        kept = &mut commit => panic!("not one with its fence: {kept:?}"),
        () = wait(&looks, 1) => {}
    }
    takes.batch_execute("COMMIT").await.unwrap();
    assert_eq!(commit.await.unwrap_err().kind(), StoreErrorKind::Fenced);
    assert_eq!(server().sql(&database, "SELECT count(*) FROM watches"), "0");
}

#[tokio::test]
async fn a_process_that_stands_still_in_a_commit_is_ended_by_who_takes_its_slot() {
    let (database, store, term) = held().await;
    let (frozen, _one) = raw(&server().url(&database), PASSWORD).await;
    begin_commit(&frozen, &term).await;
    end_leases(&database);
    let two = renewed(&store, 2).await;
    store.take(&two, slot(), Some(&term)).await.unwrap();
    assert!(frozen.batch_execute("COMMIT").await.is_err(), "it goes on");
}

#[tokio::test]
async fn many_processes_that_open_an_empty_database_at_once_make_one_state() {
    let database = server().database();
    let (locks, _one) = admin(&database).await;
    locks.batch_execute("SELECT pg_advisory_lock(hashtext('sentry migrates'))").await.unwrap();
    let mut opened = JoinSet::new();
    for _ in 0..8 {
        opened.spawn(PostgresStore::open(config(&database)));
    }
    wait(&locks, 8).await;
    locks.batch_execute("SELECT pg_advisory_unlock_all()").await.unwrap();
    let stores: Vec<PostgresStore> =
        opened.join_all().await.into_iter().map(Result::unwrap).collect();
    stores[0].request(&sample::trigger(1)).await.unwrap();
    for store in &stores {
        assert_eq!(store.requests().await.unwrap().triggers, [sample::trigger(1)]);
    }
}

#[tokio::test]
async fn who_only_looks_makes_no_tables_and_sees_what_is_there_once_an_agent_made_them() {
    let database = server().database();
    let tables =
        || server().sql(&database, "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'");
    assert!(PostgresStore::open_read_only(config(&database)).await.unwrap().is_none());
    assert_eq!(tables(), "0");
    let store = open(&database).await;
    store.request(&sample::trigger(1)).await.unwrap();
    let seen = PostgresStore::open_read_only(config(&database)).await.unwrap().unwrap();
    assert_eq!(seen.requests().await.unwrap().triggers, [sample::trigger(1)]);
    server().sql(&database, "UPDATE schema SET version = 1");
    let older = PostgresStore::open_read_only(config(&database)).await.map(drop).unwrap_err();
    assert_eq!(older.kind(), StoreErrorKind::Unavailable);
    assert!(older.told().contains("schema 1"), "{}", older.told());
}

#[tokio::test]
async fn a_database_that_is_away_at_first_is_brought_forward_by_the_first_call_that_reaches_it() {
    let (database, directory) = (server().database(), tempfile::tempdir().unwrap());
    let file: PathBuf = directory.path().join("password");
    let away = PostgresConfig::new(&server().url(&database)).unwrap();
    let away = away.with_password(SecretSource::File(file.clone()), Redactor::new());
    let store = PostgresStore::new(away).unwrap();
    for _ in 0..2 {
        let error = store.requests().await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{}", error.told());
    }
    std::fs::write(&file, PASSWORD).unwrap();
    renewed(&store, 1).await;
    assert_eq!(store.requests().await.unwrap().triggers, []);
}

#[tokio::test]
async fn a_server_that_crashed_and_came_back_has_what_was_committed_and_is_used_again() {
    let own = Server::start();
    let database = own.database();
    let store = PostgresStore::open(with_password(&own.url(&database), PASSWORD)).await.unwrap();
    store.request(&sample::trigger(1)).await.unwrap();
    own.crash();
    let error = store.deliveries(&DeliveryQuery::default()).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{}", error.told());
    own.recover();
    until(&store, Result::is_ok).await.unwrap();
    assert_eq!(store.requests().await.unwrap().triggers, [sample::trigger(1)]);
    own.crash();
}

/// A record of each kind, and more deliveries than are moved at a time.
async fn one_of_each(dir: &std::path::Path) -> SqliteStore {
    let store = SqliteStore::open(dir).unwrap();
    let claim = store.claim("a test").await.unwrap();
    let mut writes = vec![
        Write::Watch(sample::watch_state(1)),
        Write::Cursors(sample::cursors(1)),
        Write::Head(sample::head(1)),
        Write::Report(sample::report(1)),
        Write::Notice(sample::outgoing("chat", 1).into()),
        Write::Trouble(sample::trouble(1)),
        Write::Inventory(sample::inventory("ci", 1)),
    ];
    writes.extend((1..=450).map(|n| Write::Delivery(sample::delivery(n).into())));
    claim.commit(&writes).await.unwrap();
    store.request(&sample::trigger(1)).await.unwrap();
    store.hold(&Hold::Suspend(sample::suspension("app", 1))).await.unwrap();
    store
}

#[tokio::test]
async fn a_copy_has_every_record_there_and_back_and_none_goes_over_another_or_from_under_an_agent()
{
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let first = one_of_each(dirs[0].path()).await;
    let shared = open(&server().database()).await;
    let last = SqliteStore::open(dirs[1].path()).unwrap();
    let there = copy(AnyStore::Sqlite(&first), AnyStore::Postgres(&shared)).await.unwrap();
    let counts: Vec<u64> = there.iter().map(|kind| kind.count).collect();
    assert_eq!(counts, [1, 1, 450, 1, 1, 1, 1, 1, 1, 1, 2], "{there:?}");
    let over = copy(AnyStore::Sqlite(&first), AnyStore::Postgres(&shared)).await.unwrap_err();
    assert!(matches!(over, CopyError::NotEmpty { kind: "watches", .. }), "{over}");

    let one = renewed(&shared, 1).await;
    let term = shared.take(&one, slot(), None).await.unwrap();
    let held = |error: CopyError| matches!(error, CopyError::Store(error) if error.kind() == StoreErrorKind::Held);
    let back = || copy(AnyStore::Postgres(&shared), AnyStore::Sqlite(&last));
    assert!(held(back().await.unwrap_err()));
    shared.give(slot(), &term).await.unwrap();
    let agent = last.claim("an agent").await.unwrap();
    assert!(held(back().await.unwrap_err()));
    drop(agent);
    assert_eq!(back().await.unwrap(), there);
    let all = DeliveryQuery::default();
    assert_eq!(last.deliveries(&all).await.unwrap(), first.deliveries(&all).await.unwrap());
    let [before, after] = [first.claim("a test").await, last.claim("a test").await];
    let [before, after] = [before.unwrap().load().await, after.unwrap().load().await];
    assert_eq!(after.unwrap(), before.unwrap());
}

#[tokio::test]
async fn nobody_owns_the_whole_of_a_state_that_is_shared() {
    let store = open(&server().database()).await;
    let error = store.claim("a test").await.map(drop).unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Held);
}

#[tokio::test]
async fn of_a_delivery_only_the_rows_that_changed_are_written() {
    let (database, store, term) = held().await;
    let claim = claim(&store, &term).await;
    let written = || {
        let of = |table: &str| {
            format!("SELECT string_agg(xmin::text, ' ' ORDER BY xmin::text) FROM {table}")
        };
        ["deliveries", "delivery_parts"].map(|table| server().sql(&database, &of(table)))
    };
    let put = async |delivery: &Delivery| {
        claim.commit(&[Write::Delivery(Box::new(delivery.clone()))]).await.unwrap();
    };
    let mut delivery = sample::delivery(1);
    put(&delivery).await;
    let first = written();
    put(&delivery).await;
    assert_eq!(written(), first);
    delivery.attempts.tries += 1;
    put(&delivery).await;
    let second = written();
    assert!(second[0] != first[0] && second[1] == first[1], "{second:?} {first:?}");
    delivery.objects[0].reason = Some("another".to_owned());
    put(&delivery).await;
    let third = written();
    assert!(third[0] == second[0] && third[1] != second[1], "{third:?} {second:?}");
}

#[tokio::test]
async fn of_a_delivery_that_is_forgotten_no_row_stays() {
    let (database, store, term) = held().await;
    let claim = claim(&store, &term).await;
    let deliveries = [1, 2].map(|n| Write::Delivery(Box::new(sample::delivery(n))));
    claim.commit(&deliveries).await.unwrap();
    claim.commit(&[Write::Prune { before: sample::time(100), keep: 1 }]).await.unwrap();
    let left = "SELECT string_agg(DISTINCT delivery, ' ') FROM delivery_parts";
    assert_eq!(server().sql(&database, left), sample::id(2).as_str());
}

#[tokio::test]
async fn what_the_database_can_not_keep_is_replaced_and_nothing_is_found_by_it() {
    let (_, store, term) = held().await;
    let odd = Delivery { error: Some("a\0b\\u0000".to_owned()), ..sample::delivery(1) };
    claim(&store, &term).await.commit(&[Write::Delivery(Box::new(odd))]).await.unwrap();
    let [kept] = store.deliveries(&DeliveryQuery::default()).await.unwrap().try_into().unwrap();
    assert_eq!(kept.error.as_deref(), Some("a\u{fffd}b\\u0000"));
    let query = DeliveryQuery { text: Some("a\0b\0".to_owned()), ..DeliveryQuery::default() };
    assert_eq!(store.deliveries(&query).await.unwrap(), []);
    assert_eq!(store.heads("\0").await.unwrap(), []);
}

#[tokio::test]
async fn deliveries_are_searched_without_the_extension_as_well() {
    let database = format!("bare_{}", std::process::id());
    server().sql("postgres", &format!("CREATE DATABASE {database} TEMPLATE template0"));
    server().sql(&database, &format!("GRANT CREATE ON SCHEMA public TO {ROLE}"));
    let store = open(&database).await;
    assert_eq!(server().sql(&database, "SELECT to_regclass('deliveries_searched') IS NULL"), "t");
    let one = renewed(&store, 1).await;
    let term = store.take(&one, slot(), None).await.unwrap();
    store.settle(slot(), &term, &[sample::watch("app")]).await.unwrap();
    claim(&store, &term)
        .await
        .commit(&[Write::Delivery(Box::new(sample::delivery(1)))])
        .await
        .unwrap();
    let query = DeliveryQuery { text: Some("APP".to_owned()), ..DeliveryQuery::default() };
    assert_eq!(store.deliveries(&query).await.unwrap(), [sample::delivery(1)]);
}

#[tokio::test]
async fn a_password_that_is_rotated_works_from_the_next_connection_on() {
    let database = server().database();
    let directory = tempfile::tempdir().unwrap();
    let file: PathBuf = directory.path().join("password");
    std::fs::write(&file, "first\n").unwrap();
    server().sql(&database, "CREATE ROLE rotated LOGIN PASSWORD 'first' IN ROLE sentry");
    server().sql(&database, "GRANT CREATE ON SCHEMA public TO rotated");
    let url = server().url(&database).replace(ROLE, "rotated");
    let config = PostgresConfig::new(&url).unwrap();
    let config = config.with_password(SecretSource::File(file.clone()), Redactor::new());
    let store = PostgresStore::open(config).await.unwrap();
    server().sql(&database, "ALTER ROLE rotated PASSWORD 'second'");
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'rotated'";
    server().sql(&database, end);
    let error = until(&store, |answer| {
        answer.as_ref().is_err_and(|error| error.told().contains("refuses user rotated"))
    });
    assert_eq!(error.await.unwrap_err().kind(), StoreErrorKind::Unavailable);
    std::fs::write(&file, "second\n").unwrap();
    until(&store, Result::is_ok).await.unwrap();
}

/// The first answer that this holds of: whoever asks a store whose connections were just ended may be told so first.
async fn until(
    store: &PostgresStore,
    holds: impl Fn(&Result<Vec<Delivery>, StoreError>) -> bool,
) -> Result<Vec<Delivery>, StoreError> {
    loop {
        let answer = store.deliveries(&DeliveryQuery::default()).await;
        if holds(&answer) {
            return answer;
        }
        assert!(answer.is_err_and(|error| error.kind() == StoreErrorKind::Unavailable));
    }
}

#[tokio::test]
async fn a_server_over_tls_is_verified_by_name_and_certificate() {
    let database = server().database();
    let own = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    server().encrypt(&own.cert.pem(), &own.signing_key.serialize_pem());
    let directory = tempfile::tempdir().unwrap();
    let trusted = directory.path().join("ca.pem");
    std::fs::write(&trusted, own.cert.pem()).unwrap();
    for (host, mode, ca_file, may) in [
        ("127.0.0.1", "verify-full", Some(trusted.clone()), true),
        ("127.0.0.1", "require", Some(trusted.clone()), true),
        ("127.0.0.1", "require", None, false),
        ("localhost", "verify-ca", Some(trusted), false),
    ] {
        let url = server().url(&database).replace("disable", mode).replace("127.0.0.1", host);
        let config = with_password(&url, PASSWORD).with_ca_file(ca_file);
        let opened = PostgresStore::open(config).await;
        assert_eq!(opened.is_ok(), may, "{host} {mode}: {opened:?}");
        if let Err(error) = opened {
            assert!(error.told().contains("can't be reached by TLS"), "{}", error.told());
        }
    }
}

/// What is wrong with the database, how a process is told to reach it, and what it is told then.
type Harm = (&'static str, fn(&str) -> PostgresConfig, StoreErrorKind, &'static str);

fn with_password(url: &str, password: &str) -> PostgresConfig {
    let secret = Secret::new(password.to_owned()).into();
    PostgresConfig::new(url).unwrap().with_password(secret, Redactor::new())
}

const HARMS: &[Harm] = &[
    (
        "nobody listens",
        |database| {
            with_password(
                &format!("postgres://{ROLE}@127.0.0.1:1/{database}?sslmode=disable"),
                PASSWORD,
            )
        },
        StoreErrorKind::Unavailable,
        "can't be reached",
    ),
    (
        "its host has no address",
        |database| with_password(&format!("postgres://{ROLE}@a..b/{database}"), PASSWORD),
        StoreErrorKind::Unavailable,
        "correct the URL's host",
    ),
    (
        "the password is another",
        |database| with_password(&server().url(database), "hunter2"),
        StoreErrorKind::Unavailable,
        "check user and password",
    ),
    (
        "there is no such database",
        |database| config(&format!("{database}_not")),
        StoreErrorKind::Unavailable,
        "CREATE DATABASE",
    ),
    (
        "the server speaks no TLS",
        |database| {
            with_password(
                &server().url(database).replace("sslmode=disable", "sslmode=require"),
                PASSWORD,
            )
        },
        StoreErrorKind::Unavailable,
        "sslmode=disable",
    ),
    (
        "the role may make nothing",
        |database| {
            let sql = format!("ALTER DATABASE {database} OWNER TO postgres");
            server().sql(database, &sql);
            config(database)
        },
        StoreErrorKind::Unavailable,
        "GRANT USAGE, CREATE ON SCHEMA \"public\" TO \"sentry\"",
    ),
    (
        "a newer Sentry was here",
        |database| {
            server().sql(
                database,
                "CREATE TABLE schema (version integer); INSERT INTO schema VALUES (99)",
            );
            server().sql(database, "GRANT SELECT ON schema TO sentry");
            config(database)
        },
        StoreErrorKind::Newer,
        "schema 99",
    ),
    (
        "tables of somebody else",
        |database| {
            server().sql(database, "CREATE TABLE slots (place text)");
            config(database)
        },
        StoreErrorKind::Corrupt,
        "is not as Sentry left it",
    ),
];

#[tokio::test]
async fn what_is_wrong_with_a_database_is_told_with_its_name_and_a_remedy_and_never_the_password() {
    for (what, harm, kind, told) in HARMS {
        let database = server().database();
        let error = PostgresStore::open(harm(&database)).await.map(drop).unwrap_err();
        let text = error.told();
        assert_eq!(error.kind(), *kind, "{what}: {text}");
        assert!(text.contains(told), "{what}: {text}");
        assert!(text.contains(&format!("database {database}")), "{what}: {text}");
        assert!(error.hint().is_some_and(|hint| hint.len() > 10), "{what}: {text}");
        assert!(!text.contains("hunter2") && !text.contains(PASSWORD), "{what}: {text}");
    }
}

#[tokio::test]
async fn a_right_that_is_taken_away_is_named_and_a_table_that_is_locked_passes() {
    let (database, store, _) = held().await;
    let (locks, _one) = admin(&database).await;
    locks.batch_execute("BEGIN; LOCK TABLE deliveries").await.unwrap();
    let slow = store.deliveries(&DeliveryQuery::default()).await.unwrap_err();
    assert_eq!(slow.kind(), StoreErrorKind::Unavailable);
    assert!(slow.told().contains("was too slow"), "{}", slow.told());
    locks.batch_execute("COMMIT; REVOKE ALL ON deliveries FROM sentry; ALTER TABLE deliveries OWNER TO postgres").await.unwrap();
    let refused = store.deliveries(&DeliveryQuery::default()).await.unwrap_err();
    assert_eq!(refused.kind(), StoreErrorKind::Unavailable);
    assert!(refused.told().contains("ON TABLE \"deliveries\" TO \"sentry\""), "{}", refused.told());
}

#[tokio::test]
async fn a_request_is_told_to_all_that_listen_whoever_left_it() {
    let database = server().database();
    let (one, other) = (open(&database).await, open(&database).await);
    let mut heard = [one.hear(), other.hear()];
    for listener in &mut heard {
        assert_eq!(listener.next().await, Some(Heard::Missed));
    }
    let (trigger, hold) = (sample::trigger(1), sample::suspension("web", 2));
    other.request(&trigger).await.unwrap();
    other.hold(&Hold::Suspend(hold.clone())).await.unwrap();
    for listener in &mut heard {
        for watch in [&trigger.watch, &hold.watch] {
            assert_eq!(listener.next().await, Some(Heard::Word(Word::Inbox(watch.clone()))));
        }
        assert_eq!(one.requests().await.unwrap().triggers.len(), 1);
    }
}

#[tokio::test]
async fn what_an_inbox_holds_is_read_anew_once_it_is_told_of() {
    let database = server().database();
    let (one, other) = (open(&database).await, open(&database).await);
    let mut heard = one.hear();
    assert_eq!(heard.next().await, Some(Heard::Missed));
    for n in 1..=5 {
        assert_eq!(one.requests().await.unwrap().triggers.len(), n - 1);
        let trigger = sample::trigger(u32::try_from(n).unwrap());
        other.request(&trigger).await.unwrap();
        assert_eq!(heard.next().await, Some(Heard::Word(Word::Inbox(trigger.watch))));
        assert_eq!(one.requests().await.unwrap().triggers.len(), n);
    }
}

#[tokio::test]
async fn what_nobody_understands_is_passed_over_and_states_of_one_database_hear_their_own_alone() {
    let database = server().database();
    let one = open(&database).await;
    let mut heard = one.hear();
    assert_eq!(heard.next().await, Some(Heard::Missed));
    let channel = "SELECT 'sentry_' || current_schema()::regnamespace::oid::bigint";
    let channel = server().sql(&database, channel);
    for odd in ["", "hello", "[7]", r#"[{"welcome":{"places":3}}]"#, r#"[{"inbox":{}}]"#] {
        server().sql(&database, &format!("SELECT pg_notify('{channel}', '{odd}')"));
    }
    server().sql(&database, "CREATE SCHEMA elsewhere AUTHORIZATION CURRENT_USER");
    let known = r#"[{"inbox":{"watch":"app"}}]"#;
    for (path, payload) in
        [("elsewhere", known.replace("app", "another")), ("public", known.to_owned())]
    {
        let tell = format!(
            "SET search_path TO {path};
             SELECT pg_notify('sentry_' || current_schema()::regnamespace::oid::bigint, '{payload}')"
        );
        server().sql(&database, &tell);
    }
    assert_eq!(heard.next().await, Some(Heard::Word(Word::Inbox(sample::watch("app")))));
}
