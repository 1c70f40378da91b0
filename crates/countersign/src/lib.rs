//! Countersign, the program: configuration, listeners, the data path, the control side and the command line.
//!
//! `startup` builds everything in order; `authenticate` is the pipeline that every request goes through.

// Seams and settings.
pub mod ambient;
pub mod claim_terms;
pub mod config;
pub mod config_check;
pub mod config_error;
pub mod config_file;
pub mod init;
pub mod master_key;

// The data path.
pub mod authenticate;
pub mod body;
pub mod connection;
pub mod control_bridge;
pub mod decision_log;
pub mod edge_proxy;
pub mod explain;
pub mod head_gate;
pub mod listen;
pub mod problem;
pub mod reserved;
pub mod respond;
pub mod self_check;
pub mod signed_body;
pub mod snapshot;
pub mod spool;
pub mod token_memory;
pub mod tunnel;
pub mod upstream;
pub mod use_tally;
pub mod worker;

// The control side.
pub mod admin_api;
pub mod control;
pub mod control_socket;
pub mod hashing;
pub mod passwords;
pub mod publish;
pub mod token_keys;
pub mod tokens_api;
pub(crate) mod wire;

// Starting and stopping.
pub mod data_directory;
pub mod demo;
pub mod dev;
pub mod echo;
pub mod log;
pub(crate) mod shell;
pub mod startup;

// The command line.
pub mod cli;

// What tests share.
#[cfg(test)]
mod control_tests;
#[cfg(test)]
mod faulty_store;
