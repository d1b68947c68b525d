//! Numbers as people say them: durations, sizes, counts. Everything is rounded down, so that
//! `999.9 ms` never reads as `1000 ms`.

/// Writes a duration given in microseconds: `340 µs`, `1.2 ms`, `3.05 s`, `2 m 03 s`, `1 h 02 m`.
#[must_use]
pub fn duration(us: u64) -> String {
    let seconds = us / 1_000_000;
    match us {
        0..1_000 => format!("{us} µs"),
        1_000..100_000 => format!("{}.{} ms", us / 1_000, us / 100 % 10),
        100_000..1_000_000 => format!("{} ms", us / 1_000),
        1_000_000..10_000_000 => format!("{seconds}.{:02} s", us / 10_000 % 100),
        10_000_000..60_000_000 => format!("{seconds}.{} s", us / 100_000 % 10),
        60_000_000..3_600_000_000 => format!("{} m {:02} s", seconds / 60, seconds % 60),
        3_600_000_000..86_400_000_000 => {
            format!("{} h {:02} m", seconds / 3600, seconds / 60 % 60)
        }
        _ => format!("{} d {:02} h", seconds / 86_400, seconds / 3600 % 24),
    }
}

/// Writes a place on the session's clock, given in nanoseconds: `0:01.234`, `1:02:03.004`.
#[must_use]
pub fn clock(ns: u64) -> String {
    let ms = ns / 1_000_000;
    let (seconds, ms) = (ms / 1_000, ms % 1_000);
    let (minutes, seconds) = (seconds / 60, seconds % 60);
    match minutes / 60 {
        0 => format!("{minutes}:{seconds:02}.{ms:03}"),
        hours => format!("{hours}:{:02}:{seconds:02}.{ms:03}", minutes % 60),
    }
}

/// Writes a size: `512 B`, `1.5 KiB`, `20 MiB`.
#[must_use]
pub fn bytes(count: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if count < 1024 {
        return format!("{count} B");
    }
    let mut scale = 0;
    while scale + 1 < UNITS.len() && count >> (10 * (scale + 2)) > 0 {
        scale += 1;
    }
    let tenths = (u128::from(count) * 10) >> (10 * (scale + 1));
    match UNITS.get(scale) {
        Some(unit) if tenths < 100 => format!("{}.{} {unit}", tenths / 10, tenths % 10),
        Some(unit) => format!("{} {unit}", tenths / 10),
        None => format!("{count} B"),
    }
}

/// Writes a count with its noun: `1 call`, `2 calls`.
#[must_use]
pub fn count(number: u64, noun: &str) -> String {
    match number {
        1 => format!("1 {noun}"),
        _ => format!("{number} {noun}s"),
    }
}

/// Joins a command line as a shell would need it, for reading and for pasting.
#[must_use]
pub fn command_line(words: &[String]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| quote(word)).collect();
    quoted.join(" ")
}

fn quote(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "_-./:=@%+,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_keep_about_three_digits() {
        for (us, text) in [
            (0, "0 µs"),
            (340, "340 µs"),
            (999, "999 µs"),
            (1_000, "1.0 ms"),
            (1_299, "1.2 ms"),
            (99_999, "99.9 ms"),
            (999_999, "999 ms"),
            (3_059_000, "3.05 s"),
            (59_999_999, "59.9 s"),
            (123_000_000, "2 m 03 s"),
            (3_599_999_999, "59 m 59 s"),
            (3_723_000_000, "1 h 02 m"),
            (100 * 3_600_000_000, "4 d 04 h"),
        ] {
            assert_eq!(duration(us), text, "{us}");
        }
    }

    #[test]
    fn the_clock_counts_from_the_start() {
        assert_eq!(clock(0), "0:00.000");
        assert_eq!(clock(61_234_567_890), "1:01.234");
        assert_eq!(clock(3_723_004_000_000), "1:02:03.004");
    }

    #[test]
    fn sizes_are_binary() {
        for (count, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1536, "1.5 KiB"),
            (1024 * 1024 - 1, "1023 KiB"),
            (20 << 20, "20 MiB"),
            (u64::MAX, "15 EiB"),
        ] {
            assert_eq!(bytes(count), text, "{count}");
        }
    }

    #[test]
    fn commands_can_be_pasted() {
        let words = ["claude", "-p", "it's 5 o'clock", "", "a=b"].map(str::to_owned);
        assert_eq!(
            command_line(&words),
            r"claude -p 'it'\''s 5 o'\''clock' '' a=b"
        );
    }
}
