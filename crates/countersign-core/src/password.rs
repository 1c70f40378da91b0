//! Passwords (written next).
