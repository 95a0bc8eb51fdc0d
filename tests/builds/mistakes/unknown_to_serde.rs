//~ `Flag` cannot be carried to another process
//~ derive serde's `Serialize` and `Deserialize` for it, or use the methods of `ThreadPoolExecutor` itself, which take any type
use concurrent_futures::{Executor, InlineExecutor};

struct Flag(u8);

fn main() {
    let _ = InlineExecutor.submit(|flag: Flag| flag.0, Flag(1));
}
