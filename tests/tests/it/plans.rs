//! How a database finds the rows of the statements that run most, as long as it knows nothing of its tables: a plan of that
//! time must not read one from end to end once it is large.

use hookwright::store::postgres::PLANNER;
use hookwright_tests::harness::runtime;
use hookwright_tests::postgres;

macro_rules! sql {
    ($name:literal) => {
        include_str!(concat!("../../../host/src/store/postgres/sql/", $name, ".sql"))
    };
}

/// A statement, the types of its values, values of them, and by what it has to find its rows.
type Case = (&'static str, &'static str, &'static str, &'static str);

const CASES: [Case; 20] = [
    (
        sql!("stored_tallies"),
        "smallint[], bytea[], bigint[], smallint",
        "'{}', '{}', '{}', 1",
        "((resolution = asked.resolution) AND (scope = asked.scope) AND (bucket = asked.bucket) AND (shard = $4))",
    ),
    (
        sql!("tallies"),
        "smallint, bytea[], bigint, bigint",
        "0, '{}', 1, 2",
        "((resolution = $1) AND (scope = scope.scope) AND (bucket >= $3) AND (bucket < $4))",
    ),
    (sql!("has_old_tallies"), "smallint, bigint", "0, 1", "((resolution = $1) AND ((bucket + 0) < $2))"),
    (
        sql!("event_rows"),
        "bigint[], bigint, bigint",
        "'{}', 0, 9223372036854775807",
        "((sequence = ANY ($1)) AND (sequence >= $2) AND (sequence <= $3))",
    ),
    (
        sql!("claim"),
        "uuid[], bigint[], bigint, bigint, bigint, bigint[]",
        "'{}', '{}', 1, 1, 1, '{}'",
        "((endpoint = lane.endpoint) AND (due <= $3))",
    ),
    (sql!("tally_changes"), "bigint, bigint", "0, 1", "(id > $1)"),
    (sql!("delete_tally_changes"), "bigint[]", "'{}'", "(id = ANY ($1))"),
    (sql!("lock_queue"), "uuid[]", "'{}'", "(delivery = ANY ($1))"),
    (
        sql!("end_deliveries"),
        "bigint[], uuid[], text[], text[], smallint[], bigint[], bigint[], bytea[], bytea[]",
        "'{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}'",
        "(place = ANY ($1))",
    ),
    (sql!("renew"), "uuid[], bigint[], bigint", "'{}', '{}', 1", "(delivery = lease.delivery)"),
    (
        sql!("volumes"),
        "smallint, bigint, bigint, bytea, bytea, bigint",
        "0, 1, 2, '', '', 1",
        "((resolution = $1) AND ((bucket + 0) >= $2) AND ((bucket + 0) < $3))",
    ),
    (
        sql!("prune_tallies"),
        "smallint, bigint, bigint",
        "0, 1, 2",
        "((resolution = $1) AND ((bucket + 0) < $2))",
    ),
    (sql!("release"), "uuid[], bigint[], bigint", "'{}', '{}', 1", "(delivery = lease.delivery)"),
    (sql!("wait_again"), "bigint[], bigint[], bytea[]", "'{}', '{}', '{}'", "(place = again.place)"),
    (
        sql!("drop_attempts"),
        "bigint[], bigint[]",
        "'{}', '{}'",
        "((place = outdated.place) AND (number <= outdated.number))",
    ),
    (sql!("lock_health"), "uuid[]", "'{}'", "(endpoint = ANY ($1))"),
    (sql!("lock_heads"), "uuid[]", "'{}'", "(endpoint = ANY ($1))"),
    (sql!("write_heads"), "uuid[], bigint[], bigint[]", "'{}', '{}', '{}'", "(endpoint = changed.endpoint)"),
    (sql!("endpoint_states"), "uuid[]", "'{}'", "(id = ANY ($1))"),
    (
        sql!("known_producer_ids"),
        "text[], text[]",
        "'{}', '{}'",
        "((tenant = (asked.tenant)::text) AND (producer_id = (asked.producer_id)::text))",
    ),
];

#[test]
fn rows_are_found_by_their_keys_in_tables_that_nothing_is_known_of() {
    if !postgres::is_there() {
        return;
    }
    runtime().block_on(async {
        let url = postgres::migrated().await;
        let client = postgres::connect(&url).await;
        client.batch_execute(PLANNER).await.expect("it is set");
        // The plan that serves whatever values come.
        client.batch_execute("SET plan_cache_mode = force_generic_plan").await.expect("it is set");
        for (number, (sql, types, values, keys)) in CASES.into_iter().enumerate() {
            let sql = sql.trim_end().trim_end_matches(';');
            client.batch_execute(&format!("PREPARE p{number} ({types}) AS {sql}")).await.expect(sql);
            let explain = format!("EXPLAIN (COSTS OFF) EXECUTE p{number} ({values})");
            let lines = client.simple_query(&explain).await.expect(&explain);
            let plan: Vec<&str> = lines
                .iter()
                .filter_map(|line| match line {
                    tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0),
                    _ => None,
                })
                .collect();
            let plan = plan.join("\n");
            assert!(plan.contains(&format!("Index Cond: {keys}")), "{sql}\n{plan}");
            assert!(!plan.contains("Materialize") && !plan.contains("Seq Scan"), "{sql}\n{plan}");
        }
    });
}
