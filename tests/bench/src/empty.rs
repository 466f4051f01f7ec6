//! The program that does nothing, which the others are held against.

fn main() {}
