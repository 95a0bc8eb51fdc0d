//! Logs as a web server writes them, of any size: also a function that the executors run.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::net::Ipv4Addr;
use std::path::PathBuf;

use fastrand::Rng;
use flate2::Compression;
use flate2::write::GzEncoder;
use jiff::civil::{DateTime, date};
use jiff::{SignedDuration, ToSpan};
use serde::{Deserialize, Serialize};

const VISITORS: u32 = 5000;
/// Every so many visitors one is a crawler, and asks for /robots.txt every so many times.
const CRAWLERS: u32 = 50;
const ROBOTS: u32 = 8;
/// The end of the day that is in the youngest log.
const LAST_DAY: DateTime = date(2025, 10, 10).at(0, 0, 0, 0);

const PAGES: [&str; 8] = [
    "/",
    "/index.html",
    "/about.html",
    "/news?page=2",
    "/static/site.css",
    "/static/logo.png",
    "/api/items/17",
    "/wp-login.php",
];
const REFERRERS: [&str; 3] = ["-", "https://www.example.com/", "https://search.example/?q=logs"];
const BROWSERS: [&str; 3] = [
    "Mozilla/5.0 (X11; Linux x86_64; rv:143.0) Gecko/20100101 Firefox/143.0",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148",
];
const CRAWLER: &str = "Mozilla/5.0 (compatible; ExampleBot/2.1; +https://bot.example/)";

/// Says which log to write. Goes to the worker, wherever that is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Plan {
    pub(crate) path: PathBuf,
    /// The number in the name: 1 is the youngest log, as logrotate counts. Each is a day.
    pub(crate) number: u32,
    pub(crate) lines: u32,
    /// The same seed is the same text.
    pub(crate) seed: u64,
}

/// Writes a log, line by line; returns the hosts that fetched /robots.txt in it.
pub(crate) fn generate(plan: Plan) -> io::Result<BTreeSet<String>> {
    // The encoder minds small pieces more than the file does.
    let mut file = BufWriter::new(GzEncoder::new(File::create(&plan.path)?, Compression::fast()));
    let mut chance = Rng::with_seed(plan.seed.rotate_left(32) ^ u64::from(plan.number));
    let day = LAST_DAY.saturating_sub(i64::from(plan.number).days());
    let mut hosts = BTreeSet::new();
    for line in 0..plan.lines {
        // Few visitors come often, many seldom.
        let visitor = (chance.f64().powi(2) * f64::from(VISITORS)) as u32;
        let host = address(plan.seed, visitor);
        let crawls = visitor.is_multiple_of(CRAWLERS);
        let path = if crawls && chance.u32(..ROBOTS) == 0 { "/robots.txt" } else { pick(&mut chance, &PAGES) };
        let agent = if crawls { CRAWLER } else { BROWSERS[visitor as usize % BROWSERS.len()] };
        let (status, size) = if path == "/wp-login.php" { (404, 196) } else { (200, chance.u32(68..50_000)) };
        let referrer = pick(&mut chance, &REFERRERS);
        let second = u64::from(line) * 86_400 / u64::from(plan.lines);
        let time = day.saturating_add(SignedDuration::from_secs(second as i64)).strftime("%d/%b/%Y:%H:%M:%S +0000");
        writeln!(file, r#"{host} - - [{time}] "GET {path} HTTP/1.1" {status} {size} "{referrer}" "{agent}""#)?;
        if path == "/robots.txt" {
            hosts.insert(host.to_string());
        }
    }
    file.into_inner()?.finish()?;
    Ok(hosts)
}

/// Where a visitor comes from: the same place in all logs of a seed, in a network that belongs to nobody.
fn address(seed: u64, visitor: u32) -> Ipv4Addr {
    let number = Rng::with_seed(seed ^ u64::from(visitor) << 32).u32(..1 << 17);
    Ipv4Addr::from_bits(Ipv4Addr::new(198, 18, 0, 0).to_bits() + number)
}

fn pick(chance: &mut Rng, texts: &[&'static str]) -> &'static str {
    texts[chance.usize(..texts.len())]
}

#[cfg(test)]
mod tests {
    //! What is generated is what is found, and again.
    use super::{Plan, generate};
    use crate::search::{Log, search};

    #[test]
    fn the_search_finds_what_was_generated() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("access.log.1.gz");
        let plan = Plan { path: path.clone(), number: 1, lines: 5000, seed: 3 };
        let hosts = generate(plan.clone()).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        let found = search(Log { path: path.clone(), skip_bad_lines: false }).unwrap();
        assert_eq!((found.hosts, found.lines), (hosts.clone(), 5000));
        assert!((2..100).contains(&hosts.len()), "{}", hosts.len());

        assert_eq!(generate(plan.clone()).unwrap(), hosts);
        assert_eq!(std::fs::read(&path).unwrap(), bytes);
        generate(Plan { number: 2, ..plan }).unwrap();
        assert_ne!(std::fs::read(&path).unwrap(), bytes);
    }
}
