//! What `make promises` calls before the proofs (`begin [pNN]`) and after them (no argument): see `promise`.

fn main() -> std::io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.split_first() {
        Some((word, only)) if word == "begin" => {
            sentry_tests::promise::begin(only.first().map_or("", String::as_str))
        }
        _ => sentry_tests::promise::publish(),
    }
}
