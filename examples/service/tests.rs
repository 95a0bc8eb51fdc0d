//! Real requests, some of which end their workers.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use concurrent_futures::{Backend, ProcessPoolExecutor};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::oneshot::Sender;
use tokio::task::JoinHandle;

use crate::routes;

struct Service {
    runtime: Runtime,
    address: SocketAddr,
    stop: Option<Sender<()>>,
    served: JoinHandle<std::io::Result<()>>,
    pool: Arc<ProcessPoolExecutor>,
}

impl Service {
    fn start(pool: ProcessPoolExecutor) -> Self {
        let pool = Arc::new(pool);
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let served = runtime.spawn(routes::serve(listener, Arc::clone(&pool), async {
            let _ = stopped.await;
        }));
        Self { runtime, address, stop: Some(stop), served, pool }
    }

    /// Returns the status and the body.
    fn get(&self, path: &str) -> (u16, String) {
        get(self.address, path)
    }

    fn end(mut self) {
        drop(self.stop.take());
        self.runtime.block_on(self.served).unwrap().unwrap();
    }
}

fn get(address: SocketAddr, path: &str) -> (u16, String) {
    let agent = ureq::Agent::config_builder().http_status_as_error(false).build().new_agent();
    let mut response = agent.get(format!("http://{address}{path}")).call().unwrap();
    (response.status().as_u16(), response.body_mut().read_to_string().unwrap())
}

#[test]
fn each_request_costs_itself_at_most() {
    let service = Service::start(routes::pool(2).unwrap());
    assert_eq!(service.get("/sum/1000"), (200, "500500".into()));
    assert_eq!(service.get("/sum/many"), (422, "invalid digit found in string".into()));
    let (status, text) = service.get("/crash");
    assert!(status == 500 && text.contains("SIGABRT"), "{status} {text}");
    let (status, text) = service.get("/hog");
    assert!(status == 500 && text.contains("memory"), "{status} {text}");
    let (status, text) = service.get("/spin");
    assert!(status == 504 && text.contains("2s"), "{status} {text}");
    assert_eq!(service.get("/nothing").0, 404);
    assert_eq!(service.get("/sum/1000"), (200, "500500".into()));
    service.end();
}

#[test]
fn a_full_queue_turns_requests_away_and_a_storm_loses_none() {
    let service = Service::start(routes::pool(1).unwrap());
    let address = service.address;
    let paths = ["/sum/10", "/crash", "/spin", "/sum/20"];
    let clients: Vec<_> = (0..40).map(|n| thread::spawn(move || (n % 4, get(address, paths[n % 4])))).collect();
    let mut refused = 0;
    for client in clients {
        let (path, (status, text)) = client.join().unwrap();
        match (path, status) {
            (_, 503) => refused += 1,
            (0, 200) => assert_eq!(text, "55"),
            (1, 500) => assert!(text.contains("SIGABRT"), "{text}"),
            (2, 504) => {}
            (3, 200) => assert_eq!(text, "210"),
            other => panic!("{other:?}: {text}"),
        }
    }
    assert!(refused > 0, "one worker and a queue of two cannot take forty");
    assert_eq!(service.get("/sum/10"), (200, "55".into()));
    service.end();
}

#[test]
fn a_shutdown_answers_the_requests_that_it_has() {
    let service = Service::start(routes::pool(1).unwrap());
    let address = service.address;
    let slow = thread::spawn(move || get(address, "/spin"));
    while service.pool.stats().running == 0 {
        thread::yield_now();
    }
    service.end();
    assert_eq!(slow.join().unwrap().0, 504);
    assert!(std::net::TcpStream::connect_timeout(&address, Duration::from_secs(10)).is_err(), "it does not listen");
}

#[test]
fn a_client_that_gives_up_frees_the_worker() {
    let pool = ProcessPoolExecutor::builder().max_workers(1).max_pending(1).build().unwrap();
    let service = Service::start(pool);
    let hasty = ureq::Agent::config_builder().timeout_global(Some(Duration::from_millis(200))).build().new_agent();
    assert!(hasty.get(format!("http://{}/spin", service.address)).call().is_err());
    // Without a time limit, the task would keep the only worker for ever.
    assert_eq!(service.get("/sum/10"), (200, "55".into()));
    service.end();
}
