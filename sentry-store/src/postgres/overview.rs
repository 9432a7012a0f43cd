//! What is shown of the state, of one moment, by index: none of it reads the history.

use std::time::Duration;

use sentry_core::clock::Timestamp;
use sentry_core::delivery::{DeliveryState, RunState, Verdict};
use sentry_core::names::WatchName;
use sentry_core::revision::Revision;
use sentry_core::store::{
    AgentState, Brief, DeliveryQuery, FleetView, MemberView, Overview, OverviewQuery, Past,
    PastQuery, PastRun, QueueView, RECENT, ReceiverView, SubjectFilter, SubjectView, WatchView,
};
use sentry_core::subject::Subject;
use tokio_postgres::Row;

use super::failure::Failure;
use super::rows::{BRIEF, brief, get, odd, optional, parsed, record, word};
use super::session::{CALL, Lent, Pool, Value};
use super::slots;
use super::views::{Select, whole};

pub(super) async fn overview(pool: &Pool, query: &OverviewQuery) -> Result<Overview, Failure> {
    let db = pool.session(CALL).await?;
    let only = query.watch.as_ref();
    let past = async {
        match (only, &query.past) {
            (Some(watch), Some(asked)) => past(&db, watch, asked).await,
            _ => Ok(Vec::new()),
        }
    };
    // They are sent together, in this order.
    let (_, open, watches, found, queue, receivers, agent, members, unowned, past) = tokio::try_join!(
        biased;
        db.begin("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"),
        open(&db, only),
        watches(&db, only),
        select_subjects(query).rows(&db),
        queue(&db, only),
        receivers(&db, only),
        agent(&db),
        members(&db),
        unowned(&db),
        past,
    )?;
    let subjects = subjects(&db, &found, &open).await?;
    db.end().await?;
    let fleet = Some(FleetView { members, unowned });
    Ok(Overview { watches, subjects, queue, receivers, agent, past, fleet })
}

async fn open(db: &Lent<'_>, only: Option<&WatchName>) -> Result<Vec<Brief>, Failure> {
    let select = Select::of(BRIEF, "deliveries", "NOT final").and("watch = ?", only);
    let rows = select.order("watch, subject, id", None).rows(db).await?;
    rows.iter().map(|row| brief(row, 0)).collect()
}

async fn agent(db: &Lent<'_>) -> Result<Option<AgentState>, Failure> {
    let select = Select::of("format, agent::text", "members", "agent IS NOT NULL");
    // Of several the one that lives.
    let order = "(until > clock_timestamp() AND (agent ->> 'ended') IS NULL) DESC, beat DESC";
    let rows = select.order(order, Some(1)).rows(db).await?;
    rows.first().map(|row| record(row, 0)).transpose()
}

/// The live members, longest first, each with its slots.
async fn members(db: &Lent<'_>) -> Result<Vec<MemberView>, Failure> {
    let columns = "m.holder, extract(epoch FROM clock_timestamp() - m.joined)::double precision,
        array_agg(s.slot ORDER BY s.slot) FILTER (WHERE s.slot IS NOT NULL),
        array_agg(s.term ORDER BY s.slot) FILTER (WHERE s.slot IS NOT NULL),
        (SELECT count(*) FROM homes h JOIN slots o ON o.slot = h.slot
            WHERE o.owner = m.id AND o.given_at IS NULL AND NOT h.free)";
    let from = "members m LEFT JOIN slots s ON s.owner = m.id AND s.given_at IS NULL";
    let select = Select::of(columns, from, "m.until > clock_timestamp()");
    let rows = select.grouped("m.id", "m.joined, m.id").rows(db).await?;
    rows.iter().map(member).collect()
}

fn member(row: &Row) -> Result<MemberView, Failure> {
    let slots: Vec<i16> = get::<Option<_>>(row, 2)?.unwrap_or_default();
    let terms: Vec<&str> = get::<Option<_>>(row, 3)?.unwrap_or_default();
    let slots = slots.into_iter().zip(terms);
    Ok(MemberView {
        holder: get(row, 0)?,
        age: Duration::try_from_secs_f64(get::<f64>(row, 1)?.max(0.0)).unwrap_or_default(),
        slots: slots
            .map(|(slot, term)| Ok((slots::slot(slot)?, parsed(term)?)))
            .collect::<Result<_, Failure>>()?,
        watches: number(get(row, 4)?),
    })
}

/// The watches that no live member works for.
async fn unowned(db: &Lent<'_>) -> Result<Vec<WatchName>, Failure> {
    let from = "homes h LEFT JOIN slots s ON s.slot = h.slot AND s.given_at IS NULL
        LEFT JOIN members m ON m.id = s.owner AND m.until > clock_timestamp()";
    let select = Select::of("h.watch", from, "NOT h.free AND m.id IS NULL");
    let rows = select.order("h.watch", None).rows(db).await?;
    rows.iter().map(|row| parsed(get(row, 0)?)).collect()
}

/// What waits for room: the objects tell, of the few deliveries that have such.
async fn queue(db: &Lent<'_>, only: Option<&WatchName>) -> Result<Vec<QueueView>, Failure> {
    let columns = "d.watch, p.record #>> '{object,namespace}' AS namespace, count(*)";
    let from = "deliveries d JOIN delivery_parts p ON p.delivery = d.id";
    let which = "NOT d.final AND d.totals[6] > 0 AND p.kind = 'objects' AND p.state = 'queued'";
    let select = Select::of(columns, from, which).and("d.watch = ?", only);
    let rows =
        select.grouped("d.watch, namespace", "d.watch, namespace NULLS FIRST").rows(db).await?;
    let view = |row: &Row| {
        let (watch, namespace) = (parsed(get(row, 0)?)?, get(row, 1)?);
        Ok(QueueView { watch, namespace, runs: number(get(row, 2)?) })
    };
    rows.iter().map(view).collect()
}

async fn receivers(db: &Lent<'_>, only: Option<&WatchName>) -> Result<Vec<ReceiverView>, Failure> {
    let columns = "receiver, count(*), min(at),
        (array_agg(error ORDER BY id) FILTER (WHERE error IS NOT NULL))[1]";
    let select = Select::of(columns, "outbox", "TRUE").and("watch = ?", only);
    let rows = select.grouped("receiver", "receiver").rows(db).await?;
    let view = |row: &Row| {
        let waiting = number(get(row, 1)?);
        let (receiver, since, error) = (get(row, 0)?, parsed(get(row, 2)?)?, get(row, 3)?);
        Ok(ReceiverView { receiver, waiting, since, error })
    };
    rows.iter().map(view).collect()
}

fn number(count: i64) -> usize {
    usize::try_from(count).unwrap_or_default()
}

async fn watches(db: &Lent<'_>, only: Option<&WatchName>) -> Result<Vec<WatchView>, Failure> {
    let columns = format!(
        "named.watch, w.version, w.record::text, s.version, s.record::text,
         settled.version, settled.record::text, vain.version, vain.record::text,
         (SELECT count(*) FROM triggers t WHERE t.pending AND t.watch = named.watch),
         (SELECT max(succeeded_at) FROM cursors c WHERE c.watch = named.watch),
         ARRAY(SELECT d.state FROM deliveries d WHERE d.watch = named.watch ORDER BY d.id DESC LIMIT {RECENT})"
    );
    let newest = "SELECT * FROM reports r WHERE r.watch = named.watch AND NOT r.due ORDER BY r.at DESC LIMIT 1";
    let oldest =
        "SELECT * FROM reports r WHERE r.watch = named.watch AND r.due AND r.error IS NOT NULL
        ORDER BY r.at LIMIT 1";
    let from = format!(
        "(SELECT watch FROM watches UNION SELECT watch FROM suspensions) named
         LEFT JOIN watches w ON w.watch = named.watch LEFT JOIN suspensions s ON s.watch = named.watch
         LEFT JOIN LATERAL ({newest}) settled ON settled.given_up AND settled.error IS NOT NULL
         LEFT JOIN LATERAL ({oldest}) vain ON true"
    );
    let select = Select::of(&columns, &from, "TRUE").and("named.watch = ?", only);
    let rows = select.order("named.watch", None).rows(db).await?;
    rows.iter().map(watch).collect()
}

fn watch(row: &Row) -> Result<WatchView, Failure> {
    let recent: Vec<&str> = get(row, 11)?;
    let success: Option<&str> = get(row, 10)?;
    Ok(WatchView {
        watch: parsed(get(row, 0)?)?,
        state: optional(row, 1)?,
        suspension: optional(row, 3)?,
        reporting: optional(row, 5)?
            .map_or_else(|| optional(row, 7), |given_up| Ok(Some(given_up)))?,
        triggers: number(get(row, 9)?),
        last_success: success.map(parsed::<Timestamp>).transpose()?,
        recent: recent.into_iter().map(word::<DeliveryState>).collect::<Result<_, _>>()?,
    })
}

/// The cursors that are asked for, each with the newest delivery of its subject, and with the newest one of its delivered head
/// that has runs.
fn select_subjects(query: &OverviewQuery) -> Select {
    let columns = "c.version, c.record::text, newest.version, newest.record::text, newest.totals,
        delivered.version, delivered.record::text, delivered.totals";
    let from = "cursors c
        LEFT JOIN LATERAL (SELECT d.* FROM deliveries d
            WHERE d.watch = c.watch AND d.subject = c.subject ORDER BY d.id DESC LIMIT 1) newest ON true
        LEFT JOIN LATERAL (SELECT d.* FROM deliveries d
            WHERE d.sha = c.delivered AND d.watch = c.watch AND d.subject = c.subject
                AND NOT (d.record -> 'dry_run')::boolean
                AND (d.totals[1] > d.totals[6] OR NOT d.final AND d.totals[6] > 0)
            ORDER BY d.id DESC LIMIT 1) delivered ON true";
    let which = if query.subjects == SubjectFilter::Unsettled { "c.waiting" } else { "TRUE" };
    let (is, begins) = match &query.subjects {
        SubjectFilter::All | SubjectFilter::Unsettled => (None, None),
        SubjectFilter::Is(subject) => (Some(subject.reference()), None),
        SubjectFilter::HeadStarts(prefix) => (None, Some(prefix.as_str())),
    };
    let select = Select::of(columns, from, which)
        .and("c.watch = ?", query.watch.as_ref())
        .and("c.subject = ?", is)
        .begins("c.observed", begins)
        .holds("c.searched", query.text.as_deref());
    let select = match &query.after {
        None => select,
        Some((watch, subject)) => {
            let after = [watch.to_string(), subject.reference()].map(Value::Text);
            select.and_all("(c.watch, c.subject) > (?, ?)", after)
        }
    };
    select.order("c.watch, c.subject", query.limit)
}

/// `open` is sorted by watch, subject and id, as the subjects are.
async fn subjects(
    db: &Lent<'_>,
    found: &[Row],
    open: &[Brief],
) -> Result<Vec<SubjectView>, Failure> {
    let key = |brief: &Brief| (brief.watch.to_string(), brief.revision.subject.reference());
    let mut open = open.chunk_by(|a, b| key(a) == key(b)).peekable();
    let mut subjects = Vec::new();
    for row in found {
        let cursors: sentry_core::cursor::Cursors = record(row, 0)?;
        let newest = get::<Option<i32>>(row, 2)?.map(|_| brief(row, 2)).transpose()?;
        let delivered = get::<Option<i32>>(row, 5)?.map(|_| brief(row, 5)).transpose()?;
        let mine = (cursors.watch.to_string(), cursors.subject.reference());
        while open.next_if(|these| key(&these[0]) < mine).is_some() {}
        let of_subject = open.next_if(|these| key(&these[0]) == mine).unwrap_or_default();
        let mut view = SubjectView { open: Vec::new(), newest, delivered: None, cursors };
        for one in of_subject {
            view.open.push(counted(db, one.clone()).await?);
        }
        if let Some(one) = delivered {
            view.delivered = Some(counted(db, one).await?);
        }
        subjects.push(view);
    }
    Ok(subjects)
}

/// A delivery with all runs that count with its own.
async fn counted(db: &Lent<'_>, brief: Brief) -> Result<Brief, Failure> {
    if !brief.is_part {
        return Ok(brief);
    }
    let query = DeliveryQuery {
        watch: Some(brief.watch.clone()),
        subject: Some(brief.revision.subject.clone()),
        sha: Some(brief.revision.sha.clone()),
        ..DeliveryQuery::default()
    };
    let mut of_head = whole(db, &query).await?;
    of_head.reverse();
    Ok(Brief::counted(&of_head, &brief.id).unwrap_or(brief))
}

/// The newest deliveries of a watch that are asked for, newest first. Ids grow with time: what is older than `since` ends it.
async fn past(db: &Lent<'_>, watch: &WatchName, query: &PastQuery) -> Result<Vec<Past>, Failure> {
    let columns = "id, subject, sha, (record -> 'dry_run')::boolean, state, record ->> 'verdict', started, finished";
    let select = Select::of(columns, "deliveries", "TRUE")
        .and("watch = ?", Some(watch))
        .and("subject = ?", query.subject.as_ref().map(Subject::reference))
        .and("id < ?", query.before.as_ref());
    let rows = select.order("id DESC", Some(query.limit)).rows(db).await?;
    let mut found = rows.iter().map(one_past).collect::<Result<Vec<_>, _>>()?;
    let older = found.iter().position(|past| query.since.is_some_and(|since| past.started < since));
    found.truncate(older.unwrap_or(found.len()));
    let with_runs = found.len().min(query.with_runs);
    runs(db, &mut found[..with_runs]).await?;
    Ok(found)
}

fn one_past(row: &Row) -> Result<Past, Failure> {
    let reference: &str = get(row, 1)?;
    let subject = Subject::at(reference).map_err(|_| odd("reference", reference))?;
    let verdict: Option<&str> = get(row, 5)?;
    Ok(Past {
        id: parsed(get(row, 0)?)?,
        revision: Revision { subject, sha: parsed(get(row, 2)?)? },
        dry_run: get(row, 3)?,
        state: word(get(row, 4)?)?,
        verdict: verdict.map(word::<Verdict>).transpose()?,
        started: parsed(get(row, 6)?)?,
        finished: time(row, 7)?,
        runs: Vec::new(),
    })
}

/// Adds the runs of deliveries.
async fn runs(db: &Lent<'_>, of: &mut [Past]) -> Result<(), Failure> {
    if of.is_empty() {
        return Ok(());
    }
    let columns = "delivery, record #>> '{object,path}', (record #> '{object,document}')::bigint,
        record #>> '{object,name}', record ->> 'state', record ->> 'started', record ->> 'completed'";
    let ids = of.iter().map(|past| past.id.to_string()).collect();
    let select = Select::of(columns, "delivery_parts", "kind = 'runs'");
    let select = select.and_all("delivery = ANY (?)", [Value::Texts(ids)]);
    for row in select.order("delivery, place", None).rows(db).await? {
        let id: &str = get(&row, 0)?;
        let run = PastRun {
            path: get(&row, 1)?,
            document: number(get(&row, 2)?),
            name: get(&row, 3)?,
            state: word::<RunState>(get(&row, 4)?)?,
            started: time(&row, 5)?,
            completed: time(&row, 6)?,
        };
        of.iter_mut()
            .filter(|past| past.id.as_str() == id)
            .for_each(|past| past.runs.push(run.clone()));
    }
    Ok(())
}

fn time(row: &Row, column: usize) -> Result<Option<Timestamp>, Failure> {
    get::<Option<&str>>(row, column)?.map(parsed).transpose()
}
