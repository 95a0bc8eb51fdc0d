//! The imports of the crate point one way: no file imports one of a layer above its own, and no files import each other in a circle.
//!
//! Reads the product code of `src` as text: what is compiled for tests only, and what stands in for the product in models, does not count.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The layers from the bottom up, each with the modules that are in it. ARCHITECTURE.md draws them.
const LAYERS: [&[&str]; 10] = [
    &["id", "sync", "held", "ticket", "options", "unwind", "estimate", "condition", "deadlines", "look"],
    &["error", "bytes"],
    &["panics", "fork", "stack", "blocking", "codec", "report", "pauses", "upcoming"],
    &["outcomes"],
    &["task"],
    &["wait", "future", "inputs", "combine"],
    &["items", "job", "submitter", "backend", "completed"],
    &["map", "map_with", "inline", "with", "with_context", "submitting", "shutting_down", "retry"],
    // The guide is all documentation.
    &["executor", "thread", "process", "stream", "guide"],
    &["named"],
];

/// Files that stand in for product code in tests and models.
const DOUBLES: [&str; 9] = ["tests", "fuzz", "torn", "model", "hostile", "simulation", "seeds", "meanwhile", "cases"];

/// A module by its path, `["task", "state"]` for `src/task/state.rs`.
type Module = Vec<String>;

#[test]
fn imports_point_from_the_top_to_the_bottom() {
    let modules = modules();
    let mut faults = Vec::new();
    let mut edges = BTreeMap::<&Module, BTreeMap<&Module, String>>::new();
    for (module, file) in &modules {
        let text = product(&fs::read_to_string(file).unwrap());
        for (line, path) in paths(&text) {
            let Some(target) = resolve(&modules, module, &path) else { continue };
            let place = format!("{}:{line}: {}", file.display(), path.join("::"));
            if let (Some(own), Some(other)) = (layer(module), layer(target))
                && other > own
            {
                faults.push(format!("{place} is in a layer above"));
            }
            edges.entry(module).or_default().entry(target).or_insert(place);
        }
        assert!(module.is_empty() || layer(module).is_some(), "{} is in no layer", file.display());
    }
    faults.extend(circle(&edges));
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

fn layer(module: &Module) -> Option<usize> {
    let first = module.first()?;
    LAYERS.iter().position(|layer| layer.contains(&first.as_str()))
}

/// The product modules, and their files.
fn modules() -> BTreeMap<Module, PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let (mut found, mut directories) = (BTreeMap::new(), vec![root.clone()]);
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_stem().unwrap().to_str().unwrap();
            // `codec/model.rs` is a table of serde's data model.
            if DOUBLES.contains(&name) && !path.ends_with("codec/model.rs") {
                continue;
            }
            if path.is_dir() {
                directories.push(path);
            } else {
                let inside = path.strip_prefix(&root).unwrap().with_extension("");
                let module: Module = inside.iter().map(|part| part.to_str().unwrap().into()).collect();
                found.insert(if module == ["lib"] { Vec::new() } else { module }, path);
            }
        }
    }
    found
}

/// The code without comments, strings, and what is for tests, in lines as they were.
fn product(text: &str) -> String {
    let mut code = String::new();
    let (mut rest, mut is_text) = (text, false);
    while let Some(character) = rest.chars().next() {
        let skipped = match character {
            '\\' if is_text => 2,
            '"' => {
                is_text = !is_text;
                1
            }
            '\'' if !is_text && rest.starts_with("'\"'") => 3,
            '/' if !is_text && rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            _ => {
                if !is_text || character == '\n' {
                    code.push(character);
                }
                character.len_utf8()
            }
        };
        // A line that ends within a text is one all the same.
        code.extend(rest[..skipped].matches('\n').filter(|_| skipped > character.len_utf8()));
        rest = &rest[skipped..];
    }
    while let Some(start) = code.find("#[cfg(test)]").or_else(|| code.find("#[cfg(all(test")) {
        let rest = &code[start..];
        let (block, end) = (rest.find('{').unwrap_or(rest.len()), rest.find(';').unwrap_or(rest.len()));
        let length = if end < block {
            end + 1
        } else {
            let mut depth = 0;
            let is_last = |character: char| {
                depth += i32::from(character == '{') - i32::from(character == '}');
                character == '}' && depth == 0
            };
            rest.find(is_last).map_or(rest.len(), |at| at + 1)
        };
        let lines = "\n".repeat(rest[..length].matches('\n').count());
        code.replace_range(start..start + length, &lines);
    }
    code
}

/// All paths in the code that could name a module, with their lines, as they would be written at the top of the file.
fn paths(code: &str) -> Vec<(usize, Vec<String>)> {
    let (mut found, mut rest) = (Vec::new(), code);
    // The modules within the file that the place is in, by how many braces are open before them.
    let (mut depth, mut inline, mut last) = (0, Vec::<(i32, String)>::new(), ["", ""]);
    while let Some(start) =
        rest.find(|character: char| character.is_alphabetic() || character == '_' || "{}".contains(character))
    {
        rest = &rest[start..];
        if let Some(after) = rest.strip_prefix('{') {
            if last[0] == "mod" {
                inline.push((depth, last[1].to_owned()));
            }
            (depth, rest) = (depth + 1, after);
            continue;
        }
        if let Some(after) = rest.strip_prefix('}') {
            (depth, rest) = (depth - 1, after);
            inline.retain(|(outside, _)| *outside < depth);
            continue;
        }
        let line = code[..code.len() - rest.len()].matches('\n').count() + 1;
        let is_visibility = code[..code.len() - rest.len()].trim_end().ends_with("(in");
        let (path, after) = rest.split_at(path_length(rest));
        rest = after;
        last = [last[1], path];
        let from = found.len();
        // Not the `use<>` of a type.
        if path == "use" && rest.starts_with(char::is_whitespace) {
            let (tree, after) = rest.split_once(';').unwrap_or((rest, ""));
            expand("", tree, line, &mut found);
            rest = after;
        } else if path.contains("::") && !is_visibility {
            found.push((line, path.split("::").map(String::from).collect()));
        }
        for (_, path) in &mut found[from..] {
            for _ in &inline {
                // What is above a module within the file is the file.
                if path.first().is_some_and(|first| first == "super") {
                    path[0] = "self".into();
                }
            }
        }
    }
    found
}

/// How much of the text is one path.
fn path_length(text: &str) -> usize {
    let is_word = |character: char| character.is_alphanumeric() || character == '_';
    let mut length = 0;
    loop {
        length += text[length..].find(|character| !is_word(character)).unwrap_or(text.len() - length);
        match text[length..].strip_prefix("::") {
            Some(next) if next.starts_with(is_word) => length += 2,
            _ => return length,
        }
    }
}

/// The paths of a `use`, braces resolved.
fn expand(before: &str, tree: &str, line: usize, found: &mut Vec<(usize, Vec<String>)>) {
    let tree = tree.trim();
    let Some((prefix, group)) = tree.split_once('{') else {
        let name = tree.split(" as ").next().unwrap_or_default();
        let path = format!("{before}{name}");
        found.push((line, path.split("::").map(|part| part.trim().to_owned()).collect()));
        return;
    };
    let group = group.trim_end().strip_suffix('}').expect("braces that close");
    let (before, mut depth, mut start) = (format!("{before}{prefix}"), 0, 0);
    for (at, character) in group.char_indices().chain([(group.len(), ',')]) {
        depth += i32::from(character == '{') - i32::from(character == '}');
        if character == ',' && depth == 0 {
            if !group[start..at].trim().is_empty() {
                expand(&before, &group[start..at], line, found);
            }
            start = at + 1;
        }
    }
}

/// The module that a path in `module` leads to, if it is another one of the crate.
fn resolve<'m>(modules: &'m BTreeMap<Module, PathBuf>, module: &Module, path: &[String]) -> Option<&'m Module> {
    let mut target: Module;
    let mut rest = path;
    match path.first()?.as_str() {
        "crate" => (target, rest) = (Vec::new(), &rest[1..]),
        "self" | "super" => {
            target = module.clone();
            while let [first, more @ ..] = rest
                && (first == "super" || first == "self")
            {
                if first == "super" {
                    target.pop()?;
                }
                rest = more;
            }
        }
        first => {
            // A child, or something of another crate.
            target = module.clone();
            target.push(first.to_owned());
            if !modules.contains_key(&target) {
                return None;
            }
            target.pop();
        }
    }
    for part in rest {
        target.push(part.clone());
        if !modules.contains_key(&target) {
            target.pop();
            break;
        }
    }
    let (found, _) = modules.get_key_value(&target)?;
    // What the root of the crate has are the names that users see; those lead on from there.
    (found != module && !found.is_empty()).then_some(found)
}

/// The imports that are part of a circle: those whose target leads back.
fn circle(edges: &BTreeMap<&Module, BTreeMap<&Module, String>>) -> Vec<String> {
    let leads_to = |from: &Module, to: &Module| {
        let (mut seen, mut next) = (BTreeSet::new(), vec![from]);
        while let Some(module) = next.pop() {
            if module == to {
                return true;
            }
            if seen.insert(module) {
                next.extend(edges.get(module).into_iter().flat_map(BTreeMap::keys));
            }
        }
        false
    };
    let imports =
        edges.iter().flat_map(|(module, targets)| targets.iter().map(move |(target, place)| (module, target, place)));
    let back = imports.filter(|(module, target, _)| leads_to(target, module));
    back.map(|(_, _, place)| format!("{place} is part of a circle")).collect()
}
