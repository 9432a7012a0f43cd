//! What is done with a plan: kubectl and dry-run deployers.
