//! The official verifiers accept real deliveries.
