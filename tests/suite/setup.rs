//! server-setup, from outside: what it writes works, is nobody else's, and never
//! takes the place of anything.

mod certificates;
mod documents;
pub mod place;
mod writing;
