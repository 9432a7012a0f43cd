//! The file format sentry.yaml, usable without the command line.
