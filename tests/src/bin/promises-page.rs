//! Prints docs/promises.md; `make promises` runs it after the proofs.

#![expect(clippy::print_stdout, reason = "the page goes to stdout")]

fn main() -> std::io::Result<()> {
    print!("{}", sentry_tests::promise::page()?);
    Ok(())
}
