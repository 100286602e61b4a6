//! The `keyreeve` program. All of it is in the library.

/// Half the time and fewer page faults than the system's allocator under many small, short-lived allocations.
#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    keyreeve::cli::main()
}
