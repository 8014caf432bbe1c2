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
