//! [`rows`]: a row of tasks for each worker. The rows of an executor are beside each other.

use std::collections::BTreeMap;

use crate::bars::Bar;

/// A worker and its tasks.
#[derive(Debug)]
pub(crate) struct Row<'a> {
    pub(crate) executor: &'a str,
    pub(crate) worker: &'a str,
    pub(crate) bars: Vec<&'a Bar>,
}

/// Sorts the tasks by worker. Tasks that have never started are in none of the rows.
pub(crate) fn rows(bars: &[Bar]) -> Vec<Row<'_>> {
    let mut found = BTreeMap::<(&str, usize, &str), Vec<&Bar>>::new();
    for bar in bars.iter().filter(|bar| !bar.worker.is_empty()) {
        // Worker 10 is after worker 9.
        found.entry((&bar.executor, bar.worker.len(), &bar.worker)).or_default().push(bar);
    }
    // The executor that was used first is on top.
    let first = |row: &Row<'_>| {
        let of_same = bars.iter().filter(|bar| bar.executor == row.executor);
        of_same.map(|bar| bar.submitted).min()
    };
    let row = |((executor, _, worker), bars)| Row { executor, worker, bars };
    let mut rows: Vec<Row<'_>> = found.into_iter().map(row).collect();
    rows.sort_by_key(first);
    rows
}
