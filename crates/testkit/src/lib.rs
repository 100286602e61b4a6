//! Throw-away servers, databases and clocks for tests
