//! Pages for people: sign-in, consent, sign-out, password change
