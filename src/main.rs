//! Entry point. Everything is in the library.

fn main() -> std::process::ExitCode {
    phasegate::cli::run()
}
