//! The `keyreeve` program once more. Cargo builds the programs of a package before its tests, and of no other package:
//! so the tests that start and kill the program always have it, and never an old one.

fn main() -> std::process::ExitCode {
    keyreeve::cli::main()
}
