//! Certificates as the world has them, shown to the programs in both
//! directions; and our own, when they are renewed, refused, or come to an end.

mod authority;
mod cases;
mod forged;
mod matrix;
mod refused;
mod renewal;
mod roots;
