//! server-handle-incoming-mail, from outside.

mod check;
mod commands;
mod delivery;
mod documents;
mod routing;
mod site;
