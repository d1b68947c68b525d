//! An address as a QR code (ISO/IEC 18004) for a telephone's camera, two modules to a character.
//!
//! The one file that knows the qrcode crate.

use qrcode::{Color, EcLevel, QrCode};

use super::style::Look;

/// Light modules around it: the standard asks for four, cameras need two.
const MARGIN: usize = 2;

/// Draws a code. None where the text is too long for one that fits a terminal.
pub(super) fn draw(text: &str, look: &Look) -> Option<String> {
    // The lowest level of correction: a screen has no dirt on it, and the code stays small.
    let code = QrCode::with_error_correction_level(text, EcLevel::L).ok()?;
    let width = code.width() + 2 * MARGIN;
    if look
        .width
        .is_some_and(|columns| columns < width + super::printer::PREFIX.len())
    {
        return None;
    }
    let modules = code.to_colors();
    let is_dark = |row: usize, column: usize| {
        let inside = |at: usize| at.checked_sub(MARGIN).filter(|at| *at < code.width());
        let (Some(row), Some(column)) = (inside(row), inside(column)) else {
            return false;
        };
        modules.get(row * code.width() + column) == Some(&Color::Dark)
    };
    let mut drawn = String::new();
    for row in (0..width).step_by(2) {
        let mut line = String::new();
        for column in 0..width {
            // Below the last row of an odd number there is nothing: dark, as the terminal.
            let below = row + 1 < width && !is_dark(row + 1, column);
            line.push(match (!is_dark(row, column), below) {
                (true, true) => '█',
                (true, false) => '▀',
                (false, true) => '▄',
                (false, false) => ' ',
            });
        }
        drawn.push_str(&look.light_on_dark(&line));
        drawn.push('\n');
    }
    Some(drawn)
}

#[cfg(test)]
mod tests {
    use super::super::style::test_look;
    use super::*;

    #[test]
    fn the_finder_patterns_are_where_cameras_look() {
        let drawn = draw(
            "https://idp.example/device?user_code=ABCD-EFGH",
            &test_look(),
        )
        .unwrap();
        let rows: Vec<Vec<char>> = drawn.lines().map(|line| line.chars().collect()).collect();
        // Rows 2 to 8 of the code, behind the margin: seven dark modules above seven.
        let corner: String = rows[1][2..9].iter().collect();
        assert_eq!(corner, " ▄▄▄▄▄ ");
        let width = rows[0].len();
        let other: String = rows[1][width - 9..width - 2].iter().collect();
        assert_eq!(other, " ▄▄▄▄▄ ");
        assert_eq!(rows.len(), width.div_ceil(2));
        assert!(rows[0].iter().all(|c| *c == '█'));
    }

    #[test]
    fn what_does_not_fit_is_not_drawn() {
        assert!(draw(&"x".repeat(5000), &test_look()).is_none());
        let narrow = Look {
            width: Some(20),
            ..test_look()
        };
        assert!(draw("https://idp.example", &narrow).is_none());
    }
}
