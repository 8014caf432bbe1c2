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

mod postgres {
    use std::sync::Arc;

    use async_trait::async_trait;
    use hookwright::store::Store;
    use hookwright::store::postgres::{Address, Options, PostgresStore};
    use hookwright_tests::conformance::{Lasting, Subject};

    struct Postgres {
        store: Arc<dyn Store>,
        url: String,
    }

    impl Postgres {
        async fn open(url: String) -> Self {
            let options = Options { connections: 6, ..Options::default() };
            let store = PostgresStore::open(&Address::parse(&url).unwrap(), options).await.unwrap();
            Self { store: Arc::new(store), url }
        }
    }

    #[async_trait]
    impl Subject for Postgres {
        fn is_there() -> bool {
            hookwright_tests::postgres::is_there()
        }

        async fn create() -> Self {
            Self::open(hookwright_tests::postgres::migrated().await).await
        }

        fn store(&self) -> &Arc<dyn Store> {
            &self.store
        }
    }

    #[async_trait]
    impl Lasting for Postgres {
        async fn reopen(self) -> Self {
            drop(self.store);
            Self::open(self.url).await
        }
    }

    hookwright_tests::exercise!(Postgres);

    // A lease stands in its row, and ends by its time only: whoever opens the store is one of several. So what is said of
    // leases that end with the process does not hold here.
    hookwright_tests::promises! { Postgres:
        reopen {
            everything_is_still_there
            the_order_goes_on
            producer_ids_are_remembered
            waiting_deliveries_keep_their_time
            deleted_endpoints_stay_deleted
            counts_outlast_the_store
            a_job_goes_on_after_a_restart
            plugins_outlast_the_store
        }
    }
}
