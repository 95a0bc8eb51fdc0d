//! [`Broker`]: a private RabbitMQ node on 127.0.0.1.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;

use super::{Machines, file, folder, script, script_by, unique};

/// The folders of the nodes that run.
static RUNNING: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// Ends the nodes of tests that hang, which do not drop theirs.
pub(super) fn end_all() {
    let running = std::mem::take(&mut *RUNNING.lock().unwrap());
    running.iter().for_each(|folder| end(folder));
}

fn end(folder: &Path) {
    // The node is killed, because its data is deleted, too.
    let _ = script(&file("examples/broker.sh"), &["kill".as_ref(), folder.as_os_str()], &[]);
    let _ = std::fs::remove_dir_all(folder);
}

/// A node whose files are in `target`. Dropping it ends the node.
pub(crate) struct Broker {
    folder: PathBuf,
    pub(crate) url: String,
}

impl Broker {
    /// Starts a node.
    ///
    /// # Errors
    ///
    /// A sentence that says what is missing.
    pub(crate) fn start(name: &str) -> Result<Self, String> {
        Self::start_with(name, "")
    }

    /// Starts a node with arguments for it.
    pub(crate) fn start_with(name: &str, arguments: &str) -> Result<Self, String> {
        let folder = folder(&format!("{name}-{}", std::process::id()));
        let arguments = [("BROKER_ARGUMENTS", arguments)];
        let url = script(&file("examples/broker.sh"), &["start".as_ref(), folder.as_os_str()], &arguments)?;
        RUNNING.lock().unwrap().push(folder.clone());
        Ok(Self { folder, url })
    }

    /// Starts a node whose settings the caller has put into `rabbitmq.conf` in a folder.
    pub(crate) fn start_in(folder: PathBuf) -> Result<Self, String> {
        let url = script(&file("examples/broker.sh"), &["start".as_ref(), folder.as_os_str()], &[])?;
        RUNNING.lock().unwrap().push(folder.clone());
        Ok(Self { folder, url })
    }

    /// Starts a node on the first machine.
    pub(crate) fn start_on(machines: &Machines, name: &str) -> Result<Self, String> {
        let folder = folder(&unique(name));
        let settings = "loopback_users.guest = false\n";
        std::fs::write(folder.join("rabbitmq.conf"), settings).expect("a file");
        let arguments = ["start".as_ref(), folder.as_os_str()];
        let environment = [("BROKER_ADDRESS", machines.broker())];
        let url = script_by(machines.command(0, "bash"), &file("examples/broker.sh"), &arguments, &environment)?;
        RUNNING.lock().unwrap().push(folder.clone());
        Ok(Self { folder, url })
    }

    /// Stops the node in order, and keeps its data.
    pub(crate) fn stop(&self) {
        self.say("stop").expect("the node can be stopped");
    }

    /// Starts it again, on the same port and with its data.
    pub(crate) fn start_again(&self) {
        assert_eq!(self.say("start").as_ref(), Ok(&self.url));
    }

    /// Has the broker's own tool do something.
    pub(crate) fn control(&self, arguments: &[&str]) {
        let ports = std::fs::read_to_string(self.folder.join("ports")).expect("ports");
        let names = ports.split_whitespace().last().expect("three ports");
        let mut command = Command::new("/usr/lib/rabbitmq/bin/rabbitmqctl");
        command.args(arguments).env("HOME", self.folder.join("home")).env("RABBITMQ_NODENAME", "cf@localhost");
        command.env("ERL_EPMD_ADDRESS", "127.0.0.1").env("ERL_EPMD_PORT", names).stdin(Stdio::null());
        let output = command.output().expect("rabbitmqctl");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    fn say(&self, verb: &str) -> Result<String, String> {
        script(&file("examples/broker.sh"), &[verb.as_ref(), self.folder.as_os_str()], &[])
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        end(&self.folder);
        RUNNING.lock().unwrap().retain(|folder| *folder != self.folder);
    }
}
