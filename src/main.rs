//! The `hallpass` command.

fn main() -> std::process::ExitCode {
    hallpass::cli::run(std::env::args_os())
}
