//! Every store keeps the promises of `hookwright::store`.

mod memory {
    use std::sync::Arc;

    use async_trait::async_trait;
    use hookwright::store::Store;
    use hookwright::store::memory::MemoryStore;
    use hookwright_tests::conformance::Subject;

    struct Memory(Arc<dyn Store>);

    #[async_trait]
    impl Subject for Memory {
        async fn create() -> Self {
            Self(Arc::new(MemoryStore::new()))
        }

        fn store(&self) -> &Arc<dyn Store> {
            &self.0
        }
    }

    hookwright_tests::exercise!(Memory);
}

mod redb {
    use std::sync::Arc;

    use async_trait::async_trait;
    use hookwright::store::Store;
    use hookwright::store::redb::{Options, RedbStore};
    use hookwright_tests::conformance::{Lasting, Subject};
    use tempfile::TempDir;

    struct Redb {
        store: Arc<dyn Store>,
        folder: TempDir,
    }

    impl Redb {
        fn open(folder: TempDir) -> Self {
            let store = RedbStore::open(&folder.path().join("store.redb"), Options::default()).unwrap();
            Self { store: Arc::new(store), folder }
        }
    }

    #[async_trait]
    impl Subject for Redb {
        async fn create() -> Self {
            Self::open(tempfile::tempdir().unwrap())
        }

        fn store(&self) -> &Arc<dyn Store> {
            &self.store
        }
    }

    #[async_trait]
    impl Lasting for Redb {
        async fn reopen(self) -> Self {
            drop(self.store);
            Self::open(self.folder)
        }
    }

    hookwright_tests::exercise!(Redb, lasting);
}
