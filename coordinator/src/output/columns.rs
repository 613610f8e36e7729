//! A table of many rows: each line is made when its turn comes, so that ten thousand rows cost no more than their text.

/// What stands between two columns.
const GAP: usize = 3;

/// Lines of cells, the columns as wide as their widest cell. `cells` is asked twice for each row.
pub fn columns<T>(header: &[&str], rows: &[T], cells: impl Fn(&T) -> Vec<String>) -> String {
    let header = if super::has_headers() { header.to_vec() } else { vec![""; header.len()] };
    let mut widths: Vec<usize> = header.iter().map(|name| name.chars().count()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(cells(row)) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    if header.iter().any(|name| !name.is_empty()) {
        add_line(&mut text, &header, &widths);
    }
    for row in rows {
        add_line(&mut text, &cells(row), &widths);
    }
    text
}

fn add_line<C: AsRef<str>>(text: &mut String, cells: &[C], widths: &[usize]) {
    let begin = text.len();
    for (cell, width) in cells.iter().map(AsRef::as_ref).zip(widths) {
        text.push_str(cell);
        let room = width + GAP - cell.chars().count();
        text.extend(std::iter::repeat_n(' ', room));
    }
    text.truncate(begin + text[begin..].trim_end().len());
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell_and_lines_end_with_their_text() {
        let rows = [["a", "pödé", ""], ["bbbb", "", "x"]];
        let cells = |row: &[&str; 3]| row.map(str::to_owned).to_vec();
        assert_eq!(columns(&["N", "P", ""], &rows, cells), "N      P\na      pödé\nbbbb          x\n");
        // Without a header, its columns are as wide as their cells.
        assert_eq!(columns(&["", "", ""], &rows, cells), "a      pödé\nbbbb          x\n");
    }
}
