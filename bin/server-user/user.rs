//! Adding and removing somebody.

use std::path::{self, Path};

use ima_message::Address;
use ima_program::escape;

use crate::failure::Failure;
use crate::register::Register;
use crate::{mailbox, table};

/// Makes the mailbox where it is missing, then the entry. It says what comes
/// next.
///
/// # Errors
/// Where somebody has this address, or a fault.
pub(crate) fn add(
    register: &Register,
    address: &Address,
    mailbox: &Path,
    senders: &[Address],
) -> Result<String, Failure> {
    if let Some(entry) = register.find(address) {
        return Err(Failure::Exists {
            address: address.clone(),
            place: entry.place(),
        });
    }
    let unfit = || Failure::UnfitPath {
        path: mailbox.to_owned(),
    };
    let absolute = path::absolute(mailbox).map_err(|_| unfit())?;
    let text = absolute
        .to_str()
        .filter(|text| !text.contains(escape::is_hidden))
        .ok_or_else(unfit)?;
    let is_made = mailbox::make(&absolute)?;
    let file = register.insert(address, table::new(text, senders))?;
    let user = address.canonical();
    let made = match (is_made, rustix::process::geteuid().is_root()) {
        (false, _) => format!("Their mailbox, {text}, was there already.\n"),
        (true, false) => format!("Their mailbox is {text}.\n"),
        (true, true) => format!(
            "Their mailbox is {text}. It belongs to root: where the servers run as another\nuser, give it to that one with chown -R.\n"
        ),
    };
    Ok(format!(
        "{user} is a user now, in {}.\n{made}\
         They cannot log in yet: set a password with `server-user password {user}`, or make a\n\
         certificate with `server-user certificate {user} --make DIR`. For mail to arrive, put\n\
         into [routes] of server-handle-incoming-mail.toml:\n\n    \
         \"{user}\" = {{ inbox = {} }}\n",
        file.display(),
        toml_edit::Value::from(format!("{text}/inbox"))
    ))
}

/// Takes the entry away, and nothing else.
///
/// # Errors
/// Where nobody has this address, or a fault.
pub(crate) fn remove(register: &Register, address: &Address) -> Result<String, Failure> {
    let entry = register.entry(address)?;
    register.remove(entry)?;
    Ok(format!(
        "{} can log in no more; who is logged in stays so until the connection ends.\n\
         The mailbox {} is kept, and mail for it still arrives as long as a route leads there.\n",
        address.canonical(),
        entry.user.mailbox().display()
    ))
}
