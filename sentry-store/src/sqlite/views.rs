//! What is shown, by index: every statement of the views is here.

use rusqlite::types::{ToSql, ValueRef};
use rusqlite::{Connection, params, params_from_iter};
use sentry_core::clock::Timestamp;
use sentry_core::closed_list::ClosedList as _;
use sentry_core::cursor::Cursors;
use sentry_core::delivery::{Delivery, DeliveryState};
use sentry_core::names::WatchName;
use sentry_core::store::{
    AuditEntry, AuditQuery, Brief, DeliveryQuery, Overview, OverviewQuery, QueueView, RECENT,
    ReceiverView, Report, SubjectFilter, SubjectView, Suspension, WatchState, WatchView,
};
use sentry_core::subject::Subject;

use super::failure::Failure;
use super::rows::{read, record, requests};
use super::{deliveries, past};
use crate::dto::Record;

/// A statement that is put together from what is asked for.
struct Select {
    sql: String,
    values: Vec<Box<dyn ToSql>>,
}

impl Select {
    fn from(table: &str) -> Self {
        Self::of(table, "TRUE")
    }

    /// Those rows of a table of which this holds.
    fn of(table: &str, which: &str) -> Self {
        let sql = format!("SELECT version, checksum, record FROM {table} WHERE {which}");
        Self { sql, values: Vec::new() }
    }

    fn of_deliveries(which: &str) -> Self {
        Self::from_deliveries("deliveries", which)
    }

    /// Those deliveries, joined with others, of which this holds.
    fn from_deliveries(tables: &str, which: &str) -> Self {
        let sql = format!("SELECT {} FROM {tables} WHERE {which}", deliveries::COLUMNS);
        Self { sql, values: Vec::new() }
    }

    /// Narrows it by all that ids say of deliveries. They hold digits and small letters only, so what starts with `p` lies
    /// between `p` and `p~`.
    fn ids(self, query: &DeliveryQuery, id: &str) -> Self {
        let of =
            |moment: Option<Timestamp>| moment.map(|at| DeliveryQuery::first_id(at).to_string());
        self.and(&format!("{id} < ?"), query.before.as_ref().map(ToString::to_string))
            .and(&format!("{id} < ?"), of(query.until))
            .and(&format!("{id} >= ?"), of(query.since))
            .and(&format!("{id} >= ?"), query.id_prefix.clone())
            .and(&format!("{id} <= ? || '~'"), query.id_prefix.clone())
    }

    /// Narrows it by a condition, in which `?` is the value.
    fn and(mut self, condition: &str, value: Option<impl ToSql + 'static>) -> Self {
        if let Some(value) = value {
            self.sql.push_str(&format!(" AND {condition}"));
            self.values.push(Box::new(value));
        }
        self
    }

    /// Narrows it to what holds the text that is asked for, in small or capital letters of ASCII.
    fn text(self, query: &DeliveryQuery) -> Self {
        let Some(text) = &query.text else { return self };
        let escaped = escaped(text);
        let condition = r"(searched LIKE ? ESCAPE '\' OR sha LIKE ? ESCAPE '\')";
        let mut select = self.and(condition, Some(format!("%{escaped}%")));
        select.values.push(Box::new(format!("{escaped}%")));
        select
    }

    /// Orders it, and tells so many.
    fn order(mut self, order: &str, limit: Option<usize>) -> Self {
        let limit = limit.map_or(-1, |limit| i64::try_from(limit).unwrap_or(i64::MAX));
        self.sql.push_str(&format!(" ORDER BY {order} LIMIT ?"));
        self.values.push(Box::new(limit));
        self
    }

    fn read<R: Record>(self, db: &Connection) -> Result<Vec<R>, Failure> {
        read(db, &self.sql, params_from_iter(self.values))
    }

    fn deliveries(self, db: &Connection) -> Result<Vec<Delivery>, Failure> {
        deliveries::whole(db, &self.sql, params_from_iter(self.values))
    }

    /// How many rows there are.
    fn count(self, db: &Connection) -> Result<usize, Failure> {
        let rows = self.sql.replacen(deliveries::COLUMNS, "1", 1);
        let mut statement = db.prepare_cached(&format!("SELECT count(*) FROM ({rows})"))?;
        let rows: i64 = statement.query_row(params_from_iter(self.values), |row| row.get(0))?;
        Ok(usize::try_from(rows).unwrap_or(usize::MAX))
    }

    fn briefs(self, db: &Connection) -> Result<Vec<Brief>, Failure> {
        deliveries::briefs(db, &self.sql, params_from_iter(self.values))
    }
}

/// A text as a part of a pattern of `LIKE` whose escape is `\`.
fn escaped(text: &str) -> String {
    text.replace('\\', r"\\").replace('%', r"\%").replace('_', r"\_")
}

/// Deliveries by filter and page, newest first.
pub(super) fn deliveries(db: &Connection, query: &DeliveryQuery) -> Result<Vec<Delivery>, Failure> {
    let mut found: Vec<Delivery> = Vec::new();
    let is_searched = query.text.is_some() && !is_narrow(query) && !is_few(db, query)?;
    for select in if is_searched { searches(query) } else { selects(query) } {
        found.extend(select.deliveries(db)?);
    }
    found.sort_unstable_by(|a, b| b.id.cmp(&a.id));
    found.dedup_by(|a, b| a.id == b.id);
    found.truncate(query.limit.unwrap_or(usize::MAX));
    Ok(found)
}

/// The statements whose newest rows together are the page. Each is in the order of ids by its index, so that a page of it is
/// enough.
fn selects(query: &DeliveryQuery) -> Vec<Select> {
    if query.states.is_empty() {
        return vec![select_deliveries(query, None)];
    }
    query.states.iter().map(|state| select_deliveries(query, Some(*state))).collect()
}

/// The same for a text that is searched in all there is.
fn searches(query: &DeliveryQuery) -> Vec<Select> {
    let text = query.text.as_deref().unwrap_or_default();
    if text.chars().count() < DeliveryQuery::TEXT_CHARS {
        return Vec::new();
    }
    let at = text.to_ascii_lowercase();
    let by_id = at.bytes().all(|b| b.is_ascii_hexdigit()).then(|| {
        let select = Select::of_deliveries("TRUE");
        let select = select.and("sha >= ?", Some(at.clone())).and("sha <= ? || '~'", Some(at));
        narrow(select, query).order("id DESC", query.limit)
    });
    by_id.into_iter().chain([search(query, text)]).collect()
}

/// True if what is asked for has an index that leaves few enough to look at each.
fn is_narrow(query: &DeliveryQuery) -> bool {
    query.watch.is_some() || query.sha.is_some()
}

/// So many deliveries are sooner looked at than all that hold some text.
const FEW: usize = 2_000;

/// True if so few deliveries are in the states, of the branch or of the author that are asked for: counted in an index.
fn is_few(db: &Connection, query: &DeliveryQuery) -> Result<bool, Failure> {
    let long =
        query.text.as_ref().is_some_and(|text| text.chars().count() >= DeliveryQuery::TEXT_CHARS);
    let has_index = !query.states.is_empty() || query.author.is_some() || query.subject.is_some();
    if !long || !has_index {
        return Ok(false);
    }
    let bare = DeliveryQuery { text: None, limit: Some(FEW + 1), ..query.clone() };
    let mut rows = 0;
    for select in selects(&bare) {
        rows += select.count(db)?;
    }
    Ok(rows <= FEW)
}

/// Those whose text holds another, newest first, as they were numbered in the order of their ids. `CROSS JOIN` keeps the
/// tables in this order (<https://www.sqlite.org/optoverview.html#crossjoin>), so that it ends with a full page.
fn search(query: &DeliveryQuery, text: &str) -> Select {
    let select = Select::from_deliveries(
        "delivery_search CROSS JOIN delivery_texts ON number = delivery_search.rowid
             CROSS JOIN deliveries ON id = delivery",
        "TRUE",
    );
    // One string of the query language: all of it in this order.
    let phrase = format!("\"{}\"", text.replace('"', "\"\""));
    let first =
        |moment: Option<Timestamp>| moment.map(|at| DeliveryQuery::first_id(at).to_string());
    let below = format!("delivery_search.rowid < {NUMBER}");
    let select = select
        .and("delivery_search MATCH ?", Some(phrase))
        .and(&below, query.before.as_ref().map(ToString::to_string))
        .and(&below, first(query.until))
        .and(&format!("delivery_search.rowid >= {NUMBER}"), first(query.since));
    narrow(select, query).order("delivery_search.rowid DESC", query.limit)
}

/// The number of the first delivery from an id on; beyond all of them if there is none.
const NUMBER: &str =
    "coalesce((SELECT number FROM delivery_texts AS bound WHERE bound.delivery >= ?
    ORDER BY bound.delivery LIMIT 1), 9223372036854775807)";

/// Narrows what some index finds by all else that is asked for.
fn narrow(mut select: Select, query: &DeliveryQuery) -> Select {
    if !query.states.is_empty() {
        let states: Vec<&str> = query.states.iter().map(|state| state.as_str()).collect();
        select.sql.push_str(&format!(" AND +state IN ('{}')", states.join("', '")));
    }
    select
        .and("+subject = ?", query.subject.as_ref().map(Subject::reference))
        .and("+author = ? COLLATE NOCASE", query.author.clone())
        .ids(query, "+id")
}

/// Within one state each index is in the order of ids: a page of each is enough. `+` keeps a column from being the
/// index where there is a narrower one (<https://www.sqlite.org/optoverview.html#disqualifying_where_clause_terms_using_unary_>).
fn select_deliveries(query: &DeliveryQuery, state: Option<DeliveryState>) -> Select {
    let is_narrow = is_narrow(query);
    let has_subject = query.watch.is_none() && query.subject.is_some();
    let in_state =
        if is_narrow || has_subject || query.author.is_some() { "+state = ?" } else { "state = ?" };
    let by = if is_narrow || has_subject {
        "+author = ? COLLATE NOCASE"
    } else {
        "author = ? COLLATE NOCASE"
    };
    Select::of_deliveries("TRUE")
        .and("sha = ?", query.sha.as_ref().map(ToString::to_string))
        .and("watch = ?", query.watch.as_ref().map(ToString::to_string))
        .and("subject = ?", query.subject.as_ref().map(Subject::reference))
        .and(in_state, state.map(DeliveryState::as_str))
        .and(by, query.author.clone())
        .text(query)
        .ids(query, "id")
        .order("id DESC", query.limit)
}

/// The audit log by filter and page, newest first.
pub(super) fn acts(db: &Connection, query: &AuditQuery) -> Result<Vec<AuditEntry>, Failure> {
    let sql = "SELECT version, checksum, record, number FROM acts WHERE TRUE".to_owned();
    let select = Select { sql, values: Vec::new() }
        .and("watch = ?", query.watch.as_ref().map(ToString::to_string))
        .and("name = ?", query.by.clone())
        .and("at >= ?", query.since.map(|since| format!("{since:.9}")))
        .and("number < ?", query.before.map(|number| i64::try_from(number).unwrap_or(i64::MAX)))
        .order("number DESC", query.limit);
    let mut statement = db.prepare_cached(&select.sql)?;
    let mut rows = statement.query(params_from_iter(select.values))?;
    let mut entries = Vec::new();
    while let Some(row) = rows.next()? {
        // SQLite numbers them from 1 on.
        let number = u64::try_from(row.get::<_, i64>(3)?).unwrap_or_default();
        entries.push(AuditEntry { number, act: record(row)? });
    }
    Ok(entries)
}

/// What is shown of the state. The caller holds a transaction, so that it is of one moment.
pub(super) fn overview(db: &Connection, query: &OverviewQuery) -> Result<Overview, Failure> {
    let open = select_open(query.watch.as_ref()).briefs(db)?;
    Ok(Overview {
        watches: watches(db, query.watch.as_ref())?,
        subjects: subjects(db, query, &open)?,
        queue: queue(db, &open)?,
        receivers: receivers(db, query.watch.as_ref())?,
        agent: Select::from("agent").read(db)?.pop(),
        past: match (&query.watch, &query.past) {
            (Some(watch), Some(past)) => past::past(db, watch, past)?,
            _ => Vec::new(),
        },
        fleet: None,
    })
}

/// What waits of these deliveries for room. They are few: it is their objects that tell.
fn queue(db: &Connection, open: &[Brief]) -> Result<Vec<QueueView>, Failure> {
    let mut waiting = Vec::new();
    for brief in open.iter().filter(|brief| brief.is_queued()) {
        let query = DeliveryQuery { id_prefix: Some(brief.id.to_string()), ..Default::default() };
        waiting.extend(deliveries(db, &query)?);
    }
    Ok(QueueView::of(&waiting))
}

fn select_open(only: Option<&WatchName>) -> Select {
    Select::of_deliveries("final = 0")
        .and("watch = ?", only.map(ToString::to_string))
        .order("watch, subject, id", None)
}

fn watches(db: &Connection, only: Option<&WatchName>) -> Result<Vec<WatchView>, Failure> {
    let of = |table| {
        let select = Select::from(table).and("watch = ?", only.map(ToString::to_string));
        select.order("watch", None)
    };
    let inbox = requests(db)?;
    let states: Vec<WatchState> = of("watches").read(db)?;
    let suspensions: Vec<Suspension> = of("suspensions").read(db)?;
    let mut names: Vec<WatchName> = states.iter().map(|state| state.watch.clone()).collect();
    names.extend(suspensions.iter().map(|suspension| suspension.watch.clone()));
    names.sort_unstable();
    names.dedup();
    let (mut states, mut suspensions) =
        (states.into_iter().peekable(), suspensions.into_iter().peekable());
    let view = |watch: WatchName| {
        Ok(WatchView {
            state: states.next_if(|state| state.watch == watch),
            suspension: suspensions.next_if(|suspension| suspension.watch == watch),
            reporting: reporting(db, &watch)?,
            triggers: inbox.triggers.iter().filter(|trigger| trigger.watch == watch).count(),
            last_success: last_success(db, &watch)?,
            recent: recent(db, &watch)?,
            watch,
        })
    };
    names.into_iter().map(view).collect()
}

fn reporting(db: &Connection, watch: &WatchName) -> Result<Option<Report>, Failure> {
    let newest: Option<Report> = select_settled(watch).read(db)?.pop();
    match newest.filter(|report| report.given_up && report.error.is_some()) {
        Some(given_up) => Ok(Some(given_up)),
        None => Ok(select_in_vain(watch).read(db)?.pop()),
    }
}

fn select_settled(watch: &WatchName) -> Select {
    let select = Select::of("reports", "due = 0");
    select.and("watch = ?", Some(watch.to_string())).order("at DESC", Some(1))
}

fn select_in_vain(watch: &WatchName) -> Select {
    let select = Select::of("reports", "due = 1 AND error IS NOT NULL");
    select.and("watch = ?", Some(watch.to_string())).order("at", Some(1))
}

fn last_success(db: &Connection, watch: &WatchName) -> Result<Option<Timestamp>, Failure> {
    let sql = "SELECT max(succeeded_at) FROM cursors WHERE watch = ?";
    let mut statement = db.prepare_cached(sql)?;
    let at: Option<String> = statement.query_row([watch.as_str()], |row| row.get(0))?;
    at.map(|at| time(&at)).transpose()
}

/// By index, and in its order: of each delivery its state alone is read.
const RECENT_STATES: &str = "SELECT state FROM deliveries WHERE watch = ? ORDER BY id DESC LIMIT ?";

fn recent(db: &Connection, watch: &WatchName) -> Result<Vec<DeliveryState>, Failure> {
    let mut statement = db.prepare_cached(RECENT_STATES)?;
    let limit = i64::try_from(RECENT).unwrap_or(i64::MAX);
    let mut rows = statement.query(params![watch.as_str(), limit])?;
    let mut states = Vec::new();
    while let Some(row) = rows.next()? {
        let word: String = row.get(0)?;
        let state = DeliveryState::from_word(&word);
        states.push(state.ok_or_else(|| Failure::Damaged(format!("{word:?} is no state")))?);
    }
    Ok(states)
}

fn time(text: &str) -> Result<Timestamp, Failure> {
    text.parse().map_err(|_| Failure::Damaged(format!("{text:?} is no time")))
}

/// `open` is sorted by watch, subject and id, as the subjects are.
fn subjects(
    db: &Connection,
    query: &OverviewQuery,
    open: &[Brief],
) -> Result<Vec<SubjectView>, Failure> {
    let key = |brief: &Brief| (brief.watch.clone(), brief.revision.subject.reference());
    let mut open = open.chunk_by(|a, b| key(a) == key(b)).peekable();
    let mut subjects = Vec::new();
    each_subject(db, query, |cursors, newest| {
        let mine = (cursors.watch.clone(), cursors.subject.reference());
        while open.next_if(|these| key(&these[0]) < mine).is_some() {}
        let open = open.next_if(|these| key(&these[0]) == mine).unwrap_or_default();
        let open = open.iter().map(|brief| counted(db, brief.clone())).collect::<Result<_, _>>()?;
        let delivered = delivered(db, &cursors, newest.as_ref())?;
        let delivered = delivered.map(|brief| counted(db, brief)).transpose()?;
        subjects.push(SubjectView { open, newest, delivered, cursors });
        Ok(())
    })?;
    Ok(subjects)
}

/// Hands over the cursors that are asked for, each with the newest delivery of its subject: one statement, however many.
fn each_subject(
    db: &Connection,
    query: &OverviewQuery,
    mut take: impl FnMut(Cursors, Option<Brief>) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let select = select_subjects(query);
    let mut statement = db.prepare_cached(&select.sql)?;
    let mut rows = statement.query(params_from_iter(select.values))?;
    while let Some(row) = rows.next()? {
        let has_delivery = row.get_ref(NEWEST)? != ValueRef::Null;
        let newest = has_delivery.then(|| deliveries::brief(row, NEWEST)).transpose()?;
        take(record(row)?, newest)?;
    }
    Ok(())
}

/// The column of [`select_subjects`] where the newest delivery begins.
const NEWEST: usize = 3;

fn select_subjects(query: &OverviewQuery) -> Select {
    let which = if query.subjects == SubjectFilter::Unsettled { "waiting = 1" } else { "TRUE" };
    let sql = format!(
        "SELECT cursors.version, cursors.checksum, cursors.record,
             newest.version, newest.checksum, newest.record, newest.parts
         FROM cursors LEFT JOIN deliveries AS newest ON newest.id = (
             SELECT max(id) FROM deliveries AS of_subject
             WHERE of_subject.watch = cursors.watch AND of_subject.subject = cursors.subject)
         WHERE {which}"
    );
    let select = Select { sql, values: Vec::new() };
    let select = select.and("cursors.watch = ?", query.watch.as_ref().map(ToString::to_string));
    let select = match &query.subjects {
        SubjectFilter::All | SubjectFilter::Unsettled => select,
        SubjectFilter::Is(subject) => select.and("cursors.subject = ?", Some(subject.reference())),
        SubjectFilter::HeadStarts(prefix) => select
            .and("observed >= ?", Some(prefix.clone()))
            .and("observed <= ? || '~'", Some(prefix.clone())),
    };
    let select = match &query.text {
        None => select,
        Some(text) => {
            let pattern = format!("%{}%", escaped(text));
            let condition = r"(cursors.watch LIKE ? ESCAPE '\'
                OR CASE WHEN cursors.subject LIKE 'refs/heads/%' THEN substr(cursors.subject, 12)
                    ELSE cursors.subject END LIKE ? ESCAPE '\')";
            let mut select = select.and(condition, Some(pattern.clone()));
            select.values.push(Box::new(pattern));
            select
        }
    };
    let select = match &query.after {
        None => select,
        Some((watch, subject)) => {
            let after = "(cursors.watch, cursors.subject) > (?, ?)";
            let mut select = select.and(after, Some(watch.to_string()));
            select.values.push(Box::new(subject.reference()));
            select
        }
    };
    select.order("cursors.watch, cursors.subject", query.limit)
}

/// The newest delivery of the delivered head that has runs: most often it is the newest of all.
fn delivered(
    db: &Connection,
    cursors: &Cursors,
    newest: Option<&Brief>,
) -> Result<Option<Brief>, Failure> {
    let Some(mark) = &cursors.delivered else { return Ok(None) };
    if let Some(newest) = newest.filter(|it| it.revision.sha == mark.sha && it.has_runs()) {
        return Ok(Some(newest.clone()));
    }
    let of_head = select_deliveries(
        &DeliveryQuery {
            watch: Some(cursors.watch.clone()),
            subject: Some(cursors.subject.clone()),
            sha: Some(mark.sha.clone()),
            ..DeliveryQuery::default()
        },
        None,
    );
    Ok(of_head.briefs(db)?.into_iter().find(Brief::has_runs))
}

/// A delivery with all runs that count with its own.
fn counted(db: &Connection, brief: Brief) -> Result<Brief, Failure> {
    if !brief.is_part {
        return Ok(brief);
    }
    let query = DeliveryQuery {
        watch: Some(brief.watch.clone()),
        subject: Some(brief.revision.subject.clone()),
        sha: Some(brief.revision.sha.clone()),
        ..DeliveryQuery::default()
    };
    let mut of_head = deliveries(db, &query)?;
    of_head.reverse();
    Ok(Brief::counted(&of_head, &brief.id).unwrap_or(brief))
}

fn receivers(db: &Connection, only: Option<&WatchName>) -> Result<Vec<ReceiverView>, Failure> {
    let sql = "SELECT receiver, count(*), min(at),
                   (SELECT error FROM outbox AS one WHERE one.receiver = outbox.receiver
                        AND one.error IS NOT NULL AND (?1 IS NULL OR one.watch = ?1) ORDER BY id LIMIT 1)
               FROM outbox WHERE ?1 IS NULL OR watch = ?1 GROUP BY receiver ORDER BY receiver";
    let mut statement = db.prepare_cached(sql)?;
    let mut rows = statement.query(params![only.map(WatchName::as_str)])?;
    let mut receivers = Vec::new();
    while let Some(row) = rows.next()? {
        let waiting: i64 = row.get(1)?;
        receivers.push(ReceiverView {
            receiver: row.get(0)?,
            waiting: usize::try_from(waiting).unwrap_or_default(),
            since: time(&row.get::<_, String>(2)?)?,
            error: row.get(3)?,
        });
    }
    Ok(receivers)
}

#[cfg(test)]
mod tests {
    use sentry_core::testing::sample;

    use super::*;
    use crate::sqlite::schema;

    /// How SQLite finds what a statement asks for.
    fn plan(db: &Connection, select: Select) -> String {
        let mut explain = db.prepare(&format!("EXPLAIN QUERY PLAN {}", select.sql)).unwrap();
        let rows = explain.query_map(params_from_iter(select.values), |row| row.get("detail"));
        rows.unwrap().collect::<Result<Vec<String>, _>>().unwrap().join("; ")
    }

    fn database() -> Connection {
        let mut db = Connection::open_in_memory().unwrap();
        schema::migrate(&mut db).unwrap();
        db
    }

    #[test]
    fn deliveries_are_found_in_their_order_by_the_index_of_what_is_asked_for() {
        let db = database();
        let none = DeliveryQuery::default;
        let (watch, sha) = (Some(sample::watch("app")), Some(sample::sha(1)));
        let subject = Some(sample::subject("main"));
        let of_watch = || DeliveryQuery { watch: watch.clone(), ..none() };
        for (query, index, in_state) in [
            (none(), "(id<?)", "deliveries_by_state (state=? AND id<?)"),
            (of_watch(), "deliveries_of_watch (watch=? AND id<?)", "deliveries_of_watch ("),
            (
                DeliveryQuery { subject, ..of_watch() },
                "deliveries_of_subject (watch=? AND subject=? AND id<?)",
                "deliveries_of_subject (",
            ),
            (
                DeliveryQuery { sha: sha.clone(), ..of_watch() },
                "deliveries_of_commit (sha=? AND watch=? AND id<?)",
                "deliveries_of_commit (",
            ),
        ] {
            let query = DeliveryQuery { before: Some(sample::id(1)), limit: Some(20), ..query };
            for (state, index) in [(None, index), (Some(DeliveryState::Failed), in_state)] {
                let plan = plan(&db, select_deliveries(&query, state));
                assert!(plan.starts_with("SEARCH deliveries USING INDEX"), "{query:?}: {plan}");
                assert!(plan.contains(index) && !plan.contains("TEMP"), "{query:?}: {plan}");
            }
        }
        let values: Vec<Box<dyn ToSql>> = vec![Box::new("app"), Box::new(12)];
        let recent = plan(&db, Select { sql: RECENT_STATES.to_owned(), values });
        assert_eq!(recent, "SEARCH deliveries USING INDEX deliveries_of_watch (watch=?)");
        let of_commit = plan(&db, select_deliveries(&DeliveryQuery { sha, ..none() }, None));
        assert!(of_commit.contains("deliveries_of_commit (sha=?)"), "{of_commit}");
    }

    #[test]
    fn deliveries_are_searched_by_index_and_only_what_is_few_is_sorted() {
        let db = database();
        let none = DeliveryQuery::default;
        let of_watch = || DeliveryQuery { watch: Some(sample::watch("app")), ..none() };
        let text = |text: &str| Some(text.to_owned());
        let (subject, since) = (Some(sample::subject("main")), Some(sample::time(1)));
        for (query, indexes) in [
            (DeliveryQuery { subject, ..none() }, ["deliveries_of_branch (subject=?)"].as_slice()),
            (DeliveryQuery { author: text("ada"), ..none() }, &["deliveries_of_author (author=?)"]),
            (
                DeliveryQuery { author: text("ada"), ..of_watch() },
                &["deliveries_of_watch (watch=?)"],
            ),
            (DeliveryQuery { since, until: since, ..none() }, &["(id>? AND id<?)"]),
            (DeliveryQuery { text: text("pay"), ..of_watch() }, &["deliveries_of_watch (watch=?)"]),
            (
                DeliveryQuery { text: text("pay"), author: text("ada"), ..none() },
                &["delivery_search VIRTUAL TABLE INDEX"],
            ),
            (
                DeliveryQuery { text: text("pay"), until: since, since, ..none() },
                &["delivery_search VIRTUAL TABLE INDEX"],
            ),
            (
                DeliveryQuery { text: text("fade"), ..none() },
                &["deliveries_of_commit (sha>? AND sha<?)", "delivery_search VIRTUAL TABLE INDEX"],
            ),
        ] {
            let query = DeliveryQuery { limit: Some(20), ..query };
            let selects =
                if query.text.is_some() && !is_narrow(&query) { searches } else { selects };
            let plans: Vec<_> =
                selects(&query).into_iter().map(|select| plan(&db, select)).collect();
            assert_eq!(plans.len(), indexes.len(), "{query:?}: {plans:?}");
            for (plan, index) in plans.iter().zip(indexes) {
                assert!(plan.contains(index), "{index}, {query:?}: {plan}");
                assert!(!plan.contains("TEMP") || index.contains("sha>?"), "{query:?}: {plan}");
            }
        }
    }

    #[test]
    fn what_an_overview_is_made_of_is_found_by_index() {
        let db = database();
        let (app, main) = (sample::watch("app"), sample::subject("main"));
        let all = OverviewQuery::default;
        let filtered = |subjects| OverviewQuery { subjects, ..all() };
        let after = OverviewQuery { after: Some((app.clone(), main.clone())), ..all() };
        for (select, index) in [
            (select_open(None), "deliveries USING INDEX deliveries_open"),
            (select_open(Some(&app)), "deliveries_open (watch=?)"),
            (select_settled(&app), "reports_settled (watch=?)"),
            (select_in_vain(&app), "reports_in_vain (watch=?)"),
            (select_subjects(&all()), "sqlite_autoindex_cursors_1"),
            (select_subjects(&after), "cursors_1 ((watch,subject)>(?,?))"),
            (select_subjects(&OverviewQuery::subject(&app, &main)), "(watch=? AND subject=?)"),
            (select_subjects(&filtered(SubjectFilter::Unsettled)), "INDEX cursors_waiting"),
            (
                select_subjects(&filtered(SubjectFilter::HeadStarts("1a2b".into()))),
                "INDEX cursors_at (observed>? AND observed<?)",
            ),
        ] {
            let plan = plan(&db, select);
            assert!(plan.contains(index), "{index}: {plan}");
            // Only the few that a commit's id finds are sorted.
            assert!(!plan.contains("TEMP") || index.contains("cursors_at"), "{plan}");
        }
    }
}
