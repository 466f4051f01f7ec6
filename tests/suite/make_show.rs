//! make-ima-message, show-ima-message and make-ima-key, from outside.

mod bench;
mod changing;
mod documents;
mod extracting;
mod keys;
mod large;
mod making;
mod printing;
mod refusing;
mod showing;
mod verifying;
