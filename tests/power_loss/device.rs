//! The block device that remembers: a file system of one file, served through `/dev/fuse`, which
//! logs every write and every flush in the order the kernel sent them.
//!
//! The FUSE protocol is spoken here directly: one file needs nine of its requests, and one thread
//! that reads, logs and answers is what makes "the position in the log" mean something. A write is
//! in the log before the kernel hears that it was done, a flush before it hears that it holds.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

/// What reached the device.
#[derive(Clone)]
pub(crate) enum Entry {
    Write { offset: usize, data: Arc<[u8]> },
    Flush,
}

/// The log, and the content it amounts to (what the kernel reads back).
#[derive(Default)]
struct Disk {
    log: Vec<Entry>,
    content: Vec<u8>,
}

/// Shared between the thread that serves and whoever asks for positions.
#[derive(Clone)]
pub(crate) struct BlockLog(Arc<Mutex<Disk>>);

impl BlockLog {
    fn disk(&self) -> MutexGuard<'_, Disk> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How much is in the log now.
    pub(crate) fn position(&self) -> usize {
        self.disk().log.len()
    }

    /// The log as it stands.
    pub(crate) fn entries(&self) -> Vec<Entry> {
        self.disk().log.clone()
    }
}

const ROOT: u64 = 1;
const DISK: u64 = 2;
const NAME: &[u8] = b"disk";
const WRITE_BYTES_MAX: usize = 1 << 20;
/// The largest request: head and a full write.
const REQUEST_BYTES_MAX: usize = WRITE_BYTES_MAX + 4096;
const HEAD_BYTES: usize = 40;

const ENOENT: i32 = 2;
const EIO: i32 = 5;
const ENOSYS: i32 = 38;

/// The device, mounted; unmounted when dropped.
pub(crate) struct Device {
    directory: PathBuf,
    pub(crate) log: BlockLog,
    server: Option<JoinHandle<()>>,
}

impl Device {
    /// A device that holds `content`, as the file `disk` below `directory`, which must exist.
    pub(crate) fn mount(directory: &Path, content: Vec<u8>) -> io::Result<Self> {
        let fuse = File::options().read(true).write(true).open("/dev/fuse")?;
        // `mount` gets the connection as its standard input, and the kernel the number 0.
        let mounted = Command::new("mount")
            .args(["-i", "-t", "fuse", "-o"])
            .arg("fd=0,rootmode=40000,user_id=0,group_id=0")
            .arg("ddgate-block-log")
            .arg(directory)
            .stdin(Stdio::from(fuse.try_clone()?))
            .output()?;
        if !mounted.status.success() {
            let said = String::from_utf8_lossy(&mounted.stderr).into_owned();
            return Err(io::Error::other(said));
        }
        let log = BlockLog(Arc::new(Mutex::new(Disk {
            log: Vec::new(),
            content,
        })));
        let served = log.clone();
        let server = std::thread::spawn(move || serve(fuse, &served));
        Ok(Self {
            directory: directory.to_owned(),
            log,
            server: Some(server),
        })
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.directory.join("disk")
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        // Lazily: whatever still holds it must not keep the mount in everybody's way. The server
        // ends when the kernel has let go; waiting for that could be for ever, so nobody does.
        let _ = Command::new("umount")
            .arg("--lazy")
            .arg(&self.directory)
            .output();
        drop(self.server.take());
    }
}

fn serve(mut fuse: File, log: &BlockLog) {
    let mut buffer = vec![0; REQUEST_BYTES_MAX];
    loop {
        match fuse.read(&mut buffer) {
            Ok(n) if n >= HEAD_BYTES => {
                if let Some(reply) = answer(&buffer[..n], log) {
                    // A request that was interrupted wants no answer any more.
                    let _ = fuse.write(&reply);
                }
            }
            // The request was taken back before it was read.
            Err(e) if e.kind() == io::ErrorKind::Interrupted || e.raw_os_error() == Some(2) => {}
            // Unmounted.
            _ => return,
        }
    }
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())
}

/// The reply to one request; `None` when it takes none.
fn answer(request: &[u8], log: &BlockLog) -> Option<Vec<u8>> {
    let (opcode, unique, node) = (u32_at(request, 4), u64_at(request, 8), u64_at(request, 16));
    let arguments = &request[HEAD_BYTES..];
    let done: Result<Vec<u8>, i32> = match opcode {
        // FORGET, INTERRUPT, BATCH_FORGET
        2 | 36 | 42 => return None,
        // LOOKUP
        1 if node == ROOT && arguments.strip_suffix(&[0]) == Some(NAME) => {
            let mut entry = Reply::default();
            entry.u64s(&[DISK, 0, 3600, 3600]).u32s(&[0, 0]);
            Ok(entry.attributes(DISK, log).0)
        }
        1 => Err(ENOENT),
        // GETATTR, SETATTR (times: nothing to keep)
        3 | 4 => {
            let mut reply = Reply::default();
            reply.u64s(&[3600]).u32s(&[0, 0]);
            Ok(reply.attributes(node, log).0)
        }
        // OPEN, OPENDIR
        14 | 27 => Ok(vec![0; 16]),
        // READ
        15 if node == DISK => read(arguments, log),
        // WRITE
        16 if node == DISK => write(arguments, log),
        // FSYNC: the flush of the device above
        20 => {
            log.disk().log.push(Entry::Flush);
            Ok(Vec::new())
        }
        // RELEASE, FLUSH (of a descriptor, not of a device), RELEASEDIR, ACCESS, DESTROY
        18 | 25 | 29 | 34 | 38 => Ok(Vec::new()),
        // STATFS
        17 => Ok(vec![0; 80]),
        // INIT
        26 => Ok(greeting(arguments)),
        // FALLOCATE and all else: the kernel then does without, and writes zeros as zeros.
        _ => Err(ENOSYS),
    };
    let (error, body) = match done {
        Ok(body) => (0, body),
        Err(number) => (-number, Vec::new()),
    };
    let mut reply = Vec::with_capacity(16 + body.len());
    reply.extend(u32::try_from(16 + body.len()).unwrap().to_le_bytes());
    reply.extend(error.to_le_bytes());
    reply.extend(unique.to_le_bytes());
    reply.extend(body);
    Some(reply)
}

/// Protocol 7.31 with writes of up to 1 MiB.
fn greeting(arguments: &[u8]) -> Vec<u8> {
    const BIG_WRITES: u32 = 1 << 5;
    const MAX_PAGES: u32 = 1 << 22;
    let mut reply = Reply::default();
    let offered = u32_at(arguments, 12);
    let readahead = u32_at(arguments, 8);
    reply
        .u32s(&[7, 31, readahead, offered & (BIG_WRITES | MAX_PAGES)])
        // Background requests at once and when that is many, 16 bits each.
        .u32s(&[12 | 9 << 16])
        .u32s(&[u32::try_from(WRITE_BYTES_MAX).unwrap(), 1])
        // Pages of a request.
        .u32s(&[u32::try_from(WRITE_BYTES_MAX / 4096).unwrap()])
        .u32s(&[0; 8]);
    reply.0
}

fn read(arguments: &[u8], log: &BlockLog) -> Result<Vec<u8>, i32> {
    let disk = log.disk();
    let start = usize::try_from(u64_at(arguments, 8)).map_err(|_| EIO)?;
    let end = (start + u32_at(arguments, 16) as usize).min(disk.content.len());
    Ok(disk.content.get(start..end).unwrap_or_default().to_vec())
}

fn write(arguments: &[u8], log: &BlockLog) -> Result<Vec<u8>, i32> {
    let offset = usize::try_from(u64_at(arguments, 8)).map_err(|_| EIO)?;
    let size = u32_at(arguments, 16);
    let data = arguments.get(40..40 + size as usize).ok_or(EIO)?;
    let mut disk = log.disk();
    let place = disk.content.get_mut(offset..offset + data.len());
    place.ok_or(EIO)?.copy_from_slice(data);
    disk.log.push(Entry::Write {
        offset,
        data: data.into(),
    });
    let mut reply = Reply::default();
    reply.u32s(&[size, 0]);
    Ok(reply.0)
}

/// The body of an answer.
#[derive(Default)]
struct Reply(Vec<u8>);

impl Reply {
    fn u32s(&mut self, numbers: &[u32]) -> &mut Self {
        self.0.extend(numbers.iter().flat_map(|n| n.to_le_bytes()));
        self
    }

    fn u64s(&mut self, numbers: &[u64]) -> &mut Self {
        self.0.extend(numbers.iter().flat_map(|n| n.to_le_bytes()));
        self
    }

    fn attributes(mut self, node: u64, log: &BlockLog) -> Self {
        const DIRECTORY: u32 = 0o040_700;
        const REGULAR: u32 = 0o100_600;
        let (mode, size) = match node {
            DISK => (REGULAR, log.disk().content.len() as u64),
            _ => (DIRECTORY, 4096),
        };
        // Number, size, blocks, three times; their nanoseconds, mode, links, owner, group, device,
        // block size, flags.
        self.u64s(&[node, size, size / 512, 0, 0, 0])
            .u32s(&[0, 0, 0, mode, 1, 0, 0, 0, 4096, 0]);
        self
    }
}
