//! What became of the downloads, while they go on and at the end.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use concurrent_futures::{Error, Future, Outcome};
use indicatif::{ProgressBar, ProgressStyle};

use crate::country::Country;
use crate::download::Status;
use crate::{screen, store};

/// Tells the user how the downloads go, and counts them.
#[derive(Debug)]
pub(crate) struct Report {
    started: Instant,
    total: usize,
    dest: PathBuf,
    verbose: bool,
    /// Shown on a terminal only.
    bar: ProgressBar,
    saved: Vec<Country>,
    not_found: Vec<Country>,
    failed: Vec<Country>,
    /// Is there an unfinished line of codes on the screen?
    mid_line: bool,
}

impl Report {
    pub(crate) fn new(total: usize, dest: PathBuf, verbose: bool) -> Self {
        Self {
            started: Instant::now(),
            total,
            dest,
            verbose,
            bar: ProgressBar::hidden(),
            saved: Vec::new(),
            not_found: Vec::new(),
            failed: Vec::new(),
            mid_line: false,
        }
    }

    /// Adds a progress bar.
    pub(crate) fn with_bar(mut self) -> Self {
        let style =
            ProgressStyle::with_template("{bar:40} {pos}/{len} {elapsed}").expect("the template is well-formed");
        self.bar = ProgressBar::new(self.total as u64).with_style(style);
        self.bar.tick();
        self
    }

    /// A download has been handed to the executor.
    pub(crate) fn scheduled(&self, country: Country, future: &Future<Status>) {
        self.line(format_args!("Scheduled for {country}: {future}"));
    }

    /// A future is done: shows it with what it came to.
    pub(crate) fn completed(&mut self, country: Country, future: Future<Status>) {
        let text = future.to_string();
        let outcome = future.result();
        match &outcome {
            Ok(Status::Saved { .. }) => self.line(format_args!("{text} result: \"{country}\"")),
            Ok(Status::NotFound) => self.line(format_args!("{text} result: \"{country}\" not found")),
            Err(_) => self.line(text),
        }
        self.count(country, outcome);
        self.bar.inc(1);
    }

    /// An outcome has arrived in its turn: shows the code.
    pub(crate) fn arrived(&mut self, country: Country, outcome: Outcome<Status>) {
        if !self.verbose
            && let Ok(Status::Saved { .. }) = outcome
        {
            let space = if self.mid_line { " " } else { "" };
            screen::print(format_args!("{space}{country}"));
            self.mid_line = true;
        }
        self.count(country, outcome);
    }

    fn count(&mut self, country: Country, outcome: Outcome<Status>) {
        match outcome {
            Ok(Status::Saved { bytes }) => {
                self.saved.push(country);
                if self.verbose {
                    let path = store::path(&self.dest, country);
                    self.line(format_args!("{country}: {bytes} bytes saved as {}", path.display()));
                }
            }
            Ok(Status::NotFound) => {
                self.not_found.push(country);
                if self.verbose {
                    self.line(format_args!("{country}: the server has no such flag"));
                }
            }
            Err(error) => {
                self.failed.push(country);
                self.complain(country, &error);
            }
        }
    }

    fn complain(&mut self, country: Country, error: &Error) {
        self.end_line();
        self.bar.suspend(|| screen::complain(format_args!("{country}: {error}")));
    }

    /// Prints a line, above the bar if there is one.
    pub(crate) fn line(&self, line: impl std::fmt::Display) {
        self.bar.suspend(|| screen::print(format_args!("{line}\n")));
    }

    fn end_line(&mut self) {
        if std::mem::take(&mut self.mid_line) {
            screen::print("\n");
        }
    }

    /// Everything is done: sums up. The status is that of the program.
    pub(crate) fn summarise(&mut self) -> ExitCode {
        let elapsed = self.started.elapsed();
        self.end_line();
        self.bar.finish_and_clear();
        self.line(format_args!("{} downloaded in {}", flags(self.saved.len()), seconds(elapsed)));
        if self.saved.len() < self.total || self.verbose {
            self.line(format_args!("  saved      {:4}  in {}", self.saved.len(), self.dest.display()));
            self.row("not found", &self.not_found);
            self.row("errors", &self.failed);
        }
        if self.failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }

    fn row(&self, label: &str, countries: &[Country]) {
        if !countries.is_empty() {
            self.line(format_args!("  {label:9}  {:4}  {}", countries.len(), some(countries)));
        }
    }

    /// The user has had enough: says what there is. `saved` is what is on the disk, shown already or not.
    pub(crate) fn stopped(&mut self, saved: &[Country], cancelled: usize) {
        let elapsed = self.started.elapsed();
        self.end_line();
        self.bar.finish_and_clear();
        self.line(format_args!(
            "Stopped after {}: {} of {} saved in {}",
            seconds(elapsed),
            saved.len(),
            flags(self.total),
            self.dest.display()
        ));
        self.row("saved", saved);
        self.row("not found", &self.not_found);
        self.row("errors", &self.failed);
        let failed = self.failed.iter().filter(|country| !saved.contains(country)).count();
        let not_done = self.total - saved.len() - self.not_found.len() - failed;
        if not_done > 0 {
            let begun = if cancelled > 0 { format!("  {cancelled} of them had not begun") } else { String::new() };
            self.line(format_args!("  not done   {not_done:4}{begun}"));
        }
    }
}

fn flags(number: usize) -> String {
    if number == 1 { "1 flag".into() } else { format!("{number} flags") }
}

fn seconds(elapsed: Duration) -> String {
    format!("{:.2}s", elapsed.as_secs_f64())
}

/// The first few, and how many more there are.
fn some(countries: &[Country]) -> String {
    const FEW: usize = 20;
    let named: Vec<String> = countries.iter().take(FEW).map(Country::to_string).collect();
    match countries.len().checked_sub(FEW) {
        None | Some(0) => named.join(" "),
        Some(more) => format!("{} and {more} more", named.join(" ")),
    }
}
