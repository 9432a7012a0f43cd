//! Where state is kept: SQLite and memory.
