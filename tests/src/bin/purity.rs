//! Calls the bundled plugins as the test of their purity does, in a process of its own, and prints what came out.

use hookwright_tests::purity::{self, Report};

fn main() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    let reports = runtime.block_on(purity::call_all(purity::CALLS))?;
    for report in &reports {
        let Report { plugin, time, memory, compiled_in, cases, .. } = report;
        eprintln!(
            "{plugin}: {cases} cases, {time:?} and {} KiB a call, compiled in {compiled_in:?}",
            memory >> 10
        );
    }
    print!("{}", purity::transcript(&reports));
    Ok(())
}
