//! The product's binary, where the tests can find it.

use std::process::ExitCode;

fn main() -> ExitCode {
    hookwright::cli::main()
}
