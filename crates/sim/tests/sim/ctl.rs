use std::collections::BTreeMap;

use camino::Utf8Path;
use lifeboat_sim::PhoneSpec;
use lifeboat_sim::ctl::{Action, CtlError, Reply, request};

use crate::host::World;

async fn order(world: &World, line: &str) -> Result<Reply, CtlError> {
    let action = Action::parse(&line.split(' ').collect::<Vec<_>>()).unwrap();
    request(Utf8Path::from_path(world.folder.path()).unwrap(), None, &action).await
}

async fn json(world: &World, line: &str) -> serde_json::Value {
    match order(world, line).await.unwrap() {
        Reply::Json(value) => value,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_running_phone_can_be_acted_on() {
    let world = World::new(PhoneSpec::default(), false).await;
    assert_eq!(order(&world, "lock").await.unwrap(), Reply::Done);
    let state = json(&world, "state").await;
    assert_eq!((&state["locked"], &state["plugged"]), (&true.into(), &true.into()));
    order(&world, "unlock").await.unwrap();
    assert!(!world.phone().is_locked());

    order(&world, "unplug").await.unwrap();
    assert!(world.devices().await.is_empty());
    order(&world, "plug").await.unwrap();
    assert_eq!(world.devices().await.len(), 1);

    order(&world, "fault drop after=3").await.unwrap();
    assert!(world.phone().faults.is_on("drop"));
    let refused = order(&world, "fault earthquake").await.unwrap_err();
    assert!(refused.to_string().contains("there is no fault `earthquake`"), "{refused}");
    let faults = json(&world, "fault --list").await;
    let names: BTreeMap<_, _> = faults
        .as_array()
        .unwrap()
        .iter()
        .map(|fault| (fault["name"].as_str().unwrap(), fault))
        .collect();
    assert_eq!(names["drop"]["on"]["values"]["after"], "3");
    order(&world, "fault --clear").await.unwrap();
    assert!(!world.phone().faults.is_on("drop"));

    assert!(matches!(order(&world, "passcode enter").await, Err(CtlError::Refused { .. })));
    assert_eq!(json(&world, "traffic").await["files_sent"], 0);
    world.stop().await;
}

#[tokio::test]
async fn a_day_changes_what_a_backup_would_hold() {
    let world = World::new(PhoneSpec::default(), false).await;
    let digest = async || match order(&world, "digest").await.unwrap() {
        Reply::Text(lines) => lines,
        other => panic!("{other:?}"),
    };
    let before = digest().await;
    assert!(before.contains("  HomeDomain/Library/SMS/sms.db\n"));
    assert_eq!(before, digest().await, "looking changes nothing");
    order(&world, "live --days 1").await.unwrap();
    assert_ne!(before, digest().await);
    world.stop().await;
}

#[tokio::test]
async fn a_folder_serves_once_and_nobody_answers_when_nobody_serves() {
    let world = World::new(PhoneSpec::default(), false).await;
    let options = lifeboat_sim::Options {
        listen: lifeboat_sim::Listen::loopback(),
        state: world.folder.path().to_path_buf().try_into().unwrap(),
        phones: Vec::new(),
        clock: std::sync::Arc::new(crate::host::noon),
        ask: false,
    };
    let second = lifeboat_sim::serve(options).await;
    assert!(matches!(second, Err(lifeboat_sim::SimError::InUse { .. })));
    let folder = world.stop().await;
    let state = Utf8Path::from_path(folder.path()).unwrap();
    let nobody = request(state, None, &Action::Lock).await;
    assert!(matches!(nobody, Err(CtlError::NotServed { .. })));
}
