//! Holds `tests/conformance/README.md` to the tests: what it names is there, and every point of the conformance is named.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use concurrent_futures_conformance::points;

/// The columns of a row: point, verdict, tests.
fn rows() -> Vec<[String; 3]> {
    let cells = |line: &str| -> Vec<String> {
        line.trim_matches('|').split(" | ").map(|cell| cell.trim().to_owned()).collect()
    };
    let lines = include_str!("../conformance/README.md")
        .lines()
        .filter(|line| line.starts_with("| ") && !line.starts_with("| Point") && !line.starts_with("| ---"));
    lines.map(|line| cells(line).try_into().unwrap_or_else(|cells| panic!("not three columns: {cells:?}"))).collect()
}

/// The names in backticks.
fn names(tests: &str) -> impl Iterator<Item = &str> {
    tests.split('`').skip(1).step_by(2)
}

/// Looks for a test of another program: `it::threads::queue::name` is in `tests/threads/queue.rs`, `system::ends::name` in
/// `tests/system/ends.rs`, and `soak::name` in `tests/soak/main.rs`.
fn is_elsewhere(path: &str) -> bool {
    let (modules, name) = path.rsplit_once("::").expect("a path");
    let modules = modules.strip_prefix("it::").unwrap_or(modules);
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(modules.replace("::", "/"));
    let text = [file.with_extension("rs"), file.join("main.rs")].iter().find_map(|file| fs::read_to_string(file).ok());
    // A case of `tests/system` is named by a text.
    let is_named = |text: String| text.contains(&format!("fn {name}()")) || text.contains(&format!("name: \"{name}\""));
    text.is_some_and(is_named)
}

#[test]
fn every_row_has_a_verdict_and_tests_that_exist() {
    let points: BTreeSet<_> = points().collect();
    let rows = rows();
    assert!(rows.len() > 100, "only {} rows", rows.len());
    for [point, verdict, tests] in rows {
        let is_verdict = ["same", "better", "not applicable"].iter().any(|word| verdict.starts_with(word));
        assert!(is_verdict, "{point}: {verdict}");
        assert!(verdict.starts_with("not applicable") || names(&tests).next().is_some(), "{point} has no test");
        for name in names(&tests) {
            assert!(points.contains(name) || is_elsewhere(name), "{point}: there is no {name}");
        }
    }
}

#[test]
fn every_point_is_in_a_row() {
    let rows = rows();
    let named: BTreeSet<&str> = rows.iter().flat_map(|[_, _, tests]| names(tests)).collect();
    let missing: Vec<_> = points().filter(|name| !named.contains(name.as_str())).collect();
    assert!(missing.is_empty(), "in no row: {missing:?}");
}
