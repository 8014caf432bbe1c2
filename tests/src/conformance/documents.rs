//! Documents, and who was faster.

use hookwright::store::{BookVersion, DocumentKind, DocumentRow};
use tokio::task::JoinSet;

use super::Subject;
use super::world::{World, row};

fn document(kind: DocumentKind, name: &str, revision: u64) -> DocumentRow {
    DocumentRow { kind, name: name.to_owned(), revision, document: name.as_bytes().to_vec() }
}

pub async fn documents_are_kept_in_the_order_of_kinds_and_names<S: Subject>() {
    let world = World::<S>::new().await;
    let names = ["", "a", "a.b", "ä", "b"];
    let mut rows: Vec<DocumentRow> = Vec::new();
    for kind in DocumentKind::ALL {
        rows.extend(names.map(|name| document(kind, name, 1)));
    }
    for row in rows.iter().rev() {
        world.put_document(row.clone()).await.unwrap().expect("a new document is created");
    }
    let (version, stored) = world.documents().await.unwrap();
    assert_eq!(version, BookVersion(rows.len() as u64));
    let mut expected = rows;
    expected.sort_by(|a, b| (a.kind, &a.name).cmp(&(b.kind, &b.name)));
    assert_eq!(stored, expected);
}

pub async fn documents_and_endpoints_share_one_version<S: Subject>() {
    let world = World::<S>::new().await;
    let tenant = |revision| document(DocumentKind::Tenant, "acme", revision);
    assert_eq!(world.put_document(tenant(1)).await.unwrap(), Some(BookVersion(1)));
    assert_eq!(
        world.put_endpoint(row(world.stranger(), 1, false), vec![]).await.unwrap(),
        Some(BookVersion(2))
    );
    assert_eq!(world.put_document(tenant(2)).await.unwrap(), Some(BookVersion(3)));
    assert_eq!(world.delete_document(DocumentKind::Key, "acme").await.unwrap(), None);
    assert_eq!(world.delete_document(DocumentKind::Tenant, "acme").await.unwrap(), Some(BookVersion(4)));
    assert_eq!(world.delete_document(DocumentKind::Tenant, "acme").await.unwrap(), None);
    assert_eq!(world.documents().await.unwrap(), (BookVersion(4), vec![]));
    assert_eq!(world.version().await, BookVersion(4));
}

pub async fn one_of_many_racing_documents_is_written<S: Subject>() {
    let world = World::<S>::new().await;
    let named = |revision| document(DocumentKind::EventType, "a", revision);
    for revision in [0, 2, u64::MAX] {
        assert_eq!(world.put_document(named(revision)).await.unwrap(), None, "{revision} of none");
    }
    let mut changes = JoinSet::new();
    for _ in 0..16 {
        let store = world.shared();
        changes.spawn(async move { store.put_document(named(1)).await.unwrap() });
    }
    let made: Vec<_> = changes.join_all().await.into_iter().flatten().collect();
    assert_eq!(made, [BookVersion(1)]);
}
