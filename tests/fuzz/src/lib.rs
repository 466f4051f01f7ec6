//! What several fuzz targets share.

mod letter;
mod post;

pub use letter::{Letter, a_letter};
pub use post::{Anybody, Post, Whole};
