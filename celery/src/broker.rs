//! [`Broker`]: the address of RabbitMQ, from which connections are made.
//!
//! The password is only in the URL, which is never shown: errors, logs and `Debug` have [`Broker::address`].
#![forbid(unsafe_code)]

use std::fmt;
use std::time::Duration;

use async_io::Timer;
use concurrent_futures::named::Clash;
use concurrent_futures::{Broken, BuildError, Error};
use futures_lite::FutureExt as _;
use futures_lite::future::block_on;
use lapin::uri::{AMQPScheme, AMQPUri};
use lapin::{Connection, ConnectionProperties, ErrorKind};

/// The environment variable that has the URL of the broker. Celery's programs read the same one.
pub(crate) const VARIABLE: &str = "CELERY_BROKER_URL";

/// How many seconds there are between heartbeats, unless the URL says otherwise. After twice as long without one, the
/// connection counts as lost.
const HEARTBEAT: u16 = 30;

/// How long one attempt to connect may take.
const ATTEMPT: Duration = Duration::from_secs(10);

/// How long the end of a connection may take.
const ENDING: Duration = Duration::from_secs(5);

/// Says why there is no connection to a broker.
///
/// The text never has the password of the URL.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The URL is not one of RabbitMQ.
    #[error("the URL of the broker {0}")]
    Url(String),
    /// The environment variable `CELERY_BROKER_URL` is not set.
    #[error("the variable {VARIABLE} is not set: it must have the URL of the broker, such as amqp://127.0.0.1")]
    NoUrl,
    /// The broker does not answer, or refuses the connection.
    #[error("the broker at {address} cannot be reached: {cause}")]
    Broker {
        /// The URL without the password.
        address: String,
        /// What went wrong.
        cause: String,
    },
    /// The broker does not let the program use what it needs, such as a queue that another program owns.
    #[error("the broker at {address} refuses {what}: {cause}")]
    Refused {
        /// The URL without the password.
        address: String,
        /// What the program asked for.
        what: String,
        /// What the broker says.
        cause: String,
    },
    /// A setting of the builder is not valid.
    #[error("{0}")]
    Setting(BuildError),
    /// Two functions of the program cannot be told apart by their names or addresses.
    #[error("{0}")]
    Clash(Clash),
    /// The system lets the program start no more threads.
    #[error("no thread can be started: {0}")]
    Thread(String),
}

/// Lets `?` convert the error in a function that returns the error of a task.
impl From<ConnectError> for Error {
    fn from(error: ConnectError) -> Self {
        match error {
            ConnectError::Setting(error) => Error::Build(error),
            other => Error::Broken(Broken::new(other)),
        }
    }
}

/// The address of a broker, and the login.
#[derive(Clone)]
pub(crate) struct Broker {
    uri: AMQPUri,
    address: String,
}

impl fmt::Debug for Broker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Broker").field(&self.address).finish()
    }
}

/// Returns `true` if the broker has refused a message because it is too large, which it does however often it is sent.
///
/// AMQP has one reply code for that and for others, such as an acknowledgement that comes too late, so the text decides.
pub(crate) fn is_too_large(error: &lapin::Error) -> bool {
    const PRECONDITION_FAILED: u16 = 406;
    has_code(error, PRECONDITION_FAILED) && error.to_string().contains("message size")
}

/// Returns `true` if the broker has answered with this reply code of AMQP.
pub(crate) fn has_code(error: &lapin::Error, code: u16) -> bool {
    matches!(error.kind(), ErrorKind::ProtocolError(error) if error.get_id() == code)
}

/// Blocks until a future of lapin is done. lapin has threads of its own, which drive the connection meanwhile.
pub(crate) fn wait<T>(future: impl Future<Output = T>) -> T {
    block_on(future)
}

/// Ends a connection in order, if the broker answers soon. One that has blocked the connection, because it is short of memory,
/// answers nothing until it has some: then the connection is just dropped.
pub(crate) async fn in_time(ends: impl Future<Output = lapin::Result<()>>) -> Result<(), String> {
    within(ENDING, ends).await
}

/// Waits for an answer of the broker, but no longer than `limit`. `Err`: a sentence that says why there is none.
async fn within<T>(limit: Duration, asks: impl Future<Output = lapin::Result<T>>) -> Result<T, String> {
    let answered = async { asks.await.map_err(|error| error.to_string()) };
    let gives_up = async {
        Timer::after(limit).await;
        Err(format!("it does not answer within {limit:?}"))
    };
    answered.or(gives_up).await
}

impl Broker {
    /// Reads a URL as Celery does: `pyamqp` is another name of `amqp`, and the default virtual host is `/`.
    pub(crate) fn parse(url: &str) -> Result<Self, ConnectError> {
        let url = url.strip_prefix("py").filter(|rest| rest.starts_with("amqp")).unwrap_or(url);
        let scheme = url.split_once("://").map(|(scheme, _)| scheme);
        match scheme {
            Some("amqp") => {}
            Some("amqps") if cfg!(feature = "tls") => {}
            Some("amqps") => {
                return Err(ConnectError::Url(
                    "begins with amqps://, which needs the feature `tls` of concurrent-futures-celery".into(),
                ));
            }
            Some(other) if other.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte)) => {
                return Err(ConnectError::Url(format!(
                    "begins with {other}://, and only RabbitMQ's amqp:// and amqps:// are known"
                )));
            }
            // The text is not shown, because it may have a password.
            _ => return Err(ConnectError::Url("must begin with amqp:// or amqps://".into())),
        }
        let rest = url.split_once("://").and_then(|(_, rest)| rest.split_once(['/', '?', '#']));
        if rest.is_some_and(|(_, path)| path.contains('@')) {
            // The password would be taken for the virtual host, and shown.
            return Err(ConnectError::Url(
                "has an @ behind the host: in a password, write %2F for /, %3F for ?, %23 for # and %40 for @".into(),
            ));
        }
        let mut uri: AMQPUri = url.parse().map_err(|cause| ConnectError::Url(format!("cannot be read: {cause}")))?;
        if uri.vhost.is_empty() {
            uri.vhost = "/".into();
        }
        uri.query.heartbeat.get_or_insert(HEARTBEAT);
        let AMQPUri { authority, vhost, .. } = &uri;
        let scheme = if matches!(uri.scheme, AMQPScheme::AMQPS) { "amqps" } else { "amqp" };
        let vhost_shown = if vhost == "/" { String::new() } else { format!("/{vhost}") };
        let address =
            format!("{scheme}://{}@{}:{}{vhost_shown}", authority.userinfo.username, authority.host, authority.port);
        Ok(Self { uri, address })
    }

    /// Reads the URL in `CELERY_BROKER_URL`.
    pub(crate) fn from_env() -> Result<Self, ConnectError> {
        match std::env::var(VARIABLE) {
            Ok(url) if !url.is_empty() => Self::parse(&url),
            _ => Err(ConnectError::NoUrl),
        }
    }

    /// Returns the URL without the password.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Connects. The tools of the broker show `name` for the connection.
    pub(crate) async fn connect(&self, name: &str) -> Result<Connection, ConnectError> {
        let properties = ConnectionProperties::default().with_connection_name(name.into());
        let connected = within(ATTEMPT, Connection::connect_uri(self.uri.clone(), properties)).await;
        connected.map_err(|cause| ConnectError::Broker { address: self.address.clone(), cause })
    }

    /// Returns the error of a request that the broker refuses. `what` is what the program asked for.
    pub(crate) fn refused(&self, what: impl Into<String>, cause: &lapin::Error) -> ConnectError {
        ConnectError::Refused { address: self.address.clone(), what: what.into(), cause: cause.to_string() }
    }
}

#[cfg(test)]
mod tests {
    use super::{Broker, ConnectError, wait};

    fn address(url: &str) -> String {
        Broker::parse(url).unwrap().address
    }

    fn refused(url: &str) -> String {
        Broker::parse(url).unwrap_err().to_string()
    }

    #[test]
    fn urls_are_read_as_celery_reads_them() {
        for url in
            ["amqp://127.0.0.1", "amqp://guest:guest@127.0.0.1:5672//", "pyamqp://127.0.0.1/", "amqp://127.0.0.1/%2f"]
        {
            assert_eq!(address(url), "amqp://guest@127.0.0.1:5672", "{url}");
            assert_eq!(Broker::parse(url).unwrap().uri.vhost, "/", "{url}");
        }
        assert_eq!(address("amqp://me:secret@host:1234/mine"), "amqp://me@host:1234/mine");
    }

    #[test]
    fn what_is_no_url_of_a_broker_is_refused_without_showing_a_password() {
        assert_eq!(
            refused("redis://x:secret@y"),
            "the URL of the broker begins with redis://, and only RabbitMQ's amqp:// and amqps:// are known"
        );
        assert_eq!(refused("me:secret@host"), "the URL of the broker must begin with amqp:// or amqps://");
        assert!(!refused("me:sec://ret@host").contains("sec:"), "what is before :// may be part of a password");
        for url in ["amqp://me:12/secret@host", "amqp://me:12?secret@host", "amqp://me:12#secret@host"] {
            assert!(refused(url).contains("write %2F for /") && !refused(url).contains("secret"), "{url}");
        }
        let port = refused("amqp://me:secret@host:port");
        assert!(port.contains("cannot be read") && !port.contains("secret"), "{port}");
        assert!(!format!("{:?}", Broker::parse("amqp://me:secret@host")).contains("secret"));
    }

    #[cfg(not(feature = "tls"))]
    #[test]
    fn an_encrypted_connection_is_never_made_in_the_clear() {
        assert!(refused("amqps://host").contains("needs the feature `tls`"));
    }

    #[test]
    fn a_broker_that_is_not_there_is_named_without_its_password() {
        // Nobody listens at the port for discarding.
        let broker = Broker::parse("amqp://me:secret@127.0.0.1:9").unwrap();
        let error = wait(broker.connect("test")).err().unwrap();
        assert!(matches!(error, ConnectError::Broker { .. }));
        let text = error.to_string();
        assert!(
            text.starts_with("the broker at amqp://me@127.0.0.1:9 cannot be reached") && !text.contains("secret"),
            "{text}"
        );
    }
}
