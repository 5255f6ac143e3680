//! Tables: columns that line up, readable without lines and colour.

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};

/// How a column stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Column {
    /// Words.
    Left(&'static str),
    /// Numbers.
    Right(&'static str),
}

/// Returns the table, each line ended.
pub(crate) fn table(columns: &[Column], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(columns.iter().map(|column| match column {
        Column::Left(name) | Column::Right(name) => *name,
    }));
    for row in rows {
        table.add_row(row);
    }
    for (index, column) in columns.iter().enumerate() {
        if let Some(styled) = table.column_mut(index) {
            styled.set_padding((0, 2));
            if matches!(column, Column::Right(_)) {
                styled.set_cell_alignment(CellAlignment::Right);
            }
        }
    }
    let mut text = String::new();
    for line in table.lines() {
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stand_right_and_lines_have_no_tail() {
        let rows = [
            vec!["files".to_owned(), "12".to_owned()],
            vec!["bytes".to_owned(), "1 234".to_owned()],
        ];
        let text = table(&[Column::Left("what"), Column::Right("number")], rows);
        assert_eq!(text, "what   number\nfiles      12\nbytes   1 234\n");
    }
}
