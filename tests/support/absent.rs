//! What a test does when something it needs is not on this machine.

use std::io::Write as _;

/// Says loudly that a test was skipped; under `CI=true` that is a failure instead.
///
/// # Panics
/// Under `CI=true`: there a test that does not run is a test that fails.
pub(crate) fn absent(why: &str) {
    assert!(
        std::env::var("CI").as_deref() != Ok("true"),
        "needed in CI: {why}"
    );
    let name = std::thread::current().name().unwrap_or("?").to_owned();
    // Straight to the stream: the test harness swallows what `eprintln!` says in a passing test.
    let _ = writeln!(
        std::io::stderr(),
        "\n*** SKIPPED, NOTHING WAS TESTED: {name}: {why} ***\n"
    );
}
