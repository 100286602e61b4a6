//! Tenants, users, credentials, sessions and admission
