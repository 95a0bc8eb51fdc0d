//~ `Flag` cannot be carried to another process
//~ derive serde's `Serialize` and `Deserialize` for it
//~ `Country` cannot be carried to another process
use concurrent_futures::task;

struct Flag(u8);

struct Country(u8);

#[task]
fn country_of(flag: Flag) -> u8 {
    flag.0
}

#[task]
fn country(n: u8) -> Country {
    Country(n)
}

fn main() {
    let _ = (country_of(Flag(1)), country(1).0);
}
