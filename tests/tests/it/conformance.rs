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

    /// Keeps so much of its index in memory.
    struct Redb<const YOUNG: u64> {
        store: Arc<dyn Store>,
        folder: TempDir,
    }

    impl<const YOUNG: u64> Redb<YOUNG> {
        fn open(folder: TempDir) -> Self {
            let options = Options { most_young: YOUNG, ..Options::default() };
            let store = RedbStore::open(&folder.path().join("store.redb"), options).unwrap();
            Self { store: Arc::new(store), folder }
        }
    }

    #[async_trait]
    impl<const YOUNG: u64> Subject for Redb<YOUNG> {
        async fn create() -> Self {
            Self::open(tempfile::tempdir().unwrap())
        }

        fn store(&self) -> &Arc<dyn Store> {
            &self.store
        }
    }

    #[async_trait]
    impl<const YOUNG: u64> Lasting for Redb<YOUNG> {
        async fn reopen(self) -> Self {
            drop(self.store);
            Self::open(self.folder)
        }
    }

    mod as_it_is {
        use super::*;

        hookwright_tests::exercise!(Redb<1_024>, lasting);
    }

    /// What a short test does would never be written into the index else.
    mod with_little_memory {
        use super::*;

        hookwright_tests::exercise!(Redb<3>, lasting);
    }
}
