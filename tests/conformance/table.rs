//! Holds README.md to the tests: what it names is there, and every test here is named.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::Own;

pub(crate) const OWN: Own = list![every_row_has_a_verdict_and_tests_that_exist, every_test_is_in_a_row];

/// The columns of a row: point, verdict, tests.
fn rows() -> Vec<[String; 3]> {
    let cells = |line: &str| -> Vec<String> {
        line.trim_matches('|').split(" | ").map(|cell| cell.trim().to_owned()).collect()
    };
    let lines = include_str!("README.md")
        .lines()
        .filter(|line| line.starts_with("| ") && !line.starts_with("| Point") && !line.starts_with("| ---"));
    lines.map(|line| cells(line).try_into().unwrap_or_else(|cells| panic!("not three columns: {cells:?}"))).collect()
}

/// The names in backticks.
fn names(tests: &str) -> impl Iterator<Item = &str> {
    tests.split('`').skip(1).step_by(2)
}

/// The tests of this directory, by file and name.
fn own_names() -> BTreeSet<String> {
    let points = crate::POINTS.iter().flat_map(|&(file, points)| points.iter().map(move |&(name, _)| (file, name)));
    let own = crate::OWN.iter().flat_map(|&(file, tests)| tests.iter().map(move |&(name, _)| (file, name)));
    points.chain(own).map(|(file, name)| format!("{file}::{name}")).collect()
}

/// Looks for a test outside of this directory: `it::threads::queue::name` is in `tests/it/threads/queue.rs`.
fn is_elsewhere(path: &str) -> bool {
    let (modules, name) = path.rsplit_once("::").expect("a path");
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let file: PathBuf = tests.join(modules.replace("::", "/"));
    let text = [file.with_extension("rs"), file.join("main.rs")].iter().find_map(|file| fs::read_to_string(file).ok());
    // A case of `tests/hosts` is named by a text.
    let is_named = |text: String| text.contains(&format!("fn {name}()")) || text.contains(&format!("name: \"{name}\""));
    text.is_some_and(is_named)
}

fn every_row_has_a_verdict_and_tests_that_exist() {
    let own = own_names();
    let rows = rows();
    assert!(rows.len() > 100, "only {} rows", rows.len());
    for [point, verdict, tests] in rows {
        let is_verdict = ["same", "better", "not applicable"].iter().any(|word| verdict.starts_with(word));
        assert!(is_verdict, "{point}: {verdict}");
        assert!(verdict.starts_with("not applicable") || names(&tests).next().is_some(), "{point} has no test");
        for name in names(&tests) {
            let is_here = own.contains(name) || cfg!(not(automatic)) && name.starts_with("processes::");
            assert!(is_here || is_elsewhere(name), "{point}: there is no {name}");
        }
    }
}

fn every_test_is_in_a_row() {
    let rows = rows();
    let named: BTreeSet<&str> = rows.iter().flat_map(|[_, _, tests]| names(tests)).collect();
    let own = own_names();
    let missing: Vec<_> =
        own.iter().filter(|name| !name.starts_with("table::") && !named.contains(name.as_str())).collect();
    assert!(missing.is_empty(), "in no row: {missing:?}");
}
