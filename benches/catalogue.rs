//! What naming a call costs: `cargo bench --bench catalogue`. Asks the catalogue for a request of
//! every operation it holds, and for paths that it does not, again and again.

#![expect(clippy::print_stdout, reason = "a benchmark is for reading")]

use std::hint::black_box;
use std::time::Instant;

use ddgate::datadog::classify;
use http::Method;

static TABLE: &str = include_str!("../src/datadog/operations.tsv");
const ROUNDS: u32 = 200;

fn main() {
    let known: Vec<(Method, String)> = TABLE
        .lines()
        .filter(|line| !line.starts_with('#'))
        .skip(1)
        .filter_map(|line| {
            let mut columns = line.split('\t');
            let method = columns.next()?.parse().ok()?;
            // A parameter's name will do for its value.
            Some((method, columns.next()?.replace(['{', '}'], "")))
        })
        .collect();
    let unknown: Vec<(Method, String)> = known
        .iter()
        .map(|(method, path)| (method.clone(), format!("{path}/x")))
        .collect();
    for (name, requests) in [("known", &known), ("unknown", &unknown)] {
        println!(
            "{name}: {} paths, {} ns each",
            requests.len(),
            nanoseconds(requests)
        );
    }
}

/// The mean of the fastest round.
fn nanoseconds(requests: &[(Method, String)]) -> u128 {
    let round = || {
        let begun = Instant::now();
        for (method, path) in requests {
            black_box(classify(method, "api.datadoghq.com", black_box(path)));
        }
        begun.elapsed().as_nanos() / requests.len() as u128
    };
    (0..ROUNDS).map(|_| round()).min().unwrap_or_default()
}
