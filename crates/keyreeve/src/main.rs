//! The `keyreeve` program. All of it is in the library.

/// Requests make many small, short-lived allocations on several threads, which is what this allocator is made for.
#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    keyreeve::cli::main()
}
