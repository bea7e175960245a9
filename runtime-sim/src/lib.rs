//! The deterministic driver: the production core in virtual time, in a fake world, with faults; and
//! [`wire`], which serves the same fake world on real sockets.

pub mod checks;
pub mod cli;
pub mod engine;
pub mod entropy;
pub mod fault;
pub mod fleet;
pub mod git;
pub mod options;
pub mod plan_file;
pub mod registry_scale;
pub mod report;
pub mod run;
pub mod scale;
pub mod script;
pub mod settings;
pub mod trace;
pub mod traffic;
pub mod wire;
pub mod workload;
pub mod world;
