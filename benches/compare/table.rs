//! Rows of a table in Markdown, with cells of a common width.

const WIDTHS: [usize; 6] = [30, 32, 12, 22, 60, 29];

pub(crate) fn print_head(titles: [&str; 6]) {
    print_row(titles.map(String::from));
    let [v, w, x, y, z, last] = WIDTHS.map(|width| "-".repeat(width));
    println!("|-{v}-|-{w}-|-{x}:|-{y}:|-{z}-|-{last}-|");
}

pub(crate) fn print_row(cells: [String; 6]) {
    let [a, b, c, d, e, f] = cells;
    let [v, w, x, y, z, last] = WIDTHS;
    println!("| {a:<v$} | {b:<w$} | {c:>x$} | {d:>y$} | {e:<z$} | {f:<last$} |");
}
