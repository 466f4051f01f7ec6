//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Load for a server, and what it bore.
#[derive(Parser)]
#[command(name = "load")]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub what: What,
}

/// What to do.
#[derive(Subcommand)]
pub enum What {
    /// Messages by IMDP.
    Imdp(ImdpOptions),
    /// Messages by SMTP with STARTTLS and a client certificate.
    Smtp(SmtpOptions),
    /// TLS handshakes with client certificates, each closed properly at once.
    Handshakes(HandshakeOptions),
    /// Files of 4 KiB, each synced, renamed, and its folder synced.
    Disk(DiskOptions),
}

/// `load imdp`.
#[derive(Args)]
pub struct ImdpOptions {
    #[command(flatten)]
    pub peer: Peer,
    #[command(flatten)]
    pub load: Load,
    /// The HEADERS of the next message go directly behind the data of the last.
    #[arg(long)]
    pub pipelining: bool,
    /// The protocol that is offered.
    #[arg(long, default_value = ima_proto::imdp::ALPN)]
    pub alpn: String,
}

/// `load smtp`.
#[derive(Args)]
pub struct SmtpOptions {
    #[command(flatten)]
    pub peer: Peer,
    #[command(flatten)]
    pub load: Load,
    /// The name that the server's certificate must speak for, in place of HOST.
    #[arg(long)]
    pub server_name: Option<String>,
}

/// `load handshakes`.
#[derive(Args)]
pub struct HandshakeOptions {
    #[command(flatten)]
    pub peer: Peer,
    /// The mail domain that is asked for.
    #[arg(long, default_value = "b.test")]
    pub host: String,
    /// The protocol that is offered.
    #[arg(long, default_value = ima_proto::imdp::ALPN)]
    pub alpn: String,
    /// The key exchange.
    #[arg(long, value_enum, default_value_t = Group::X25519)]
    pub group: Group,
    /// Threads, each of which makes one after the other.
    #[arg(long, default_value_t = 4)]
    pub connections: usize,
    /// How long, in seconds.
    #[arg(long, default_value_t = 3.0)]
    pub seconds: f64,
}

/// `load disk`.
#[derive(Args)]
pub struct DiskOptions {
    /// Threads, each of which makes one after the other.
    #[arg(long, default_value_t = 1)]
    pub threads: usize,
    /// How long, in seconds.
    #[arg(long, default_value_t = 3.0)]
    pub seconds: f64,
    /// The folder, which is made and must not be there.
    pub folder: PathBuf,
}

/// A key exchange of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "lower")]
pub enum Group {
    /// X25519 alone.
    X25519,
    /// The hybrid, with X25519 offered beside it, as the suite does.
    X25519MlKem768,
}

/// Where the server is, and who we are.
#[derive(Args)]
pub struct Peer {
    /// Where the server listens; several share the connections.
    #[arg(long, required = true)]
    pub address: Vec<SocketAddr>,
    /// A PEM file with the roots that are believed.
    #[arg(long)]
    pub roots: PathBuf,
    /// Our certificate, a PEM file.
    #[arg(long)]
    pub certificate: Option<PathBuf>,
    /// Its key.
    #[arg(long)]
    pub key: Option<PathBuf>,
}

/// What is sent.
#[derive(Args)]
pub struct Load {
    /// The author.
    #[arg(long, default_value = "alice@a.test")]
    pub from: String,
    /// The mail domain of the recipients.
    #[arg(long, default_value = "b.test")]
    pub host: String,
    /// What the names of the recipients begin with.
    #[arg(long, default_value = "user")]
    pub prefix: String,
    /// How many recipients there are in all.
    #[arg(long, default_value_t = 20)]
    pub users: usize,
    /// Recipients of each message.
    #[arg(long, default_value_t = 1)]
    pub recipients: usize,
    /// Connections at once.
    #[arg(long, default_value_t = 1)]
    pub connections: usize,
    /// Messages in all.
    #[arg(long, default_value_t = 1000)]
    pub messages: usize,
    /// After so many messages a connection is closed and a new one made.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..))]
    pub per_connection: u64,
    /// Octets of a message, header included. There is some text in any case.
    #[arg(long, default_value_t = 4096)]
    pub size: usize,
    /// Octets of an attachment beside that, or 0. It is made before the clock begins.
    #[arg(long, default_value_t = 0)]
    pub attachment: usize,
}

impl Load {
    /// The recipients of a message, by its number.
    pub fn recipients_of(&self, number: usize) -> impl Iterator<Item = String> {
        let count = self.recipients.min(self.users);
        let first = number * count;
        (first..first + count)
            .map(|at| format!("{}{}@{}", self.prefix, at % self.users.max(1), self.host))
    }
}
