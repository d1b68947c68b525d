//! One coding, one step: bytes in, bytes out, behind one face for all libraries.

use brotli_decompressor::{BrotliDecompressStream, BrotliResult, BrotliState, StandardAlloc};
use flate2::{Decompress, FlushDecompress, Status};
use zstd::stream::raw::{DParameter, Decoder as ZstdDecoder, Operation};

use super::gzip::Gzip;
use super::{DecodeError, Unsupported};

/// The largest window a zstd body may ask for: 8 MiB, as RFC 9659 demands of `Content-Encoding`.
const ZSTD_WINDOW_LOG_MAX: u32 = 23;

/// What one step did.
pub(super) struct Progress {
    /// Bytes taken from the input.
    pub(super) consumed: usize,
    /// Bytes written to the output.
    pub(super) produced: usize,
}

/// A coding in the middle of a body.
pub(super) enum Stage {
    Gzip(Gzip),
    Deflate(Deflate),
    Brotli(Box<Brotli>),
    Zstd(Zstd),
}

impl Stage {
    /// Begins a coding by its name in RFC 9110, 8.4.1, or the aliases seen in the wild.
    pub(super) fn new(name: &str) -> Result<Self, Unsupported> {
        Ok(match name.to_ascii_lowercase().as_str() {
            "gzip" | "x-gzip" => Self::Gzip(Gzip::new()),
            "deflate" => Self::Deflate(Deflate::Begin(None)),
            "br" => Self::Brotli(Box::new(Brotli::new())),
            "zstd" | "zstd1" => {
                Self::Zstd(Zstd::new().map_err(|error| Unsupported::Unavailable {
                    coding: "zstd",
                    why: error.to_string(),
                })?)
            }
            _ => {
                // The name comes from outside and goes into messages: a short word or nothing.
                let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
                let name = name.split(|c: char| !c.is_ascii() || !word(c as u8)).next();
                let name = name.unwrap_or_default();
                return Err(Unsupported::Coding(name.chars().take(24).collect()));
            }
        })
    }

    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::Gzip(_) => "gzip",
            Self::Deflate(_) => "deflate",
            Self::Brotli(_) => "br",
            Self::Zstd(_) => "zstd",
        }
    }

    /// Takes some input and gives what it can. Nothing in and nothing out, with input left, means
    /// the body is broken.
    pub(super) fn step(
        &mut self,
        input: &[u8],
        output: &mut [u8],
    ) -> Result<Progress, DecodeError> {
        let done = match self {
            Self::Gzip(gzip) => gzip.step(input, output),
            Self::Deflate(deflate) => deflate.step(input, output),
            Self::Brotli(brotli) => brotli.step(input, output),
            Self::Zstd(zstd) => zstd.step(input, output),
        };
        done.map_err(|why| self.corrupt(&why))
    }

    /// Whether the body may end here.
    pub(super) const fn may_end(&self) -> bool {
        match self {
            Self::Gzip(gzip) => gzip.may_end(),
            Self::Deflate(deflate) => matches!(deflate, Deflate::End),
            Self::Brotli(brotli) => brotli.ended,
            Self::Zstd(zstd) => zstd.between_frames,
        }
    }

    pub(super) fn corrupt(&self, why: &str) -> DecodeError {
        DecodeError::Corrupt {
            coding: self.name(),
            why: why.to_owned(),
        }
    }
}

/// Why a step failed.
pub(super) type Why = String;

/// Refuses bytes behind the end: they would be kept by nobody and scanned by nobody.
pub(super) fn nothing_more(input: &[u8]) -> Result<Progress, Why> {
    if input.is_empty() {
        return Ok(Progress {
            consumed: 0,
            produced: 0,
        });
    }
    Err("data follows its end".to_owned())
}

/// One step of DEFLATE (RFC 1951), with or without a zlib wrapping; true at its end.
pub(super) fn inflate(
    inflater: &mut Decompress,
    input: &[u8],
    output: &mut [u8],
) -> Result<(Progress, bool), Why> {
    let before = (inflater.total_in(), inflater.total_out());
    let status = inflater
        .decompress(input, output, FlushDecompress::None)
        .map_err(|error| error.to_string())?;
    // Both differences are bounded by the slices' lengths.
    let progress = Progress {
        consumed: (inflater.total_in() - before.0) as usize,
        produced: (inflater.total_out() - before.1) as usize,
    };
    Ok((progress, matches!(status, Status::StreamEnd)))
}

/// `deflate` means zlib (RFC 1950), but many servers send bare DEFLATE: the first two bytes tell.
pub(super) enum Deflate {
    Begin(Option<u8>),
    Middle(Box<Decompress>),
    End,
}

impl Deflate {
    fn step(&mut self, input: &[u8], output: &mut [u8]) -> Result<Progress, Why> {
        match self {
            Self::Begin(None) => {
                *self = Self::Begin(input.first().copied());
                Ok(Progress {
                    consumed: input.len().min(1),
                    produced: 0,
                })
            }
            Self::Begin(Some(first)) => {
                let Some(&second) = input.first() else {
                    return nothing_more(input);
                };
                let mut inflater = Box::new(Decompress::new(is_zlib(*first, second)));
                // One byte of either format never yields output, so `output` stays whole.
                inflate(&mut inflater, &[*first], output)?;
                *self = Self::Middle(inflater);
                self.step(input, output)
            }
            Self::Middle(inflater) => {
                let (progress, ended) = inflate(inflater, input, output)?;
                if ended {
                    *self = Self::End;
                }
                Ok(progress)
            }
            Self::End => nothing_more(input),
        }
    }
}

/// RFC 1950, 2.2: method 8, a window of at most 32 KiB, and a check over both bytes.
fn is_zlib(cmf: u8, flg: u8) -> bool {
    cmf & 0x0f == 8 && cmf >> 4 <= 7 && (u16::from(cmf) << 8 | u16::from(flg)) % 31 == 0
}

/// Brotli (RFC 7932), without the large windows no browser accepts.
pub(super) struct Brotli {
    state: BrotliState<StandardAlloc, StandardAlloc, StandardAlloc>,
    total_out: usize,
    ended: bool,
}

impl Brotli {
    fn new() -> Self {
        Self {
            state: BrotliState::new_strict(
                StandardAlloc::default(),
                StandardAlloc::default(),
                StandardAlloc::default(),
            ),
            total_out: 0,
            ended: false,
        }
    }

    fn step(&mut self, input: &[u8], output: &mut [u8]) -> Result<Progress, Why> {
        if self.ended {
            return nothing_more(input);
        }
        let (mut consumed, mut produced) = (0, 0);
        let (mut input_left, mut output_left) = (input.len(), output.len());
        match BrotliDecompressStream::<StandardAlloc, StandardAlloc, StandardAlloc>(
            &mut input_left,
            &mut consumed,
            input,
            &mut output_left,
            &mut produced,
            output,
            &mut self.total_out,
            &mut self.state,
        ) {
            BrotliResult::ResultFailure => return Err("invalid data".to_owned()),
            BrotliResult::ResultSuccess => self.ended = true,
            BrotliResult::NeedsMoreInput | BrotliResult::NeedsMoreOutput => {}
        }
        Ok(Progress { consumed, produced })
    }
}

/// Zstandard (RFC 8878), frame after frame.
pub(super) struct Zstd {
    decoder: ZstdDecoder<'static>,
    between_frames: bool,
}

impl Zstd {
    fn new() -> std::io::Result<Self> {
        let mut decoder = ZstdDecoder::new()?;
        decoder.set_parameter(DParameter::WindowLogMax(ZSTD_WINDOW_LOG_MAX))?;
        Ok(Self {
            decoder,
            between_frames: true,
        })
    }

    fn step(&mut self, input: &[u8], output: &mut [u8]) -> Result<Progress, Why> {
        if self.between_frames && input.is_empty() {
            return nothing_more(input);
        }
        let status = self
            .decoder
            .run_on_buffers(input, output)
            .map_err(|error| error.to_string())?;
        self.between_frames = status.remaining == 0;
        Ok(Progress {
            consumed: status.bytes_read,
            produced: status.bytes_written,
        })
    }
}
