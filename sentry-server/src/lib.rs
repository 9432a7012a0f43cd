//! What a person or a machine sees over HTTP.
