//! Holds the table in `lib.rs` to the models: what it names is there, and every model is named.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// The names in backticks of the rows, in which a `*` at the end stands for any more.
fn patterns() -> Vec<&'static str> {
    let lines = include_str!("lib.rs").lines();
    let rows = lines.filter_map(|line| line.strip_prefix("//! | ")).filter_map(|row| row.split_once(" | "));
    rows.flat_map(|(_, models)| models.split('`').skip(1).step_by(2)).collect()
}

/// All models, by file and name.
fn models() -> BTreeSet<String> {
    let files = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR"))).unwrap().map(|entry| entry.unwrap().path());
    let mut models = BTreeSet::new();
    for file in files.filter(|file| file.extension().is_some_and(|extension| extension == "rs")) {
        let module = file.file_stem().unwrap().to_str().unwrap().to_owned();
        let text = fs::read_to_string(&file).unwrap();
        let tests = text.split("\n#[test]\nfn ").skip(1).filter_map(|test| test.split_once("()"));
        models.extend(tests.map(|(name, _)| format!("{module}::{name}")));
    }
    models
}

fn names(pattern: &str, model: &str) -> bool {
    pattern.strip_suffix('*').map_or(pattern == model, |start| model.starts_with(start))
}

#[test]
fn every_model_has_a_row_and_every_row_has_models() {
    let (patterns, models) = (patterns(), models());
    assert!(models.len() > 100, "only {} models", models.len());
    let unnamed: Vec<_> = models
        .iter()
        .filter(|model| !model.starts_with("table::") && !patterns.iter().any(|pattern| names(pattern, model)))
        .collect();
    assert!(unnamed.is_empty(), "in no row: {unnamed:?}");
    let unknown: Vec<_> = patterns.iter().filter(|pattern| !models.iter().any(|model| names(pattern, model))).collect();
    assert!(unknown.is_empty(), "there is none of these: {unknown:?}");
}
