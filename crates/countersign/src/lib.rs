//! Countersign, the program: configuration, listeners, the data path, the control plane and the command line.

pub mod config;
pub mod config_file;
pub mod head_gate;
