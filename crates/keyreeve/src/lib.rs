//! The Keyreeve server and command line
