//! [`Machines`]: network namespaces that act as machines, and a network between them that a test can cut.
//!
//! The namespaces cannot be reached from outside. One has the broker, and a cable to each of the others. A cut takes
//! down the broker's end of a cable: the machine at the other end still sends, and receives nothing.

use std::ffi::OsStr;
use std::process::{Command, Stdio};
use std::sync::{Mutex, Once};

use super::unique;

/// The address of the broker. The other machines have the addresses that follow.
const BROKER: &str = "10.77.0.1";

/// The namespaces that exist.
static RUNNING: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Deletes the namespaces of tests that hang, which do not drop theirs.
pub(super) fn end_all() {
    std::mem::take(&mut *RUNNING.lock().unwrap()).iter().for_each(|namespace| end(namespace));
}

fn end(namespace: &str) {
    let _ = ip(&format!("netns del {namespace}"));
}

/// Runs `ip`. Returns its error message if it fails.
fn ip(arguments: &str) -> Result<(), String> {
    run("ip", arguments)
}

fn run(program: &str, arguments: &str) -> Result<(), String> {
    let output = Command::new(program).args(arguments.split(' ')).stdin(Stdio::null()).output();
    let output = output.map_err(|error| format!("the program {program} is missing: {error}"))?;
    let said = || String::from_utf8_lossy(&output.stderr).trim().replace('\n', " ");
    if output.status.success() { Ok(()) } else { Err(format!("`{program} {arguments}` fails: {}", said())) }
}

/// Dropping it deletes the namespaces. Programs that run in them are not ended.
pub(crate) struct Machines {
    /// The first has the broker.
    namespaces: Vec<String>,
}

impl Machines {
    /// Makes a machine for the broker, and `count` others. If the kernel supports it, packets between them are delayed,
    /// and some are lost.
    ///
    /// # Errors
    ///
    /// A sentence that says what is missing.
    pub(crate) fn start(count: usize) -> Result<Self, String> {
        let mut machines = Self { namespaces: Vec::new() };
        for number in 0..=count {
            let namespace = unique("cf-test");
            ip(&format!("netns add {namespace}"))?;
            RUNNING.lock().unwrap().push(namespace.clone());
            machines.namespaces.push(namespace);
            machines.configure(number)?;
        }
        Ok(machines)
    }

    fn configure(&self, number: usize) -> Result<(), String> {
        let (broker, own) = (&self.namespaces[0], &self.namespaces[number]);
        ip(&format!("-n {own} link set lo up"))?;
        if number == 0 {
            return ip(&format!("-n {own} addr add {BROKER}/32 dev lo"));
        }
        ip(&format!("link add cable{number} netns {broker} type veth peer name cable netns {own}"))?;
        ip(&format!("-n {own} addr add {}/32 dev cable", address(number)))?;
        ip(&format!("-n {own} link set cable up"))?;
        self.mend(number)?;
        ip(&format!("-n {own} route add {BROKER} dev cable"))?;
        let netem = format!("netns exec {own} tc qdisc add dev cable root netem delay 10ms loss 1%");
        if let Err(missing) = ip(&netem) {
            static SAID: Once = Once::new();
            SAID.call_once(|| eprintln!("the network between the machines has no delay and no loss: {missing}"));
        }
        Ok(())
    }

    /// Returns the address of the broker.
    pub(crate) fn broker(&self) -> &str {
        BROKER
    }

    /// Returns a command that runs a program on a machine. The machine of the broker has the number 0.
    pub(crate) fn command(&self, number: usize, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.namespaces[number]]).arg(program);
        command
    }

    /// Cuts a machine off.
    pub(crate) fn cut(&self, number: usize) {
        ip(&format!("-n {} link set cable{number} down", self.namespaces[0])).expect("a cable");
    }

    /// Connects a machine again.
    pub(crate) fn mend(&self, number: usize) -> Result<(), String> {
        let broker = &self.namespaces[0];
        ip(&format!("-n {broker} link set cable{number} up"))?;
        // Routes are lost with a cable.
        ip(&format!("-n {broker} route replace {} dev cable{number}", address(number)))
    }
}

fn address(number: usize) -> String {
    format!("10.77.0.{}", number + 1)
}

impl Drop for Machines {
    fn drop(&mut self) {
        self.namespaces.iter().for_each(|namespace| end(namespace));
        RUNNING.lock().unwrap().retain(|namespace| !self.namespaces.contains(namespace));
    }
}
