//! Encrypted connections, and the refusal of brokers that are not trusted.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use concurrent_futures_celery::CeleryExecutor;

use crate::Peers;
use crate::support::{Broker, Scripted, client, folder, same, same_number, unique};

crate::tests! { a_broker_is_trusted_by_its_certificate_only }

/// The environment variables that make a process of the tests a client: the URL and the queue.
const CLIENT: [&str; 2] = ["CF_TEST_TLS_URL", "CF_TEST_TLS_QUEUE"];

/// Runs as a client, if this process was started as one. It fails with a message if it cannot connect.
pub(crate) fn serve() -> Option<ExitCode> {
    let [url, queue] = CLIENT.map(|name| std::env::var(name).ok());
    let cluster = match CeleryExecutor::builder(&url?).queue(&queue?).build() {
        Ok(cluster) => cluster,
        Err(error) => {
            eprintln!("{error}");
            return Some(ExitCode::FAILURE);
        }
    };
    Some(if matches!(same_number(&cluster, 7).result(), Ok(7)) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Makes a certificate for 127.0.0.1, that of the authority that has signed it, and that of another authority.
fn certify(folder: &Path) {
    let commands = "
        openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -days 1 -subj /CN=ca
        openssl req -x509 -newkey rsa:2048 -nodes -keyout other.key -out other.pem -days 1 -subj /CN=other
        openssl req -newkey rsa:2048 -nodes -keyout server.key -out server.csr -subj /CN=localhost
        openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out server.pem -days 1 -extfile names";
    fs::write(folder.join("names"), "subjectAltName=IP:127.0.0.1").unwrap();
    let output = Command::new("bash").args(["-ec", commands]).current_dir(folder).output().expect("bash");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn a_broker_is_trusted_by_its_certificate_only(_: &Peers) {
    let folder = folder(&unique("tls"));
    certify(&folder);
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let file = |name: &str| folder.join(name).display().to_string();
    let settings = format!(
        "listeners.ssl.1 = 127.0.0.1:{port}\nssl_options.cacertfile = {}\nssl_options.certfile = {}\nssl_options.keyfile = {}\n",
        file("ca.pem"),
        file("server.pem"),
        file("server.key")
    );
    fs::write(folder.join("rabbitmq.conf"), settings).unwrap();
    let authorities = [file("ca.pem"), file("other.pem")];
    let broker = Broker::start_in(folder).unwrap();
    let queue = unique("tls");
    let _declared = client(&broker.url, &queue);
    let _worker = Scripted::start(&broker.url, &queue, same);
    let trusting = |authority: &str| {
        let url = format!("amqps://guest:guest@127.0.0.1:{port}");
        let mut client = Command::new(std::env::current_exe().unwrap());
        client.env(CLIENT[0], url).env(CLIENT[1], &queue).env("SSL_CERT_FILE", authority).stdin(Stdio::null());
        client.output().unwrap()
    };
    let trusted = trusting(&authorities[0]);
    assert!(trusted.status.success(), "{}", String::from_utf8_lossy(&trusted.stderr));
    let untrusted = trusting(&authorities[1]);
    let said = String::from_utf8_lossy(&untrusted.stderr);
    assert!(
        !untrusted.status.success() && said.contains("cannot be reached") && !said.contains("guest:guest"),
        "{said}"
    );
}
