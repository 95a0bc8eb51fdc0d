//! [`Kept`]: the file with the figures that later ones are compared with.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

const HEAD: &str = "\
# What a task or item costs. `benches/counts/run.sh` compares with it, `benches/counts/run.sh --renew` writes it anew.
# The compiler is the one that the instructions were counted with.
";

/// The kept figures, by their names, and the compiler they were measured with.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) compiler: String,
    pub(crate) figures: BTreeMap<String, f64>,
}

fn path() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/kept.txt"))
}

impl Kept {
    /// Reads the file; without one, nothing is kept.
    pub(crate) fn read() -> Self {
        let text = fs::read_to_string(path()).unwrap_or_default();
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let mut figures: BTreeMap<_, _> = lines.filter_map(|line| line.split_once(" = ")).collect();
        let compiler = figures.remove("compiler").unwrap_or_default().to_owned();
        let number = |value: &str| value.parse().unwrap_or_else(|_| panic!("{value:?} in kept.txt is no number"));
        Self { compiler, figures: figures.into_iter().map(|(name, value)| (name.to_owned(), number(value))).collect() }
    }

    pub(crate) fn write(compiler: &str, figures: &[(String, f64)]) {
        let lines = figures.iter().map(|(name, now)| format!("{name} = {now:.2}\n"));
        let text = format!("{HEAD}compiler = {compiler}\n{}", lines.collect::<String>());
        fs::write(path(), text).unwrap_or_else(|error| panic!("{} is not written: {error}", path().display()));
    }
}

/// Returns the version of the compiler.
pub(crate) fn compiler() -> String {
    let output = Command::new("rustc").arg("--version").output().expect("rustc starts");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}
