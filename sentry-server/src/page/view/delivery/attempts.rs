//! The deliveries of one commit side by side: how each document's run went in each of them.

use sentry_api::shape::{Delivery, Object, Run, Show};
use sentry_core::plan::base_name;

use super::super::{Moment, Reader, State, Tone, span};
use super::runs::{lasted, run_state};
use super::{cause, runs as runs_in_words, standing, state};

/// A table: a row for each delivery, the newest first, a column for each document.
#[derive(Debug)]
pub(crate) struct Attempts {
    /// The names of the documents' runs.
    pub(super) columns: Vec<String>,
    pub(super) rows: Vec<Attempt>,
    /// How they stand together, and the runs that count, in words.
    pub(super) counted: Option<(State, String)>,
}

/// One delivery of the commit.
#[derive(Debug)]
pub(crate) struct Attempt {
    pub(super) id: String,
    pub(super) short: String,
    /// Whether it is the one that is shown.
    pub(super) is_this: bool,
    pub(super) state: State,
    pub(super) started: Moment,
    pub(super) why: String,
    pub(super) cells: Vec<Option<Cell>>,
}

/// The run of one document in one delivery.
#[derive(Debug)]
pub(crate) struct Cell {
    pub(super) state: State,
    pub(super) time: Option<String>,
}

/// What tells one document from another.
fn document(object: &Object) -> (&str, usize) {
    (&object.path, object.line)
}

fn runs(delivery: &Delivery) -> impl Iterator<Item = (&Object, &Run)> {
    delivery.objects.iter().filter(|object| object.run).zip(&delivery.runs)
}

impl Attempts {
    /// `None` where the commit was delivered once.
    pub(super) fn new(reader: &Reader, show: &Show) -> Option<Self> {
        if show.same_commit.len() < 2 {
            return None;
        }
        let mut documents: Vec<((&str, usize), &str)> = Vec::new();
        for (object, run) in show.same_commit.iter().flat_map(runs) {
            if !documents.iter().any(|(known, _)| *known == document(object)) {
                documents.push((document(object), base_name(&run.name)));
            }
        }
        let failed = |wanted: &(&str, usize)| {
            let mut all = show.same_commit.iter().flat_map(runs);
            all.any(|(object, run)| {
                document(object) == *wanted && run_state(reader.words, run.state).tone == Tone::Bad
            })
        };
        // What failed in any of them stands first.
        documents.sort_by_cached_key(|(document, name)| (!failed(document), *document, *name));
        let row = |delivery: &Delivery| {
            let cell = |(wanted, _): &((&str, usize), &str)| {
                let found = runs(delivery).find(|(object, _)| document(object) == *wanted);
                found.map(|(_, run)| Cell::new(reader, run))
            };
            Attempt {
                id: delivery.id.clone(),
                short: short_id(&delivery.id),
                is_this: delivery.id == show.delivery.id,
                state: state(reader.words, delivery),
                started: Moment::new(reader, delivery.started),
                why: asked(reader, delivery),
                cells: documents.iter().map(cell).collect(),
            }
        };
        let columns = documents.iter().map(|(_, name)| (*name).to_owned()).collect();
        let counted = show.counted.as_ref().map(|counted| {
            let runs = runs_in_words(reader.words, counted.runs);
            let state = standing(reader.words, counted.state, counted.verdict);
            (state, reader.words.put("attempts-counted", "runs", runs))
        });
        Some(Self { columns, rows: show.same_commit.iter().map(row).collect(), counted })
    }
}

impl Cell {
    fn new(reader: &Reader, run: &Run) -> Self {
        let time = run.ended.and_then(|end| lasted(reader, run.started, Some(end)));
        let state = run_state(reader.words, run.state);
        Self { state, time: time.map(|time| span(reader.words, time)) }
    }
}

/// The beginning of an id: its time to the millisecond. Commands take it as well.
pub(super) fn short_id(id: &str) -> String {
    id.chars().take(10).collect()
}

/// Why it was started, and by whom.
pub(super) fn asked(reader: &Reader, delivery: &Delivery) -> String {
    let why = cause(reader.words, delivery.trigger);
    match &delivery.asked_by {
        Some(by) => {
            let said = [("cause", why.into()), ("by", by.as_str().into())];
            reader.words.with("asked-by", said)
        }
        None => why,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::super::sample;
    use super::*;

    #[test]
    fn attempts_stand_side_by_side_with_the_run_of_each_document() {
        let run = |path: &str| json!({"path": path, "line": 1, "kind": "PipelineRun", "name": "x", "run": true, "action": "created"});
        let of = |id: &str, runs: &[(&str, &str)]| {
            let objects: Vec<_> = runs.iter().map(|(path, _)| run(path)).collect();
            let states = runs.iter().map(|(path, state)| {
                json!({"name": format!("{}-1a2b3c4d-k3v9q0x2m4b7n8c5", path.trim_end_matches(".yaml")), "state": state,
                       "started": "2026-01-01T00:00:00Z", "ended": "2026-01-01T00:00:09Z"})
            });
            let states: Vec<_> = states.collect();
            sample::delivery(
                json!({"id": id, "objects": objects, "runs": states, "asked_by": "ben", "trigger": "rerun"}),
            )
        };
        let first = of("01a", &[("unit.yaml", "succeeded"), ("e2e.yaml", "failed")]);
        let again = of("01b", &[("e2e.yaml", "succeeded")]);
        let show = sample::show(&again, json!({"same_commit": [again, first]}));
        let table = Attempts::new(&sample::reader(), &show).unwrap();
        assert_eq!(table.counted, None);
        assert_eq!(table.columns, ["e2e", "unit"]);
        let cells = |attempt: &Attempt| -> Vec<Option<String>> {
            let text =
                |cell: &Cell| format!("{} {}", cell.state.word, cell.time.as_deref().unwrap());
            attempt.cells.iter().map(|cell| cell.as_ref().map(text)).collect()
        };
        assert_eq!(cells(&table.rows[0]), [Some("succeeded 9 s".to_owned()), None]);
        let (failed, fine) = (Some("failed 9 s".to_owned()), Some("succeeded 9 s".to_owned()));
        assert_eq!(cells(&table.rows[1]), [failed, fine]);
        assert!(table.rows[0].is_this && !table.rows[1].is_this);
        assert_eq!(table.rows[0].why, "new runs, requested by hand: ben");
        let alone = sample::show(&sample::delivery(json!({})), json!({}));
        assert!(Attempts::new(&sample::reader(), &alone).is_none());
    }

    #[test]
    fn beside_the_attempts_stands_how_they_count_together() {
        let delivery = sample::delivery(json!({"state": "failed", "verdict": "failure"}));
        let counted = |said: serde_json::Value| {
            let said = json!({"same_commit": [delivery, delivery], "counted": said});
            Attempts::new(&sample::reader(), &sample::show(&delivery, said)).unwrap().counted
        };
        let runs = |succeeded: usize, failed: usize, running: usize| {
            let total = succeeded + failed + running;
            json!({"total": total, "succeeded": succeeded, "failed": failed, "running": running})
        };
        for (said, tone, word, text) in [
            (
                json!({"state": "succeeded", "verdict": "success", "runs": runs(3, 0, 0)}),
                Tone::Good,
                "succeeded",
                "of each document the newest run counts: 3 succeeded",
            ),
            (
                json!({"state": "failed", "verdict": "failure", "runs": runs(2, 1, 0)}),
                Tone::Bad,
                "runs failed",
                "of each document the newest run counts: 1 failed, 2 succeeded",
            ),
            (
                json!({"state": "following", "verdict": null, "runs": runs(2, 0, 1)}),
                Tone::Busy,
                "running",
                "of each document the newest run counts: 1 in progress, 2 succeeded",
            ),
        ] {
            assert_eq!(
                counted(said.clone()),
                Some((State::new(tone, word), text.to_owned())),
                "{said}"
            );
        }
    }
}
