//! Where heads and trees come from: GitHub, GitLab and any git server.
