//! Every bound in the program, named, with its unit and its why.

use std::time::Duration;

/// A request body up to here stands in the request's own leaf; a longer one is streamed,
/// each piece on stable storage before it is forwarded.
pub const REQUEST_INLINE_BYTES_MAX: usize = 64 << 10;
/// How long a request body may trickle before it is streamed instead of gathered, so that a
/// slow uploader still reaches Datadog while it uploads.
pub const REQUEST_GATHER: Duration = Duration::from_millis(50);
/// The largest piece of a body handled at once: bounds memory with many bodies under way.
pub const BODY_PIECE_BYTES_MAX: usize = 64 << 10;
/// Pieces of one streamed request that may wait for the disk at once.
pub const REQUEST_PIECES_IN_FLIGHT: usize = 2;
/// Bytes queued for the journal before producers wait: back pressure instead of memory.
pub const JOURNAL_QUEUE_BYTES_MAX: usize = 4 << 20;
/// Bytes written to the journal with one sync.
pub const JOURNAL_BATCH_BYTES_MAX: usize = 2 << 20;
/// How long a record nobody waits for may stay unsynced.
pub const JOURNAL_SYNC_LAG: Duration = Duration::from_millis(50);
/// A journal segment is closed and the next begun at this size.
pub const JOURNAL_SEGMENT_BYTES: u64 = 64 << 20;
/// Disk space taken ahead of need: makes disk-full appear at admission, and syncs cheaper.
pub const JOURNAL_AHEAD_BYTES: u64 = 1 << 20;
/// Space kept back for the ends of calls already admitted and for the session's close.
pub const JOURNAL_RESERVE_BYTES: u64 = 256 << 10;
/// The largest leaf (C2SP tlog-tiles: an entry has a 16-bit length).
pub const LEAF_BYTES_MAX: usize = 65_535;
/// The largest frame a reader accepts: anything above is damage, not data.
pub const FRAME_BYTES_MAX: u32 = 4 << 20;
/// What one decoded body may grow to: a compression bomb ends here.
pub const DECODED_BYTES_MAX: u64 = 1 << 30;
/// Calls and tunnels the gate serves at once; more connections wait in the backlog.
pub const CONNECTIONS_MAX: usize = 1024;
/// A connection's request head must be complete within this time.
pub const REQUEST_HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// A TLS handshake, on either side, must be complete within this time.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(15);
/// Reaching a remote host, per address.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);
/// The longest wait for Datadog's answer to begin: its slowest queries end in minutes.
pub const RESPONSE_HEAD_TIMEOUT: Duration = Duration::from_secs(330);
/// The longest silence inside an answer. Event streams send keep-alives far more often.
pub const RESPONSE_IDLE_TIMEOUT: Duration = Duration::from_secs(600);
/// The longest silence of a child inside a request body.
pub const REQUEST_IDLE_TIMEOUT: Duration = Duration::from_secs(300);
/// Idle upstream connections are kept warm this long.
pub const UPSTREAM_IDLE_KEEP: Duration = Duration::from_secs(90);
/// HTTP/1 read and write buffers, a connection. hyper's own default is 400 KiB, too much times 64.
pub const HTTP1_BUFFER_BYTES: usize = 64 << 10;
/// HTTP/2 flow-control window of a stream.
pub const HTTP2_STREAM_WINDOW_BYTES: u32 = 256 << 10;
/// HTTP/2 flow-control window of a connection.
pub const HTTP2_CONNECTION_WINDOW_BYTES: u32 = 1 << 20;
/// Calls still under way when the child has ended get this long to finish.
pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);
/// Requests to an identity provider, each.
pub const PROVIDER_TIMEOUT: Duration = Duration::from_secs(20);
/// The largest answer accepted from an identity provider.
pub const PROVIDER_BYTES_MAX: usize = 1 << 20;
/// The longest a device code is waited for, whatever the provider says.
pub const DEVICE_CODE_WAIT_MAX: Duration = Duration::from_secs(30 * 60);
/// Tolerated clock difference when checking tokens.
pub const CLOCK_LEEWAY: Duration = Duration::from_secs(60);
/// An OS keyring must answer within this time; measured to hang for ever otherwise.
pub const KEYRING_TIMEOUT: Duration = Duration::from_secs(2);
/// The same when a desktop may be showing an unlock prompt.
pub const KEYRING_PROMPT_TIMEOUT: Duration = Duration::from_secs(60);
/// A `credential_command` must end within this time.
pub const CREDENTIAL_COMMAND_TIMEOUT: Duration = Duration::from_secs(30);
/// What a `credential_command` or `keys set` may hand over.
pub const CREDENTIAL_BYTES_MAX: usize = 64 << 10;
/// A configuration file may be this large.
pub const CONFIG_BYTES_MAX: u64 = 1 << 20;
/// Memory sled may use as a cache for one session.
pub const INDEX_CACHE_BYTES: u64 = 4 << 20;
/// Rows of the index are cut to this size: larger ones would leave sled's synced log.
pub const INDEX_ROW_BYTES_MAX: usize = 700;
/// Contents up to this size stand in the index itself; larger ones are pointers into the journal.
pub const INDEX_INLINE_BYTES_MAX: usize = 2048;
/// A shorter secret is not looked for in the child's environment: it would match ordinary text.
pub const SECRET_SCAN_BYTES_MIN: usize = 8;
/// A file of root certificates, or a wgetrc, may be this large: platform stores are about 256 KiB.
pub const TRUST_FILE_BYTES_MAX: u64 = 16 << 20;
/// Signals that stop or continue child and ddgate together are seen by both within this time,
/// in any order.
pub const STOP_SETTLE: Duration = Duration::from_millis(100);
/// A signal that stops the whole process group has stopped all of it after this time.
pub const GROUP_STOP: Duration = Duration::from_millis(10);
