//! What every door shares: route tables, strict parameters, cookies, client addresses, security headers
