//! The tables "what differs" of docs/coming_from.md, each row with a test.

/// A row's first column, and what has to hold.
pub(crate) type Difference = (&'static str, fn());

const PAGE: &str = include_str!("../../docs/coming_from.md");

/// Runs each test, and checks that the rows of the table that begins with `heading` are those
/// tested, in their order.
#[track_caller]
pub(crate) fn assert_rows(heading: &str, differences: &[Difference]) {
    let start = format!("| {heading} | what differs |\n");
    let (_, behind) = PAGE.split_once(&start).expect("a table with this heading");
    let rows = behind
        .lines()
        .skip(1)
        .take_while(|line| line.starts_with('|'));
    let rows: Vec<&str> = rows
        .map(|line| line.split(" | ").next().unwrap().trim_start_matches("| "))
        .collect();
    let tested: Vec<&str> = differences.iter().map(|(row, _)| *row).collect();
    assert_eq!(rows, tested, "the rows of {heading}");
    for (row, test) in differences {
        println!("{row}");
        test();
    }
}
