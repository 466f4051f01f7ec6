//! What is written into the table of a user.

use ima_message::Address;
use ima_proto::tls::KeyDigest;
use ima_proto::users::PasswordHash;
use toml_edit::{Array, Item, Table, TableLike, Value};

/// The table of somebody new. Senders are named where there are any.
pub(crate) fn new(mailbox: &str, senders: &[Address]) -> Item {
    let mut table = Table::new();
    table.insert("mailbox", mailbox.into());
    if !senders.is_empty() {
        let senders = senders.iter().map(Address::canonical);
        table.insert("senders", Item::Value(senders.collect::<Array>().into()));
    }
    Item::Table(table)
}

/// Sets the passwords; without any the key goes away.
pub(crate) fn set_passwords(table: &mut dyn TableLike, hashes: &[PasswordHash]) {
    match hashes {
        [one] => set(table, "password", one.to_string().into()),
        many => set_list(table, "password", many.iter().map(ToString::to_string)),
    }
}

/// Sets the certificates; without any the key goes away.
pub(crate) fn set_certificates(table: &mut dyn TableLike, keys: &[KeyDigest]) {
    set_list(table, "certificates", keys.iter().map(ToString::to_string));
}

fn set_list(table: &mut dyn TableLike, key: &str, texts: impl Iterator<Item = String>) {
    let list: Array = texts.collect();
    if list.is_empty() {
        table.remove(key);
    } else {
        set(table, key, list.into());
    }
}

/// In the place of the value there, between the same spaces and comments.
fn set(table: &mut dyn TableLike, key: &str, mut value: Value) {
    match table.get_mut(key).and_then(Item::as_value_mut) {
        Some(old) => {
            *value.decor_mut() = old.decor().clone();
            *old = value;
        }
        None => {
            table.insert(key, Item::Value(value));
        }
    }
}
