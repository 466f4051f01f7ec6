//! The options.

use std::path::PathBuf;

/// Makes a signing key, keeps it in FILE, and prints the line that publishes it.
#[derive(Debug, clap::Parser)]
#[command(
    name = crate::PROGRAM,
    version,
    override_usage = "make-ima-key [--days N] SIGNER FILE\n       make-ima-key --public FILE",
)]
pub(crate) struct Args {
    /// For how many days the key is valid, from now on
    #[arg(
        long,
        value_name = "N",
        default_value_t = 730,
        value_parser = clap::value_parser!(u16).range(1..=36_500),
    )]
    pub(crate) days: u16,

    /// Print the line that publishes the key in FILE, and make none
    #[arg(long, value_name = "FILE", conflicts_with_all = ["days", "signer", "file"])]
    pub(crate) public: Option<PathBuf>,

    /// Whose key it is: an address or a domain name
    #[arg(value_name = "SIGNER", required_unless_present = "public")]
    pub(crate) signer: Option<String>,

    /// Where to keep it: a name that is not taken
    #[arg(value_name = "FILE", required_unless_present = "public")]
    pub(crate) file: Option<PathBuf>,
}
