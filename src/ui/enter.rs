//! Enter, while something else goes on: notices that the person pressed it without ever holding
//! anything up.
//!
//! Invariant: standard input is read only while somebody waits here, and the terminal's settings are
//! not touched, so there is nothing to put back, however ddgate ends. What is typed later is the
//! child's.

#[cfg(unix)]
pub use unix::pressed;

#[cfg(unix)]
mod unix {
    use std::io::{self, IsTerminal as _, Stdin};
    use std::time::Duration;

    use rustix::process::getpgrp;
    use rustix::termios::tcgetpgrp;

    /// How often it is looked: no person notices. A terminal that announced itself would have to be
    /// registered with the runtime, and shared with whoever else has it open.
    const LOOK: Duration = Duration::from_millis(50);

    /// Waits until the person presses Enter. For ever where nobody can: no terminal, or it failed.
    pub async fn pressed() {
        let stdin = io::stdin();
        while stdin.is_terminal() {
            match take_line(&stdin) {
                Ok(true) => return,
                Ok(false) => tokio::time::sleep(LOOK).await,
                Err(_) => break,
            }
        }
        std::future::pending().await
    }

    /// Takes a line, if a whole one is there. Past the standard library's buffer, which would keep
    /// what follows.
    fn take_line(stdin: &Stdin) -> io::Result<bool> {
        // From the background, reading stops the process; without a whole line, it would wait.
        let is_in_front = tcgetpgrp(stdin).is_ok_and(|group| group == getpgrp());
        if !is_in_front || rustix::io::ioctl_fionread(stdin)? == 0 {
            return Ok(false);
        }
        let mut line = [0; 4096];
        match rustix::io::read(stdin, &mut line)? {
            // Ctrl-D: nobody wants to be asked.
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(true),
        }
    }
}

/// Waits for ever: there is no such terminal here yet.
#[cfg(not(unix))]
pub async fn pressed() {
    std::future::pending().await
}

/// Whether [`pressed`] can ever end.
#[must_use]
pub fn can_be_pressed() -> bool {
    use std::io::IsTerminal as _;
    cfg!(unix) && std::io::stdin().is_terminal()
}
