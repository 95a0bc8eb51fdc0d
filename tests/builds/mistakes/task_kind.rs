//~ a task cannot be `async`: executors call functions of the type `fn(A) -> R`
//~ a task cannot be `unsafe`: executors call functions of the type `fn(A) -> R`
//~ `#[task]` is for functions
//~ the attribute is `#[task]` or `#[task(name = "..")]`
//~ the name of a task cannot be empty
use concurrent_futures::task;

#[task]
async fn fetch(n: u8) -> u8 {
    n
}

#[task]
unsafe fn read(n: u8) -> u8 {
    n
}

#[task]
struct Flag;

#[task(queue = "gpu")]
fn resize(n: u8) -> u8 {
    n
}

#[task(name = "")]
fn rename(n: u8) -> u8 {
    n
}

fn main() {
    let _ = (fetch(1), unsafe { read(1) }, Flag, resize(1), rename(1));
}
