//! The pure core of an image updater for Argo CD.
#![no_std]
#![deny(missing_docs)]

extern crate alloc;

pub mod app;
pub mod config;
pub mod effect;
pub mod http;
pub mod id;
pub mod image;
pub mod input;
pub mod keyed;
pub mod patch;
pub mod registry;
pub mod schedule;
pub mod secret;
pub mod time;
pub mod update;
