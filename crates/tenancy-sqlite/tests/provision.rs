//! Making and removing files.

use tenancy_core::{Provisioned, Provisioner};

use crate::util::Root;

#[test]
fn a_file_is_made_once_used_and_removed() {
    let root = Root::new();
    let acme = root.placed("acme");
    assert!(!root.driver.exists(&acme).unwrap());
    assert_eq!(root.driver.provision(&acme).unwrap(), Provisioned::Made);
    assert!(root.driver.exists(&acme).unwrap());
    assert_eq!(
        root.driver.provision(&acme).unwrap(),
        Provisioned::AlreadyThere
    );
    let connection = root.connect(&acme).unwrap();
    connection
        .execute("INSERT INTO notes (text) VALUES ('hello')", [])
        .unwrap();
    drop(connection);
    root.driver.destroy(&acme).unwrap();
    assert!(!root.driver.exists(&acme).unwrap());
    root.driver.destroy(&acme).unwrap();
}
