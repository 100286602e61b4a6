//! Browser sessions, through the pages.

use keyreeve_acceptance::{Server, on_a_server};

on_a_server! {
    async fn somebody_signs_in_and_out(server: &Server) {
        let ada = server.user("ada").create().await;
        let browser = server.browser();
        assert!(!browser.is_signed_in().await);
        browser.sign_in("ada").await;
        assert!(browser.is_signed_in().await);
        assert_eq!(ada.sessions().await, 1);
        browser.sign_out().await;
        assert!(!browser.is_signed_in().await);
        assert_eq!(ada.sessions().await, 0);
        assert_eq!(server.audited("session.create").await.len(), 1);
        assert_eq!(server.audited("session.end").await.len(), 1);
    }
}
