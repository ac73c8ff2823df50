//! The `hallpass` command.

use tikv_jemallocator::Jemalloc;

/// It gives memory back: what the buffers of a crowd leave free is the system's again within ten seconds. glibc's keeps
/// all that lies before one small piece which is still in use.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

fn main() -> std::process::ExitCode {
    hallpass::cli::run(std::env::args_os())
}
