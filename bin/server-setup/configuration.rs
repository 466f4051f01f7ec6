//! The configuration files: the commented examples of etc/, with other values.

use toml_edit::{Array, ArrayOfTables, DocumentMut, Item, RawString, Table, Value};

use crate::failure::Failure;
use crate::plan::{self, Identity, Plan};
use crate::user::User;

const RECEIVE: &str = "server-receive.toml";
const HANDLE: &str = "server-handle-incoming-mail.toml";
const SEND: &str = "server-send-mail.toml";
const POST_OFFICE: &str = "server-post-office.toml";
const FETCH: &str = "fetch-mail.toml";

/// The texts of the files, in the order of [`Configuration::NAMES`].
pub(crate) struct Configuration {
    pub(crate) texts: [String; 5],
}

/// Why an example cannot be filled in.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ExampleError {
    /// It is no TOML.
    #[error(transparent)]
    Toml(#[from] toml_edit::TomlError),
    /// A key is missing, or of another kind.
    #[error("there is no {key} of the kind that is filled in")]
    Missing {
        /// The key.
        key: &'static str,
    },
}

impl Configuration {
    /// The files' names.
    pub(crate) const NAMES: [&'static str; 5] = [RECEIVE, HANDLE, SEND, POST_OFFICE, FETCH];
    /// The one with the routes.
    pub(crate) const ROUTES: &'static str = HANDLE;

    /// Fills in the examples.
    ///
    /// # Errors
    /// [`Failure::Example`], where an example is not as it must be.
    pub(crate) fn new(plan: &Plan) -> Result<Self, Failure> {
        let of = |file| move |source| Failure::Example { file, source };
        Ok(Self {
            texts: [
                receive(plan).map_err(of(RECEIVE))?,
                handle(plan).map_err(of(HANDLE))?,
                send(plan).map_err(of(SEND))?,
                post_office(plan).map_err(of(POST_OFFICE))?,
                fetch(plan).map_err(of(FETCH))?,
            ],
        })
    }
}

fn receive(plan: &Plan) -> Result<String, ExampleError> {
    let mut file: DocumentMut = include_str!("../../etc/server-receive.toml").parse()?;
    set(&mut file, "listen", list(&plan.listen))?;
    set(&mut file, "hosts", hosts(plan))?;
    set(&mut file, "roots", list(plan.roots()))?;
    set(&mut file, "keys", "keys".into())?;
    set(&mut file, "held", "held".into())?;
    set_identities(&mut file, &plan.identities())?;
    Ok(file.to_string())
}

fn handle(plan: &Plan) -> Result<String, ExampleError> {
    let mut file: DocumentMut =
        include_str!("../../etc/server-handle-incoming-mail.toml").parse()?;
    set(&mut file, "hosts", hosts(plan))?;
    let routes = table(&mut file, "routes")?;
    let examples = commented_out(routes);
    routes.clear();
    for user in &plan.users {
        let route = [("inbox", user.inbox())].into_iter().collect();
        routes.insert(&user.address(), Item::Value(Value::InlineTable(route)));
    }
    let end = file.trailing().as_str().unwrap_or_default();
    let end = format!("{examples}{end}");
    file.set_trailing(end);
    Ok(file.to_string())
}

fn send(plan: &Plan) -> Result<String, ExampleError> {
    let mut file: DocumentMut = include_str!("../../etc/server-send-mail.toml").parse()?;
    set(&mut file, "roots", list(plan.roots()))?;
    set(&mut file, "local-hosts", hosts(plan))?;
    let places = table(&mut file, "hosts")?;
    for peer in &plan.peers {
        places.insert(peer.host.ascii(), Item::Value(peer.place.as_str().into()));
    }
    set_identities(&mut file, &plan.identities())?;
    Ok(file.to_string())
}

fn post_office(plan: &Plan) -> Result<String, ExampleError> {
    let mut file: DocumentMut = include_str!("../../etc/server-post-office.toml").parse()?;
    set(&mut file, "listen", list(plan.post_office_listen()))?;
    set(&mut file, "users", plan::USERS.into())?;
    set(&mut file, "roots", list(plan.roots()))?;
    set_identities(&mut file, &plan.identities())?;
    Ok(file.to_string())
}

/// For a user on this machine; the first, where the command does not say who.
fn fetch(plan: &Plan) -> Result<String, ExampleError> {
    let mut file: DocumentMut = include_str!("../../etc/fetch-mail.toml").parse()?;
    match plan.users.first() {
        Some(user) => set(&mut file, "address", user.address().into())?,
        None => drop(file.remove("address")),
    }
    set(&mut file, "roots", list(plan.roots()))?;
    if let Some(place) = plan.post_office_here() {
        let places = table(&mut file, "hosts")?;
        for host in &plan.hosts {
            places.insert(host.ascii(), Item::Value(place.to_string().into()));
        }
    }
    Ok(file.to_string())
}

/// The entry of a user who cannot log in yet.
pub(crate) fn entry(user: &User) -> String {
    let mut table = Table::new();
    // From the folder of users.
    table.insert("mailbox", format!("../{}", user.mailbox()).into());
    let mut file = DocumentMut::new();
    file.insert(&user.address(), Item::Table(table));
    file.to_string()
}

fn hosts(plan: &Plan) -> Value {
    list(plan.hosts.iter().map(|host| host.ascii()))
}

fn list(items: impl IntoIterator<Item = impl ToString>) -> Value {
    let items = items.into_iter().map(|item| item.to_string());
    Value::Array(items.collect::<Array>())
}

/// The entries of a table, each as a comment below the comments before it.
fn commented_out(table: &Table) -> String {
    let mut text = String::new();
    for (key, _) in table {
        let Some((key, value)) = table.get_key_value(key) else {
            continue;
        };
        let before = key.leaf_decor().prefix().and_then(RawString::as_str);
        text.push_str(before.unwrap_or_default());
        let name = key.display_repr();
        text.push_str(&format!("# {name} = {}\n", value.to_string().trim()));
    }
    text
}

/// Puts a value in the place of the one there, between the same spaces and
/// comments.
fn set(table: &mut Table, key: &'static str, value: Value) -> Result<(), ExampleError> {
    let old = table.get_mut(key).and_then(Item::as_value_mut);
    let old = old.ok_or(ExampleError::Missing { key })?;
    let decor = old.decor().clone();
    *old = value;
    *old.decor_mut() = decor;
    Ok(())
}

fn table<'a>(file: &'a mut DocumentMut, key: &'static str) -> Result<&'a mut Table, ExampleError> {
    file.get_mut(key)
        .and_then(Item::as_table_mut)
        .ok_or(ExampleError::Missing { key })
}

/// The example's block, with its comments, for the first; for each other one a
/// block without comments behind it.
fn set_identities(file: &mut DocumentMut, identities: &[Identity<'_>]) -> Result<(), ExampleError> {
    let key = "identity";
    let blocks = file.get_mut(key).and_then(Item::as_array_of_tables_mut);
    let blocks = blocks.ok_or(ExampleError::Missing { key })?;
    let mut example = blocks.get(0).ok_or(ExampleError::Missing { key })?.clone();
    let mut filled = ArrayOfTables::new();
    for identity in identities {
        let mut block = example.clone();
        set(
            &mut block,
            "hosts",
            list(identity.hosts.iter().map(|host| host.ascii())),
        )?;
        set(
            &mut block,
            "certificate",
            identity.certificate.as_str().into(),
        )?;
        set(&mut block, "key", identity.key.as_str().into())?;
        filled.push(block);
        example.decor_mut().set_prefix("\n");
    }
    *blocks = filled;
    Ok(())
}
