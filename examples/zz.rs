use concurrent_futures::*;
use std::time::{Duration, Instant};
fn sum_to(n: u64) -> u64 { (1..=n).sum() }
fn id(n: u64) -> u64 { n }
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let t = Instant::now();
    let p = ProcessPoolExecutor::new(2);
    println!("{}", p.submit(sum_to, 10_000).result()?);
    println!("first {:?}", t.elapsed());
    for round in 0..3 {
    let t = Instant::now();
    for i in 0..20000u64 { assert_eq!(p.submit(id, i).result()?, i); }
    println!("round trip {:?}", t.elapsed() / 20000);
    let t = Instant::now();
    let f: Vec<_> = (0..100_000u64).map(|i| p.submit(id, i)).collect();
    println!("  submitted {:?}", t.elapsed() / 100_000);
    for (i, f) in f.into_iter().enumerate() { assert_eq!(f.result()?, i as u64); }
    println!("flood {:?}", t.elapsed() / 100_000);
    let t = Instant::now();
    let c = p.with(TaskOptions::new().chunk_size(1000));
    let n: u64 = c.map(id, 0..1_000_000u64).map(|r| r.unwrap()).sum();
    println!("map {:?} {n} {round}", t.elapsed() / 1_000_000);
    }
    let e = p.submit(|_: ()| std::process::abort(), ()).result().map(|()| ()).unwrap_err();
    println!("{e}");
    let e = p.submit(|_: ()| panic!("oh"), ()).result().map(|()| ()).unwrap_err();
    println!("{e}");
    let e = p.try_submit(|s: String| s.parse::<u8>(), "x".into()).result().unwrap_err();
    println!("{e} {e:?}");
    let f = p.with(TaskOptions::new().time_limit(Duration::from_millis(50))).submit(|_: ()| std::thread::sleep(Duration::from_secs(9)), ());
    println!("{:?}", f.result());
    println!("{:?}", p.stats());
    drop(p);
    Ok(())
}
