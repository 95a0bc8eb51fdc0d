//! How a worker process is started.
#![forbid(unsafe_code)]

use std::collections::VecDeque;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Instant;

use super::state::{MonitorState, Terms};
use super::{HELLO, WorkerMonitor};
use crate::error::Exit;
use crate::process::child::{Child, OomCounter};
use crate::process::connection::Connection;
use crate::process::pool::Pool;
use crate::process::program::entry;
use crate::process::program::image::program;
use crate::process::program::obstacle;
use crate::process::protocol::frame::{self, Kind};
use crate::process::protocol::reader::Reader;
use crate::process::protocol::setup::Setup;
use crate::process::shm::segments::PeerSegments;
use crate::process::worker_id::WorkerId;
#[cfg(feature = "tracing")]
use crate::task::trace::identity;

impl<'a> WorkerMonitor<'a> {
    pub(super) fn spawn(pool: &'a Arc<Pool>, id: WorkerId) -> io::Result<Self> {
        if let Some(cause) = obstacle::for_now() {
            return Err(io::Error::other(cause));
        }
        let settings = &pool.settings;
        let initializer = settings.initializer.as_ref();
        let initializer =
            initializer.map(|encoded| (encoded.call.enter, encoded.call.function, encoded.argument.clone()));
        let setup: Setup = (pool.worker_name(id), settings.max_message_size, settings.memory_limit, initializer);
        let setup = postcard::to_stdvec(&setup).map_err(|_| frame::broken("a setup that cannot be written"))?;
        let mut bytes = Vec::new();
        frame::put(&mut bytes, Kind::Setup, 0, 0, &setup);
        let (connection, theirs) = Connection::new(bytes)?;
        // The setup is sent before the worker exists. Sent after it, the worker would wait for it while this thread still
        // waits for the worker's `exec`.
        let unsent = connection.flush();
        let connection = Arc::new(connection);
        let program = program();
        let mut command = Command::new(&program);
        command.stdin(Stdio::from(theirs)).process_group(0);
        #[cfg(feature = "tracing")]
        command.env(identity::ENVIRONMENT, identity::environment());
        command.envs(settings.environment.iter().map(|(key, value)| (key, value)));
        if let Some(directory) = &settings.current_dir {
            command.current_dir(directory);
        }
        entry::announce(&mut command);
        let oom = OomCounter::read();
        connection.set_child(
            Child::spawn(&mut command).map_err(|error| explain(error, &program, settings.current_dir.as_deref()))?,
        );
        // This closes the pool's copy of the worker's end.
        drop(command);
        pool.decide(|scheduler, _| scheduler.attach(id, Arc::clone(&connection)));
        let known = Arc::<PeerSegments>::default();
        let terms = Terms {
            hello_within: HELLO,
            has_initializer: settings.initializer.is_some(),
            keep_alive: settings.keep_alive,
        };
        Ok(Self {
            pool,
            id,
            connection,
            state: MonitorState::new(id, terms, Instant::now()),
            reader: Reader::new(settings.max_message_size.saturating_add(frame::OVERHEAD).max(1 << 16)),
            unsent,
            hung_up: false,
            is_given_up: false,
            exit: Exit::Unknown,
            oom,
            out_of_band: Arc::clone(&known) as _,
            known,
            collected: 0,
            actions: VecDeque::new(),
            replies: Vec::new(),
            reply_bytes: Vec::new(),
        })
    }
}

/// Adds an explanation to errors that concern the program's file, or the directory that workers start in.
fn explain(error: io::Error, program: &Path, directory: Option<&Path>) -> io::Error {
    if let Some(missing) = directory.filter(|directory| !directory.is_dir()) {
        let text = format!("{error}: {}, the directory that it is to start in", missing.display());
        return io::Error::new(error.kind(), text);
    }
    let text = match error.kind() {
        io::ErrorKind::NotFound if !program.exists() => format!(
            "there is no /proc to find the program by, and nothing at {}, where it was started: mount /proc if this is another root directory, \
             or use `ThreadPoolExecutor`",
            program.display()
        ),
        io::ErrorKind::PermissionDenied => format!(
            "{error}: let this user start the program's file ({}) and enter {}, or use `ThreadPoolExecutor`",
            program.display(),
            directory.map_or("its directory".into(), |directory| directory.to_string_lossy())
        ),
        _ => return error,
    };
    io::Error::new(error.kind(), text)
}
