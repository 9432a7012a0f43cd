//! Works on a state and waits for a word before one of its steps, `make`, `save` or `close`, for who wants to end it there:
//! it says `ready` when it waits, `kept` when its save is acknowledged, and `closed`.

#![expect(clippy::print_stdout, reason = "whoever ends it listens")]

use std::error::Error;
use std::path::PathBuf;

use sentry_core::testing::{commit, sample};
use sentry_store::SqliteStore;

/// Waits for a word, if this is the step to wait before.
fn wait(before: bool) -> std::io::Result<()> {
    if before {
        println!("ready");
        std::io::stdin().read_line(&mut String::new())?;
    }
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args_os().skip(1);
    let step = arguments.next().ok_or("say before which step to wait")?;
    let directory = PathBuf::from(arguments.next().ok_or("say where the state is")?);
    wait(step == "make")?;
    let store = SqliteStore::open(&directory)?;
    wait(step == "save")?;
    commit(&store, &sample::generation(2)).await?;
    println!("kept");
    wait(step == "close")?;
    drop(store);
    println!("closed");
    Ok(())
}
