//! Test support: honest stand-ins for the world around Sentry, each a real server on 127.0.0.1.

pub mod apiserver;
