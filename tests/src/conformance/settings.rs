//! Small facts by their names.

use tokio::task::JoinSet;

use super::Subject;
use super::world::World;

pub async fn settings_are_kept<S: Subject>() {
    let world = World::<S>::new().await;
    assert_eq!(world.setting("name").await.unwrap(), None);
    for value in [b"\0\xff".to_vec(), vec![], b"last".to_vec()] {
        world.put_setting("name", value.clone()).await.unwrap();
        assert_eq!(world.setting("name").await.unwrap(), Some(value));
    }
    assert_eq!(world.setting("nam").await.unwrap(), None);
    assert_eq!(world.setting("").await.unwrap(), None);
}

pub async fn the_first_default_stands<S: Subject>() {
    let world = World::<S>::new().await;
    assert_eq!(world.setting_or("name", b"first".to_vec()).await.unwrap(), b"first");
    assert_eq!(world.setting_or("name", b"second".to_vec()).await.unwrap(), b"first");
    assert_eq!(world.setting("name").await.unwrap(), Some(b"first".to_vec()));
    world.put_setting("empty", vec![]).await.unwrap();
    assert_eq!(world.setting_or("empty", b"x".to_vec()).await.unwrap(), b"", "an empty value is a value");
}

pub async fn racing_defaults_agree<S: Subject>() {
    let world = World::<S>::new().await;
    let mut racers = JoinSet::new();
    for value in 0..16_u8 {
        let store = world.shared();
        racers.spawn(async move { store.setting_or("name", vec![value]).await.unwrap() });
    }
    let answers = racers.join_all().await;
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    assert_eq!(world.setting("name").await.unwrap().as_ref(), Some(&answers[0]));
}
