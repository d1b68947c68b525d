//! One durable record against a plain append and `fdatasync` of the same bytes on the same disk.
//!
//! Alone, the plain way is the two system calls. With many writers it is what anybody would write
//! first: they hand their records to one thread, which appends what has come and syncs once.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

use ddgate::record::event::Durability;

use super::Failure;
use super::record::{Request, Session};
use super::traffic::{SHOP, Traffic};

/// What one way of writing took at one concurrency in one round.
pub(crate) struct Sample {
    pub(crate) times: Vec<Duration>,
    pub(crate) wall: Duration,
}

impl Sample {
    pub(crate) fn per_second(&self) -> f64 {
        self.times.len() as f64 / self.wall.as_secs_f64()
    }
}

/// Plain and journal, by turns, at one concurrency.
pub(crate) struct Pair {
    pub(crate) plain: Sample,
    pub(crate) journal: Sample,
}

/// Bytes of the record that is written.
pub(crate) fn content_bytes() -> usize {
    Request::of(&Traffic::new(&SHOP, 3).change()).map_or(0, |request| request.content().len())
}

/// One round: at each concurrency so many records of each kind.
pub(crate) fn round(
    directory: &Path,
    number: u8,
    cells: &[(usize, usize)],
) -> Result<Vec<Pair>, Failure> {
    let request = Request::of(&Traffic::new(&SHOP, 3).change())?;
    let content = request.content();
    let plain_path = directory.join(format!("plain-{number}"));
    let sessions = directory.join(format!("round-{number}"));
    let session = Arc::new(Session::create(&sessions, number, Durability::PowerLoss)?);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let mut file = File::create(&plain_path)?;
    let mut pairs = Vec::new();
    for &(concurrency, records) in cells {
        let plain = match concurrency {
            1 => alone(&mut file, &content, records)?,
            _ => together(file.try_clone()?, &content, concurrency, records)?,
        };
        let journal = runtime.block_on(recorded(&session, &request, concurrency, records))?;
        pairs.push(Pair { plain, journal });
    }
    drop(runtime);
    Arc::into_inner(session)
        .ok_or("the session is still in use")?
        .close()?;
    std::fs::remove_file(plain_path)?;
    std::fs::remove_dir_all(sessions)?;
    Ok(pairs)
}

fn alone(file: &mut File, content: &[u8], records: usize) -> Result<Sample, Failure> {
    let mut times = Vec::with_capacity(records);
    let began = Instant::now();
    for _ in 0..records {
        let one = Instant::now();
        file.write_all(content)?;
        file.sync_data()?;
        times.push(one.elapsed());
    }
    Ok(Sample {
        times,
        wall: began.elapsed(),
    })
}

type Handed = (Vec<u8>, SyncSender<()>);

fn group(mut file: File, handed: &Receiver<Handed>) -> std::io::Result<()> {
    while let Ok((mut bytes, waiting)) = handed.recv() {
        let mut waiting = vec![waiting];
        for (more, also) in handed.try_iter() {
            bytes.extend(more);
            waiting.push(also);
        }
        file.write_all(&bytes)?;
        file.sync_data()?;
        for one in waiting {
            // Whoever went away needs no answer.
            let _ = one.send(());
        }
    }
    Ok(())
}

fn together(
    file: File,
    content: &[u8],
    concurrency: usize,
    records: usize,
) -> Result<Sample, Failure> {
    let (hand, handed) = mpsc::channel::<Handed>();
    let writer = std::thread::spawn(move || group(file, &handed));
    let start = Arc::new(Barrier::new(concurrency + 1));
    let clients: Vec<_> = (0..concurrency)
        .map(|_| {
            let (hand, content, start) = (hand.clone(), content.to_vec(), Arc::clone(&start));
            std::thread::spawn(move || {
                start.wait();
                let mut times = Vec::new();
                for _ in 0..records / concurrency {
                    let one = Instant::now();
                    let (tell, told) = mpsc::sync_channel(1);
                    if hand.send((content.clone(), tell)).is_err() || told.recv().is_err() {
                        break;
                    }
                    times.push(one.elapsed());
                }
                times
            })
        })
        .collect();
    drop(hand);
    start.wait();
    let began = Instant::now();
    let mut times = Vec::with_capacity(records);
    for client in clients {
        times.extend(client.join().map_err(|_| "a client ended")?);
    }
    let wall = began.elapsed();
    writer.join().map_err(|_| "the writer ended")??;
    Ok(Sample { times, wall })
}

async fn recorded(
    session: &Arc<Session>,
    request: &Request,
    concurrency: usize,
    records: usize,
) -> Result<Sample, Failure> {
    let start = Arc::new(tokio::sync::Barrier::new(concurrency + 1));
    let clients: Vec<_> = (0..concurrency)
        .map(|_| {
            let (session, request) = (Arc::clone(session), request.clone());
            let start = Arc::clone(&start);
            tokio::spawn(async move {
                start.wait().await;
                let mut times = Vec::new();
                for _ in 0..records / concurrency {
                    let one = Instant::now();
                    let _permit = session.intend(&request).await?;
                    times.push(one.elapsed());
                }
                Ok::<_, Failure>(times)
            })
        })
        .collect();
    start.wait().await;
    let began = Instant::now();
    let mut times = Vec::with_capacity(records);
    for client in clients {
        times.extend(client.await??);
    }
    Ok(Sample {
        times,
        wall: began.elapsed(),
    })
}
