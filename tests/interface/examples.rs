//! No example of the documentation is so wide that its page scrolls sideways.

use std::fs;
use std::path::{Path, PathBuf};

/// How many characters of an example a page of rustdoc shows.
const WIDEST: usize = 100;

#[test]
fn no_example_scrolls_sideways() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = files(&root.join("src"));
    files.extend(["README.md", "conformance/README.md", "conformance/src/lib.rs"].map(|name| root.join(name)));
    let mut faults = Vec::new();
    for file in files {
        let (text, mut is_example) = (fs::read_to_string(&file).unwrap(), false);
        let is_code = file.extension().is_some_and(|extension| extension == "rs");
        for (at, line) in text.lines().enumerate() {
            let Some(shown) = (if is_code { documentation(line) } else { Some(line) }) else { continue };
            if shown.trim_start().starts_with("```") {
                is_example = !is_example;
            } else if is_example && shown.chars().count() > WIDEST {
                faults.push(format!("{}:{}: {} characters", file.display(), at + 1, shown.chars().count()));
            }
        }
        assert!(!is_example, "{}: an example has no end", file.display());
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// The guide's executor passes the conformance tests in a copy, of which this is the proof.
#[test]
fn the_executor_of_the_guide_is_the_one_that_is_tested() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let words = |text: &str| {
        let lines = text.lines().filter_map(documentation).collect::<Vec<_>>();
        lines.join(" ").split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let guide = words(&fs::read_to_string(root.join("src/guide/writing_a_backend.rs")).unwrap());
    let copy = fs::read_to_string(root.join("tests/conformance/guide.rs")).unwrap();
    let copy: String = copy.lines().map(|line| format!("/// {line}\n")).collect();
    let copy = words(&copy);
    let (promises, code) = copy.split_once("Workers::new) ").unwrap().1.split_once(" } ").unwrap();
    assert!(guide.contains(code), "the guide has another executor than tests/conformance/guide.rs: {code}");
    assert!(guide.contains(&format!("Workers::new) {promises}, ])")), "the guide does not say of it: {promises}");
}

/// The text of a line of documentation, in whichever way it is written.
fn documentation(line: &str) -> Option<&str> {
    let line = line.trim_start();
    // An example that is compiled only with a feature begins with two lines, of which one holds.
    if line.starts_with("#![cfg_attr(not(") && line.contains("doc = \"```") {
        return None;
    }
    if let Some((_, fence)) = line.strip_prefix("#![cfg_attr(").and_then(|rest| rest.split_once("doc = \"")) {
        return Some(fence);
    }
    let text = line.strip_prefix("///").or_else(|| line.strip_prefix("//!"))?;
    Some(text.strip_prefix(' ').unwrap_or(text))
}

/// The source files in a directory, at any depth.
fn files(directory: &Path) -> Vec<PathBuf> {
    let paths = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    paths
        .flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] })
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs" || extension == "md"))
        .collect()
}
