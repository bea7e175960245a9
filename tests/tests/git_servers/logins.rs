//! Ways to log in over HTTPS.
