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
/// Bytes of one streamed request that may wait for the disk at once. In bytes, because over TLS the
/// pieces are small, and a slow disk would otherwise bound an upload to two of them a sync.
pub const REQUEST_BYTES_IN_FLIGHT: usize = 512 << 10;
/// The same of all streamed requests together: each gets an equal share, and at least one piece.
pub const REQUESTS_BYTES_IN_FLIGHT: usize = 2 << 20;
/// Of a request body nobody wants (its call was refused, or answered early) so much is read and
/// thrown away: many clients look for the answer only when they have sent everything.
pub const DISCARD_BYTES_MAX: usize = 256 << 20;
/// The longest silence while doing so.
pub const DISCARD_IDLE: Duration = Duration::from_secs(5);
/// What a blind tunnel copies at once, each way.
pub const TUNNEL_BUFFER_BYTES: usize = 32 << 10;
/// A tunnel through which nothing passes for so long is closed: it holds one of
/// [`CONNECTIONS_MAX`] places. Far longer than a client keeps an idle connection for re-use.
pub const TUNNEL_IDLE_TIMEOUT: Duration = Duration::from_secs(3600);
/// Bytes queued for the journal before producers wait: back pressure instead of memory.
pub const JOURNAL_QUEUE_BYTES_MAX: usize = 1 << 20;
/// Bytes written to the journal with one sync.
pub const JOURNAL_BATCH_BYTES_MAX: usize = 512 << 10;
/// How long a record nobody waits for may stay unwritten: it usually leaves with the next call's.
pub const JOURNAL_LINGER: Duration = Duration::from_millis(2);
/// How long a record nobody waits for may stay unsynced.
pub const JOURNAL_SYNC_LAG: Duration = Duration::from_millis(50);
/// A journal segment is closed and the next begun at this size.
pub const JOURNAL_SEGMENT_BYTES: u64 = 64 << 20;
/// Disk space taken ahead of need: makes disk-full appear at admission, and syncs cheaper.
pub const JOURNAL_AHEAD_BYTES: u64 = 1 << 20;
/// Space kept back for the ends of calls already admitted and for the session's close.
pub const JOURNAL_RESERVE_BYTES: u64 = 256 << 10;
/// The last part of that space, for the session's close alone.
pub const JOURNAL_CLOSE_BYTES: u64 = 4 << 10;
/// How long another session that is just opening may hold the chain of sessions.
pub const CHAIN_LOCK_TIMEOUT: Duration = Duration::from_secs(10);
/// How often the chain is asked for meanwhile.
pub const CHAIN_LOCK_RETRY: Duration = Duration::from_millis(2);
/// The end of the chain of sessions that is read to add one: a line has about 200 bytes.
pub const CHAIN_TAIL_BYTES: u64 = 64 << 10;
/// How much of a write-ahead file's end is searched for its last checkpoint: the space taken ahead,
/// and what one batch writes behind its last leaf.
pub const CHECKPOINT_SEARCH_BYTES: u64 = 8 << 20;
/// How much of a compressed body is unpacked at a time: a thousandfold bomb gives 4 MiB a step.
pub const CODED_PIECE_BYTES_MAX: usize = 4 << 10;
/// The largest leaf (C2SP tlog-tiles: an entry has a 16-bit length).
pub const LEAF_BYTES_MAX: usize = 65_535;
/// A signed note that is read may be this large. Post-quantum signatures have about 5 kB each.
pub const NOTE_BYTES_MAX: usize = 1 << 20;
/// Signatures of one note that is read (C2SP signed-note: at least 16).
pub const NOTE_SIGNATURES_MAX: usize = 100;
/// A proof file that is read may be this large: a note, and extra data of whoever made it.
pub const PROOF_BYTES_MAX: usize = 2 << 20;
/// How long finding the process behind a connection may take: it is looked up before the first call.
/// A thousand times what it takes mostly, for a machine under load.
pub const ORIGIN_SEARCH: Duration = Duration::from_millis(250);
/// Processes that are looked at first: agents tend to call again from the same one.
pub const ORIGIN_RECENT: usize = 8;
/// Parents that are followed up from a process: no tree of an agent's is deeper.
pub const PROCESS_CHAIN_MAX: usize = 64;
/// Processes a session remembers as recorded; one beyond that is recorded again.
pub const PROCESSES_KNOWN_MAX: usize = 4096;
/// Of a command line so many bytes are recorded, in whole words: scripts are passed as one.
pub const PROCESS_COMMAND_BYTES_MAX: usize = 32 << 10;
/// Of an environment so many bytes are looked at.
pub const PROCESS_ENVIRONMENT_BYTES_MAX: usize = 256 << 10;
/// Processes that a reader of a session holds, the latest: calls refer to young ones.
pub const REPLAY_PROCESSES_MAX: usize = 16 << 10;
/// A pattern of a policy may be this long: twice the longest operation id or tag there is.
pub const POLICY_PATTERN_BYTES_MAX: usize = 128;
/// Patterns of one policy: all of them stand in the first leaf, which is to stay one.
pub const POLICY_PATTERNS_MAX: usize = 256;
/// Recipients one session is sealed for: its header is one frame, read before anything else.
pub const RECIPIENTS_MAX: usize = 64;
/// A file of age identities may be this large.
pub const IDENTITY_BYTES_MAX: usize = 64 << 10;
/// The largest frame a reader accepts: anything above is damage, not data.
pub const FRAME_BYTES_MAX: u32 = 4 << 20;
/// What one decoded body may grow to: a compression bomb ends here.
pub const DECODED_BYTES_MAX: u64 = 1 << 30;
/// What one piece of a body may decode to: memory for a bomb is bounded by this, not by the above.
pub const DECODED_BURST_BYTES_MAX: usize = 16 << 20;
/// A body with secrets at known places is gathered up to here to cut them out; a longer one is not kept.
pub const REDACT_GATHER_BYTES_MAX: usize = 4 << 20;
/// Of a longer body only the beginning is recorded, unless `recording.body_bytes_max` says
/// otherwise: twenty times the largest body Datadog's API takes (5 MB of logs), so that only
/// uploads of files meet it, and one of those cannot fill a disk.
pub const RECORDED_BODY_BYTES_MAX: u64 = 100 << 20;
/// An object's identifier in a leaf is cut here: it is a name to find the object by, not content.
pub const RESOURCE_ID_BYTES_MAX: usize = 256;
/// A message of the Model Context Protocol up to here is understood; a longer one stays what it is, a
/// body, and the record says that nobody looked into it.
pub const MCP_MESSAGE_BYTES_MAX: usize = 4 << 20;
/// Messages under way that are held in order to be understood, all together. Beyond it a message is
/// passed without being looked into: no stream ever waits for memory.
pub const MCP_HELD_BYTES_MAX: usize = 16 << 20;
/// Messages of one batch (MCP 2025-03-26 alone has batches).
pub const MCP_BATCH_MAX: usize = 64;
/// Members of one message; the protocol knows six.
pub const MCP_MEMBERS_MAX: usize = 64;
/// Tool calls of a session that wait for their result; with more, the oldest is forgotten, and its
/// result stays in the answer it comes in.
pub const MCP_WAITING_MAX: usize = 1024;
/// A tool's name in a leaf is cut here: the protocol asks for 128 characters at most.
pub const MCP_TOOL_CHARS_MAX: usize = 128;
/// A message's id in a leaf is cut here, and a longer one is matched with no answer.
pub const MCP_ID_CHARS_MAX: usize = 64;
/// When a wrapped server has ended, what it wrote is passed on for this long; a process it left
/// behind may hold the pipe open for ever.
pub const MCP_OUTPUT_DRAIN: Duration = Duration::from_secs(5);
/// What is answered in a wrapped server's place waits for the end of the line the server has begun, as
/// long as the server goes on writing it. After so long a silence the line is ended for it: a server
/// that asks for something and ends no line must not hold up the agent.
pub const MCP_LINE_SILENCE: Duration = Duration::from_secs(2);
/// The same for one that writes and writes: the largest messages have long come to their end.
pub const MCP_LINE_WAIT: Duration = Duration::from_secs(30);
/// Connections the gate serves at once, tunnels among them; more wait in the backlog.
pub const CONNECTIONS_MAX: usize = 1024;
/// After a failed accept (no descriptors left), wait this long before the next.
pub const ACCEPT_RETRY: Duration = Duration::from_millis(50);
/// Calls under way at once on one HTTP/2 connection.
pub const HTTP2_STREAMS_MAX: u32 = 256;
/// An HTTP/2 connection without a request for so long is asked to go; streams still open end first.
pub const HTTP2_IDLE_TIMEOUT: Duration = Duration::from_secs(120);
/// A connection's next request head must be complete within this time. Generous, because it also
/// ends idle connections, and a client that re-uses one just then sees an error.
pub const REQUEST_HEAD_TIMEOUT: Duration = Duration::from_secs(120);
/// A TLS handshake, on either side, must be complete within this time.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(15);
/// Reaching a remote host, per address.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);
/// The longest wait for Datadog's answer to begin: its slowest queries end in minutes.
pub const RESPONSE_HEAD_TIMEOUT: Duration = Duration::from_secs(330);
/// The head of an answer waits this long for the first bytes of its body, so that both leave in one
/// write.
pub const RESPONSE_HEAD_HOLD: Duration = Duration::from_millis(2);
/// The longest silence inside an answer. Event streams send keep-alives far more often.
pub const RESPONSE_IDLE_TIMEOUT: Duration = Duration::from_secs(600);
/// The longest silence of a child inside a request body.
pub const REQUEST_IDLE_TIMEOUT: Duration = Duration::from_secs(300);
/// Idle upstream connections are kept warm this long.
pub const UPSTREAM_IDLE_KEEP: Duration = Duration::from_secs(90);
/// HTTP/1 read and write buffers, a connection, and so the largest head: one TLS record and a little
/// more. hyper's own default is 400 KiB, and an upload holds up to five of them.
pub const HTTP1_BUFFER_BYTES: usize = 20 << 10;
/// HTTP/2 bytes of one stream that wait for the socket.
pub const HTTP2_SEND_BUFFER_BYTES: usize = 16 << 10;
/// HTTP/2 flow-control window of a stream.
pub const HTTP2_STREAM_WINDOW_BYTES: u32 = 256 << 10;
/// HTTP/2 flow-control window of a connection.
pub const HTTP2_CONNECTION_WINDOW_BYTES: u32 = 1 << 20;
/// The next address of a host is tried when the one before has not answered within this time
/// (RFC 8305, section 5).
pub const CONNECT_STAGGER: Duration = Duration::from_millis(250);
/// Addresses of one host that are tried.
pub const CONNECT_ADDRESSES_MAX: usize = 16;
/// The largest head of a proxy's answer to CONNECT.
pub const PROXY_HEAD_BYTES_MAX: usize = 16 << 10;
/// Calls still under way when the child has ended get this long to finish.
pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);
/// After that, what is left hears that it must stop, and gets this long.
pub const STOP_TIMEOUT: Duration = Duration::from_secs(2);
/// Requests to an identity provider, each.
pub const PROVIDER_TIMEOUT: Duration = Duration::from_secs(20);
/// A request to a cloud's metadata server, which is on this machine's link or not there at all.
pub const METADATA_TIMEOUT: Duration = Duration::from_secs(5);
/// The largest identity token: some name hundreds of groups.
pub const ID_TOKEN_BYTES_MAX: u64 = 64 << 10;
/// Workloads that may be configured.
pub const WORKLOADS_MAX: usize = 64;
/// The largest answer accepted from an identity provider.
pub const PROVIDER_BYTES_MAX: usize = 1 << 20;
/// A connection to an identity provider may serve the next request within this time. Short:
/// providers close idle connections after about 5 s, and a race would cost a token.
pub const PROVIDER_IDLE_KEEP: Duration = Duration::from_secs(2);
/// Idle connections to identity providers kept at once.
pub const PROVIDER_IDLE_MAX: usize = 4;
/// The longest a device code is waited for, whatever the provider says.
pub const DEVICE_CODE_WAIT_MAX: Duration = Duration::from_secs(30 * 60);
/// How long a sign-in with a browser on this machine is waited for: passwords, second factors and
/// people who look for their phone included.
pub const BROWSER_WAIT_MAX: Duration = Duration::from_secs(10 * 60);
/// How long somebody whose code has expired is asked whether they want another.
pub const NEW_CODE_WAIT_MAX: Duration = Duration::from_secs(10 * 60);
/// Connections to the listener of such a sign-in that are looked at together.
pub const REDIRECT_CONNECTIONS_MAX: usize = 32;
/// A request to it, up to the end of its head. Codes have up to about 2 KiB, cookies of other
/// servers on this machine come along.
pub const REDIRECT_HEAD_BYTES_MAX: usize = 32 << 10;
/// Such a request is complete, or an answer taken, within this time.
pub const REDIRECT_HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// Tolerated clock difference when checking tokens.
pub const CLOCK_LEEWAY: Duration = Duration::from_secs(60);
/// An ID token of a sign-in just done was issued at most this long ago.
pub const TOKEN_AGE_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// The name of a profile may be this long: it is part of the name that a sign-in is kept under.
pub const PROFILE_NAME_BYTES_MAX: usize = 64;
/// A device-flow user code may be this long: people have to type it.
pub const USER_CODE_CHARS_MAX: usize = 64;
/// A subject identifier may be this long (OpenID Connect Core, section 2).
pub const SUBJECT_CHARS_MAX: usize = 255;
/// Longer names and e-mail addresses are cut.
pub const LABEL_CHARS_MAX: usize = 254;
/// Groups of one identity that are kept.
pub const GROUPS_MAX: usize = 1000;
/// A longer group name is left out: cut, it could be the name of another group.
pub const GROUP_CHARS_MAX: usize = 256;
/// Groups that are named in a message; the rest is counted.
pub const GROUPS_NAMED_MAX: usize = 20;
/// Free text of a provider is cut to this length.
pub const PROVIDER_TEXT_CHARS_MAX: usize = 300;
/// The longest nonce of a provider that goes into a proof of possession (RFC 9449, section 8).
pub const DPOP_NONCE_CHARS_MAX: usize = 1024;
/// What is kept of a sign-in, token and labels: Windows takes no more in one credential.
pub const KEPT_BYTES_MAX: usize = 2560;
/// How long another ddgate may hold the sign-in or the secret file before we give up.
pub const LOCK_TIMEOUT: Duration = Duration::from_secs(45);
/// What the userinfo endpoint confirmed holds for the life of the access token it was asked with, and
/// no longer than this: nobody signed an end to it.
pub const USERINFO_HOLDS_MAX: Duration = Duration::from_secs(60 * 60);
/// The share of an ID token's life after which it is replaced: what is left is for a provider that
/// is away for a while.
pub const REFRESH_AT_SHARE: f64 = 0.8;
/// A failed attempt to verify a session's identity again is repeated after this time, then after
/// twice as long, and so on.
pub const RENEWAL_RETRY_MIN: Duration = Duration::from_secs(3);
/// The longest pause between two such attempts.
pub const RENEWAL_RETRY_MAX: Duration = Duration::from_secs(60);
/// When the command has ended, an exchange of tokens that is under way gets this long to come to its
/// end: as long as its request may take, and what it brought is put away.
pub const RENEWAL_FINISH: Duration = Duration::from_secs(25);
/// How often the clock on the wall is looked at meanwhile: a machine that slept has another one.
pub const RENEWAL_TICK: Duration = Duration::from_secs(15);
/// A call that comes when the identity has lapsed waits so long for one more attempt.
pub const LAPSED_CALL_WAIT: Duration = Duration::from_secs(3);
/// Calls cause no attempt sooner than this after the last one.
pub const LAPSED_RETRY_MIN: Duration = Duration::from_secs(2);
/// A session's identity may hold at most so long, whatever the settings say: a year.
pub const MAX_SESSION_MAX: Duration = Duration::from_secs(366 * 24 * 3600);
/// The file of secrets may be this large.
pub const SECRET_FILE_BYTES_MAX: u64 = 1 << 20;
/// An OS keyring must answer within this time; measured to hang for ever otherwise.
pub const KEYRING_TIMEOUT: Duration = Duration::from_secs(2);
/// The same when a desktop may be showing an unlock prompt.
pub const KEYRING_PROMPT_TIMEOUT: Duration = Duration::from_secs(60);
/// A `credential_command` must end within this time.
pub const CREDENTIAL_COMMAND_TIMEOUT: Duration = Duration::from_secs(30);
/// What a `credential_command` or `keys set` may hand over.
pub const CREDENTIAL_BYTES_MAX: usize = 64 << 10;
/// Credentials one settings file may list.
pub const CREDENTIALS_MAX: usize = 64;
/// The name of a credential, in the record and in the store.
pub const CREDENTIAL_NAME_CHARS_MAX: usize = 64;
/// One Datadog key or token may be this long.
pub const CREDENTIAL_VALUE_BYTES_MAX: usize = 8 << 10;
/// Each check of `ddgate doctor` has to end within this time.
pub const DOCTOR_CHECK_TIMEOUT: Duration = Duration::from_secs(30);
/// With less room than this for records `ddgate doctor` warns.
pub const DATA_FREE_BYTES_MIN: u64 = 256 << 20;
/// A configuration file may be this large.
pub const CONFIG_BYTES_MAX: u64 = 1 << 20;
/// Memory sled may use as a cache for one session.
pub const INDEX_CACHE_BYTES: u64 = 2 << 20;
/// How long what is written gathers before sled learns of it.
pub const INDEX_LAG: Duration = Duration::from_millis(50);
/// What waits for sled, in bytes, before it is left behind; the rest is caught up at the next open.
pub const INDEX_QUEUE_BYTES_MAX: usize = 8 << 20;
/// A shorter secret is not looked for in the child's environment: it would match ordinary text.
pub const SECRET_SCAN_BYTES_MIN: usize = 8;
/// A file of root certificates, or a wgetrc, may be this large: platform stores are about 256 KiB.
pub const TRUST_FILE_BYTES_MAX: u64 = 16 << 20;
/// The longest pause of a paced replay: nobody watches a session sleep.
pub const REPLAY_PAUSE_MAX: Duration = Duration::from_secs(5);
/// Contradictions in a record that a view keeps word for word; the rest is counted.
pub const ODDITIES_MAX: usize = 64;
/// Pieces of content that a reader keeps in mind until their leaf comes; a longer one is found by
/// the index.
pub const PIECES_BESIDE_MAX: usize = 4096;
/// How often a reader that follows a running session looks for more.
pub const FOLLOW_POLL: Duration = Duration::from_millis(40);
/// A session with more leaves than this is replayed while it is read.
pub const LONG_SESSION_LEAVES: u64 = 20_000;
/// The same for a session whose gate died, and which nobody counted the leaves of.
pub const LONG_SESSION_BYTES: u64 = 32 << 20;
/// Calls that wait for the end of an earlier one before they are shown.
pub const REPLAY_WINDOW_CALLS: usize = 4096;
/// Content up to here stands in its line of an export; a longer one in a file of its own.
pub const EXPORT_INLINE_BYTES_MAX: usize = 4 << 10;
/// A line of openings that is read may be this large, whoever wrote it.
pub const EXPORT_LINE_BYTES_MAX: u64 = 4 << 20;
/// The largest entry bundle: 256 leaves, each after its length.
pub const EXPORT_BUNDLE_BYTES_MAX: u64 = 256 * (2 + LEAF_BYTES_MAX as u64);
/// A record of this size takes so long to export that a person at a terminal is shown how far it is.
pub const EXPORT_LONG_BYTES: u64 = 32 << 20;
/// Findings of a check that are kept word for word, of each kind; the rest is counted.
pub const FINDINGS_MAX: usize = 64;
/// Connections the demo's loopback servers serve at once, each; more wait in the backlog.
pub const DEMO_CONNECTIONS_MAX: usize = 256;
/// The longest silence inside a request body the demo's servers put up with.
pub const DEMO_BODY_IDLE_TIMEOUT: Duration = Duration::from_secs(30);
/// No connection to the demo's servers lives longer: whoever reads or writes too slowly ends here.
pub const DEMO_CONNECTION_LIFE: Duration = Duration::from_secs(15 * 60);
/// How long a demo server that stops lets an answer under way finish.
pub const DEMO_STOP_TIMEOUT: Duration = Duration::from_secs(1);
/// A body the demo's Datadog looks into; its log intake takes 5 MB, and nothing else takes more.
pub const DEMO_BODY_BYTES_MAX: usize = 6 << 20;
/// A larger body is read to its end and digested, so that tests may compare; here even that ends.
pub const DEMO_UPLOAD_BYTES_MAX: u64 = 256 << 20;
/// Requests the demo's Datadog remembers; the oldest are forgotten first.
pub const DEMO_SEEN_MAX: usize = 65_536;
/// One stored monitor or dashboard, as JSON text.
pub const DEMO_RESOURCE_BYTES_MAX: usize = 256 << 10;
/// Monitors, dashboards, events and logs the demo's Datadog stores, each.
pub const DEMO_RESOURCES_MAX: usize = 1000;
/// A text field (log message, event text) the demo's Datadog stores, in characters.
pub const DEMO_TEXT_CHARS_MAX: usize = 4000;
/// Device codes and refresh tokens the demo's provider keeps, each; the oldest are forgotten first.
pub const DEMO_GRANTS_MAX: usize = 256;
/// A request of the demo's own small client, from connecting to the end of the answer.
pub const DEMO_CALL_TIMEOUT: Duration = Duration::from_secs(20);
/// An answer the demo's own small client accepts.
pub const DEMO_ANSWER_BYTES_MAX: usize = 4 << 20;
/// Of a file that may hold Datadog keys so much is looked at.
pub const KEY_FILE_BYTES_MAX: u64 = 4 << 20;
/// Directories above the working directory in which such files are looked for.
pub const KEY_FILE_DEPTH_MAX: usize = 16;
/// Keys in files that are kept in mind.
pub const KEYS_FOUND_MAX: usize = 32;
/// Looking for them may take this long: a home directory can be on a network.
pub const KEY_FILES_TIMEOUT: Duration = Duration::from_millis(500);
/// Files with keys that are named; the rest is counted.
pub const KEY_FILES_NAMED_MAX: usize = 5;
/// Signals that stop or continue child and ddgate together are seen by both within this time,
/// in any order.
pub const STOP_SETTLE: Duration = Duration::from_millis(100);
/// A signal that stops the whole process group has stopped all of it after this time.
pub const GROUP_STOP: Duration = Duration::from_millis(10);
/// Datadog hosts, in one session, that are told of as those whose certificate was not trusted.
pub const DISTRUST_HOSTS_MAX: usize = 16;
/// Connections of each that are recorded one by one; a program may try for ever.
pub const DISTRUST_STATED_MAX: u64 = 16;
/// Processes that are named for one of these hosts.
pub const DISTRUST_CALLERS_MAX: usize = 16;
/// Of an agent's own settings so much is read.
pub const AGENT_SETTINGS_BYTES_MAX: u64 = 1 << 20;
/// The path of a script's interpreter: Linux reads 256 bytes of a script's first line.
pub const INTERPRETER_BYTES_MAX: usize = 240;
/// A launcher holds some forty variables, mostly paths.
pub const LAUNCHER_BYTES_MAX: u64 = 1 << 20;
/// How long it is believed that Datadog's hosts lead where they led last.
pub const WHEREABOUTS_KEEP: Duration = Duration::from_secs(60);
/// Asking where they lead may take this long: a tunnel waits for it.
pub const WHEREABOUTS_TIMEOUT: Duration = Duration::from_secs(2);
/// Addresses of Datadog's that are kept in mind.
pub const WHEREABOUTS_MAX: usize = 256;
/// A TLS handshake's first message is looked into up to here (four records; browsers send 2 KiB).
pub const CLIENT_HELLO_BYTES_MAX: usize = 64 << 10;
