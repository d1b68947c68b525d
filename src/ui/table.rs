//! Aligned columns. Every cell is escaped on its way in, so no field can break the grid; widths
//! are those of a terminal (wide characters count two). Cuts only when the look has a width.

use std::borrow::Cow;

use unicode_width::UnicodeWidthStr;

use super::escape::escape;
use super::style::{Look, Tone};

/// Blank columns between two cells.
const GAP: usize = 2;

/// On which side of its column a cell stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    /// Text.
    Left,
    /// Numbers.
    Right,
}

/// One column.
#[derive(Clone, Debug)]
pub struct Column {
    /// The heading.
    pub title: Cow<'static, str>,
    /// The side its cells stand on.
    pub align: Align,
    /// How narrow it may become when the terminal is; none keeps it whole.
    pub shrink_to: Option<usize>,
    /// Whether it goes altogether when shrinking is not enough.
    pub is_optional: bool,
}

impl Column {
    /// A column of text that is never cut.
    #[must_use]
    pub fn text(title: impl Into<Cow<'static, str>>) -> Self {
        Self {
            title: title.into(),
            align: Align::Left,
            shrink_to: None,
            is_optional: false,
        }
    }

    /// A column of numbers, on the right side.
    #[must_use]
    pub fn number(title: impl Into<Cow<'static, str>>) -> Self {
        Self {
            title: title.into(),
            align: Align::Right,
            shrink_to: None,
            is_optional: false,
        }
    }

    /// Lets the column shrink to `columns` on a narrow terminal.
    #[must_use]
    pub fn shrinking(mut self, columns: usize) -> Self {
        self.shrink_to = Some(columns);
        self
    }

    /// Lets the column go when the terminal is too narrow for all.
    #[must_use]
    pub fn optional(mut self) -> Self {
        self.is_optional = true;
        self
    }
}

/// One field of one row: escaped text and its tone.
#[derive(Clone, Debug)]
pub struct Cell {
    text: String,
    tone: Tone,
}

impl Cell {
    /// A cell in a tone.
    #[must_use]
    pub fn new(tone: Tone, text: &str) -> Self {
        Self {
            text: escape(text).into_owned(),
            tone,
        }
    }

    /// A plain cell.
    #[must_use]
    pub fn plain(text: &str) -> Self {
        Self::new(Tone::Plain, text)
    }
}

/// A table under construction.
#[derive(Clone, Debug)]
pub struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<Cell>>,
}

impl Table {
    /// Begins a table.
    #[must_use]
    pub fn new(columns: &[Column]) -> Self {
        Self {
            columns: columns.to_vec(),
            rows: Vec::new(),
        }
    }

    /// Adds a row. Missing cells are blank, extra ones are not shown.
    pub fn row(&mut self, cells: Vec<Cell>) {
        self.rows.push(cells);
    }

    /// Whether there is no row.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Renders the heading and every row, each with its newline.
    #[must_use]
    pub fn render(&self, look: &Look) -> String {
        let (heading, rows) = self.lines(look);
        let mut text = heading;
        rows.iter().for_each(|row| text.push_str(row));
        text
    }

    /// Renders the heading, and one string a row: for printing with pauses between.
    #[must_use]
    pub fn lines(&self, look: &Look) -> (String, Vec<String>) {
        self.lines_below(look, &mut Vec::new())
    }

    /// The same for one part of a table that comes in parts: no column is narrower than in the
    /// part before, which left its widths in `widths`.
    #[must_use]
    pub fn lines_below(&self, look: &Look, widths: &mut Vec<usize>) -> (String, Vec<String>) {
        let above = std::mem::take(widths);
        *widths = self.widths(look.width);
        for (width, above) in widths.iter_mut().zip(above) {
            *width = above.max(*width);
        }
        let heading: Vec<Cell> = self
            .columns
            .iter()
            .map(|column| Cell::new(Tone::Dim, &column.title))
            .collect();
        (
            self.line(&heading, widths, look),
            self.rows
                .iter()
                .map(|row| self.line(row, widths, look))
                .collect(),
        )
    }

    /// The width of each column: its widest cell, then shrunk to what the terminal has.
    fn widths(&self, bound: Option<usize>) -> Vec<usize> {
        let mut widths: Vec<usize> = self
            .columns
            .iter()
            .enumerate()
            .map(|(at, column)| {
                let cells = self.rows.iter().filter_map(|row| row.get(at));
                cells
                    .map(|cell| cell.text.width())
                    .chain([column.title.width()])
                    .max()
                    .unwrap_or(0)
            })
            .collect();
        if let Some(bound) = bound {
            self.drop_optional(&mut widths, bound);
            self.shrink(&mut widths, bound);
        }
        widths
    }

    /// Drops optional columns, from the right, until the rest can shrink enough. A column of
    /// width 0 is not there.
    fn drop_optional(&self, widths: &mut [usize], bound: usize) {
        let mut least: Vec<usize> = self
            .columns
            .iter()
            .zip(widths.iter())
            .map(|(column, width)| column.shrink_to.unwrap_or(*width).min(*width))
            .collect();
        let columns = self.columns.iter().enumerate().rev();
        for (at, _) in columns.filter(|(_, column)| column.is_optional) {
            if total(&least) <= bound {
                return;
            }
            for set in [&mut least[..], &mut *widths] {
                if let Some(width) = set.get_mut(at) {
                    *width = 0;
                }
            }
        }
    }

    /// Takes column after column from the widest that still may shrink.
    fn shrink(&self, widths: &mut [usize], bound: usize) {
        for _ in 0..total(widths).saturating_sub(bound) {
            let widest = self
                .columns
                .iter()
                .zip(widths.iter_mut())
                .filter(|(column, width)| column.shrink_to.is_some_and(|least| **width > least))
                .max_by_key(|(_, width)| **width);
            match widest {
                Some((_, width)) => *width -= 1,
                None => break,
            }
        }
    }

    fn line(&self, cells: &[Cell], widths: &[usize], look: &Look) -> String {
        let mut line = String::new();
        let mut used = 0;
        // Blanks are owed until something follows: no line ends in blanks.
        let mut owed = 0;
        let mut is_first = true;
        for (at, (column, width)) in self.columns.iter().zip(widths).enumerate() {
            if *width == 0 {
                continue;
            }
            owed += if is_first { 0 } else { GAP };
            is_first = false;
            let Some(cell) = cells.get(at).filter(|cell| !cell.text.is_empty()) else {
                owed += width;
                continue;
            };
            let mut text = cut(&cell.text, *width);
            let padding = width.saturating_sub(text.width());
            let before = owed
                + if column.align == Align::Right {
                    padding
                } else {
                    0
                };
            if let Some(bound) = look.width {
                // Columns that may not shrink can still be too much: the line ends at the edge.
                if used + before >= bound {
                    break;
                }
                text = cut(&text, bound - used - before);
            }
            line.extend(std::iter::repeat_n(' ', before));
            line.push_str(&look.paint(cell.tone, &text));
            used += before + text.width();
            owed = if column.align == Align::Left {
                padding
            } else {
                0
            };
        }
        line.push('\n');
        line
    }
}

/// The width of a line: columns that are there, and the gaps between them.
fn total(widths: &[usize]) -> usize {
    let present = widths.iter().filter(|width| **width > 0).count();
    widths.iter().sum::<usize>() + GAP * present.saturating_sub(1)
}

/// Renders `label  value` lines, the values aligned. Values are neither escaped nor cut here:
/// they may carry tones already.
#[must_use]
pub fn fields(rows: &[(&str, String)], look: &Look) -> String {
    let widest = rows.iter().map(|(label, _)| label.width()).max();
    let mut text = String::new();
    for (label, value) in rows {
        let padding = widest.unwrap_or(0) - label.width() + GAP;
        text.push_str(&look.paint(Tone::Dim, label));
        if !value.is_empty() {
            text.extend(std::iter::repeat_n(' ', padding));
            text.push_str(value);
        }
        text.push('\n');
    }
    text
}

/// Cuts escaped text to a width, with an ellipsis where something is missing.
#[must_use]
pub fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    if width == 0 {
        return String::new();
    }
    let mut kept = String::new();
    // Measured as a whole, since marks change the width of what stands before them; and bounded,
    // since marks alone have no width.
    for character in text.chars().take(width * 4) {
        kept.push(character);
        if kept.width() >= width {
            kept.pop();
            break;
        }
    }
    kept.push('…');
    kept
}

#[cfg(test)]
mod tests {
    use super::super::style::test_look;
    use super::*;
    use proptest::prelude::*;

    fn sample() -> Table {
        let mut table = Table::new(&[
            Column::number("#"),
            Column::text("NAME").shrinking(6),
            Column::text("NOTE"),
            Column::number("TOOK"),
        ]);
        table.row(vec![
            Cell::plain("1"),
            Cell::plain("監視 of a lot of things"),
            Cell::plain("x"),
            Cell::plain("1.2 ms"),
        ]);
        table.row(vec![
            Cell::plain("10"),
            Cell::new(Tone::Write, "a\x1b[2J\nb"),
        ]);
        table
    }

    #[test]
    fn columns_align_and_lines_have_no_trailing_blanks() {
        insta::assert_snapshot!(sample().render(&test_look()), @r"
         #  NAME                     NOTE    TOOK
         1  監視 of a lot of things  x     1.2 ms
        10  a\u{1b}[2J\nb
        ");
    }

    #[test]
    fn a_narrow_terminal_cuts_the_columns_that_may_shrink() {
        let look = Look {
            width: Some(32),
            ..test_look()
        };
        insta::assert_snapshot!(sample().render(&look), @r"
         #  NAME            NOTE    TOOK
         1  監視 of a lot…  x     1.2 ms
        10  a\u{1b}[2J\nb
        ");
    }

    #[test]
    fn a_cut_never_splits_a_wide_character() {
        assert_eq!(cut("監視監視", 8), "監視監視");
        assert_eq!(cut("監視監視", 6), "監視…");
        assert_eq!(cut("監視監視", 1), "…");
        assert_eq!(cut("監視監視", 0), "");
    }

    #[test]
    fn fields_align_their_values() {
        let rows = [
            ("who", "alice".to_owned()),
            ("command", "x".to_owned()),
            ("none", String::new()),
        ];
        insta::assert_snapshot!(fields(&rows, &test_look()), @r"
        who      alice
        command  x
        none
        ");
    }

    proptest! {
        #[test]
        fn no_line_is_wider_than_the_terminal(
            cells in proptest::collection::vec(any::<String>(), 4),
            width in 1usize..60,
        ) {
            let mut table = sample();
            table.row(cells.iter().map(|text| Cell::plain(text.trim())).collect());
            let look = Look { width: Some(width), ..test_look() };
            let text = table.render(&look);
            prop_assert_eq!(text.lines().count(), 4);
            for line in text.lines() {
                prop_assert!(line.width() <= width, "{line:?}");
                prop_assert_eq!(line.trim_end(), line);
            }
        }
    }
}
