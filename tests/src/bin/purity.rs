//! Calls the bundled plugins as the test of their purity does, in a process of its own, and prints what came out.

use hookwright_tests::purity;

fn main() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    let reports = runtime.block_on(purity::call_all(purity::CALLS))?;
    for report in &reports {
        eprintln!("{:?} {} KiB, {} cases: {}", report.time, report.memory >> 10, report.cases, report.plugin);
    }
    print!("{}", purity::transcript(&reports));
    Ok(())
}
