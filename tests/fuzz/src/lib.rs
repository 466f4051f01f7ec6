//! What several fuzz targets share.

mod letter;
mod office;
mod post;

pub use letter::{Letter, a_letter};
pub use office::OneLetter;
pub use post::{Anybody, Post, Whole};
