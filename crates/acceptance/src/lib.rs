//! Boots the real server and proves its behaviour over HTTP
