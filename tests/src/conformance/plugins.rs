//! Plugin files, and what is told of plugins.

use bytes::Bytes;
use hookwright::store::plugins::{ComponentDigest, PluginRow};
use tokio::task::JoinSet;

use super::Subject;
use super::world::{World, at};

fn row(name: &str, revision: u64) -> PluginRow {
    let document = format!("{name} {revision} \0\u{ff}").into_bytes();
    PluginRow { name: name.to_owned(), revision, document }
}

/// Bytes that no compression makes small, and no part of which is like another.
pub fn file(size: usize, seed: u8) -> Bytes {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64 ^ u64::from(seed);
    let byte = |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    (0..size).map(byte).collect()
}

pub async fn rows_are_kept_as_they_are<S: Subject>() {
    let world = World::<S>::new().await;
    assert_eq!(world.plugin_rows().await.unwrap(), []);
    assert!(world.put_plugin_rows(vec![row("b", 1), row("a", 1)]).await.unwrap());
    assert_eq!(world.plugin_rows().await.unwrap(), [row("a", 1), row("b", 1)], "by name");
    assert!(world.put_plugin_rows(vec![row("b", 2)]).await.unwrap());
    assert_eq!(world.plugin_rows().await.unwrap(), [row("a", 1), row("b", 2)]);
    assert!(world.put_plugin_rows(vec![]).await.unwrap());
}

pub async fn an_outdated_row_writes_nothing<S: Subject>() {
    let world = World::<S>::new().await;
    world.put_plugin_rows(vec![row("a", 1)]).await.unwrap();
    for wrong in [row("a", 1), row("a", 3), row("b", 2), row("b", 0)] {
        assert!(!world.put_plugin_rows(vec![row("c", 1), wrong.clone()]).await.unwrap(), "{wrong:?}");
    }
    assert_eq!(world.plugin_rows().await.unwrap(), [row("a", 1)], "all or none");
}

pub async fn one_of_many_racing_rows_is_written<S: Subject>() {
    let world = World::<S>::new().await;
    let mut racers = JoinSet::new();
    for racer in 0..16_u8 {
        let store = world.shared();
        let row = PluginRow { document: vec![racer], ..row("a", 1) };
        racers.spawn(async move { store.put_plugin_rows(vec![row]).await.unwrap().then_some(racer) });
    }
    let won: Vec<u8> = racers.join_all().await.into_iter().flatten().collect();
    assert_eq!(won.len(), 1, "{won:?}");
    assert_eq!(world.plugin_rows().await.unwrap()[0].document, won);
}

pub async fn a_row_is_deleted_as_it_was_seen<S: Subject>() {
    let world = World::<S>::new().await;
    world.put_plugin_rows(vec![row("a", 1)]).await.unwrap();
    world.put_plugin_rows(vec![row("a", 2)]).await.unwrap();
    assert!(!world.delete_plugin_row("a", 1).await.unwrap());
    assert!(!world.delete_plugin_row("b", 0).await.unwrap());
    assert!(world.delete_plugin_row("a", 2).await.unwrap());
    assert!(!world.delete_plugin_row("a", 2).await.unwrap());
    assert_eq!(world.plugin_rows().await.unwrap(), []);
    assert!(world.put_plugin_rows(vec![row("a", 1)]).await.unwrap(), "it begins anew");
}

pub async fn files_of_any_size_come_back<S: Subject>() {
    let world = World::<S>::new().await;
    const PART: usize = 255 << 10;
    for (seed, size) in [0, 1, PART - 1, PART, PART + 1, 5 << 20].into_iter().enumerate() {
        let bytes = file(size, seed as u8);
        let digest = world.keep_component(bytes.clone(), at(seed as u64)).await.unwrap();
        assert_eq!(digest, ComponentDigest::of(&bytes));
        assert_eq!(world.component(digest).await.unwrap(), Some(bytes), "{size} bytes");
    }
    assert_eq!(world.component(ComponentDigest([7; 32])).await.unwrap(), None);
}

pub async fn a_file_is_kept_once<S: Subject>() {
    let world = World::<S>::new().await;
    let (one, two) = (file(300_000, 1), file(20, 2));
    let first = world.keep_component(one.clone(), at(1)).await.unwrap();
    assert_eq!(world.keep_component(one.clone(), at(9)).await.unwrap(), first);
    let second = world.keep_component(two, at(2)).await.unwrap();
    let mut kept: Vec<_> = world.components().await.unwrap();
    assert!(kept.is_sorted_by_key(|row| row.digest));
    kept.sort_by_key(|row| row.kept_at);
    let shown: Vec<_> = kept.iter().map(|row| (row.digest, row.size, row.kept_at)).collect();
    assert_eq!(shown, [(first, 300_000, at(1)), (second, 20, at(2))]);
}

pub async fn forgotten_files_are_gone<S: Subject>() {
    let world = World::<S>::new().await;
    let mut digests = Vec::new();
    for seed in 0..3 {
        digests.push(world.keep_component(file(600_000, seed), at(1)).await.unwrap());
    }
    let unknown = ComponentDigest([0; 32]);
    world.forget_components(vec![digests[0], unknown, digests[2], digests[0]]).await.unwrap();
    assert_eq!(world.component(digests[0]).await.unwrap(), None);
    assert_eq!(world.component(digests[1]).await.unwrap(), Some(file(600_000, 1)));
    assert_eq!(world.components().await.unwrap().len(), 1);
    world.keep_component(file(600_000, 0), at(2)).await.unwrap();
    assert_eq!(world.component(digests[0]).await.unwrap(), Some(file(600_000, 0)), "kept again");
}
