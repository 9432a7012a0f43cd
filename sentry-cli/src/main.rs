//! The binary `sentry`.

fn main() -> std::process::ExitCode {
    sentry_cli::run(std::env::args_os())
}
