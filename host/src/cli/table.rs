//! Aligned columns.

use std::fmt;

/// What stands between two columns.
const GAP: usize = 2;

/// Rows under a heading, each column as wide as its widest cell. Nothing is cut: ids are there to be copied.
#[derive(Debug, Clone)]
pub struct Table {
    heading: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub fn new<const N: usize>(heading: [&str; N]) -> Self {
        Self { heading: heading.map(str::to_owned).to_vec(), rows: Vec::new() }
    }

    /// Control characters and line ends are taken out of the cells.
    pub fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.rows.push(cells.iter().map(|cell| super::screen::one_line(cell)).collect());
    }

    fn widths(&self) -> Vec<usize> {
        let mut widths: Vec<usize> = self.heading.iter().map(|cell| width(cell)).collect();
        for row in &self.rows {
            for (widest, cell) in widths.iter_mut().zip(row) {
                *widest = (*widest).max(width(cell));
            }
        }
        widths
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let widths = self.widths();
        for row in std::iter::once(&self.heading).chain(&self.rows) {
            let mut pending = 0;
            for (cell, widest) in row.iter().zip(&widths) {
                if !cell.is_empty() {
                    write!(f, "{:pending$}{cell}", "")?;
                    pending = 0;
                }
                pending += widest - width(cell) + GAP;
            }
            f.write_str("\n")?;
        }
        Ok(())
    }
}

/// Columns on a terminal; letters of double width count as two.
fn width(text: &str) -> usize {
    text.chars().map(|c| if is_wide(c) { 2 } else { 1 }).sum()
}

fn is_wide(c: char) -> bool {
    matches!(c,
        '\u{1100}'..='\u{115f}' | '\u{2e80}'..='\u{a4cf}' | '\u{ac00}'..='\u{d7a3}' | '\u{f900}'..='\u{faff}'
        | '\u{fe30}'..='\u{fe6f}' | '\u{ff00}'..='\u{ff60}' | '\u{ffe0}'..='\u{ffe6}' | '\u{1f300}'..='\u{1faff}'
        | '\u{20000}'..='\u{3fffd}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_lines_end_clean() {
        let mut table = Table::new(["ID", "NAME", "STATE"]);
        table.row(["ep_1".into(), "crm".into(), "on".into()]);
        table.row(["ep_200".into(), String::new(), "off".into()]);
        table.row(["ep_3".into(), "last\ncell\x1b".into(), String::new()]);
        assert_eq!(
            table.to_string(),
            "ID      NAME             STATE\n\
             ep_1    crm              on\n\
             ep_200                   off\n\
             ep_3    last cell\\u{1b}\n"
        );
    }

    #[test]
    fn wide_letters() {
        let mut table = Table::new(["NAME", "N"]);
        table.row(["飞书".into(), "1".into()]);
        table.row(["abcd".into(), "2".into()]);
        assert_eq!(table.to_string(), "NAME  N\n飞书  1\nabcd  2\n");
    }
}
