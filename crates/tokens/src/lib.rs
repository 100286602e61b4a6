//! OAuth clients, grants, codes, access, ID and refresh tokens, signing keys
