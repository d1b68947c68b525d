//! The closed loop: so many connections, each making one call after the other.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::Barrier;

use super::Failure;
use super::class::{Cell, Class};
use super::client::Route;

/// One cell, one way, one round.
pub(crate) struct Sample {
    pub(crate) times: Vec<Duration>,
    pub(crate) calls: usize,
    /// What the proxy on the way spent meanwhile, where there is one.
    pub(crate) cpu: Duration,
}

/// Makes `calls` calls by `route`, and times each (of event streams: each event's delay).
pub(crate) async fn run(
    route: &Route,
    cell: &Cell,
    calls: usize,
) -> Result<Vec<Duration>, Failure> {
    let body = cell.class.request_body();
    let start = Arc::new(Barrier::new(cell.concurrency));
    let loops: Vec<_> = (0..cell.concurrency)
        .map(|_| {
            let (route, body, start) = (route.clone(), body.clone(), Arc::clone(&start));
            tokio::spawn(one(
                route,
                cell.class,
                calls / cell.concurrency,
                body,
                start,
            ))
        })
        .collect();
    let mut times = Vec::with_capacity(calls);
    for one in loops {
        times.extend(one.await??);
    }
    Ok(times)
}

async fn one(
    route: Route,
    class: Class,
    calls: usize,
    body: Bytes,
    start: Arc<Barrier>,
) -> Result<Vec<Duration>, Failure> {
    let mut connection = route.open().await?;
    // Both ends' buffers, and the gate's own connection, exist before anything is timed.
    let warmed = connection.call(Class::Small, Bytes::new()).await;
    start.wait().await;
    warmed?;
    let mut times = Vec::with_capacity(calls);
    for _ in 0..calls {
        match class {
            Class::Events => times.extend(connection.events().await?),
            Class::Fresh => {
                let began = Instant::now();
                route.open().await?.call(class, body.clone()).await?;
                times.push(began.elapsed());
            }
            _ => times.push(connection.call(class, body.clone()).await?),
        }
    }
    Ok(times)
}
