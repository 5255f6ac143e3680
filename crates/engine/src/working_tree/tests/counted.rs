//! What a run adds to the repository is counted, also where it was killed.

use std::sync::Arc;

use camino::Utf8Path;
use lifeboat_host::fake::FakeHost;
use lifeboat_repo::{Writer, WriterOptions};

use super::{UDID, folder, open_repository, put, settings, writing};
use crate::working_tree::WorkingTree;
use crate::working_tree::area::Area;

fn open(root: &Utf8Path) -> (WorkingTree, Arc<Writer>) {
    let area = Area::take(root, UDID).unwrap();
    let repository = open_repository(root);
    let options = WriterOptions { announce: Some(area.announce()), ..writing() };
    let writer = Arc::new(repository.writer(&options).unwrap());
    let mut settings = settings(&Arc::new(FakeHost::default()));
    (settings.repository, settings.writer) = (Some(repository), Some(writer.clone()));
    settings.checkpoint = 1 << 40;
    (WorkingTree::open(area, settings, UDID, None, false).unwrap().0, writer)
}

#[test]
fn what_a_killed_run_wrote_after_its_last_checkpoint_counts_too() {
    let (_dir, root) = folder();
    let mut before = 0;
    for run in 0..3_u64 {
        let (mut tree, writer) = open(&root);
        assert_eq!(writer.stats().bytes_added, before, "run {run}");
        put(&mut tree, &format!("Snapshot/ab/{run}"), &run.to_le_bytes()).unwrap();
        assert!(tree.state().finish_packing(&mut |_| true).unwrap());
        // As the stage snapshot does; nothing is written down of it when the run is killed.
        writer.store(format!("of run {run}").as_bytes(), None).unwrap();
        writer.flush().unwrap();
        assert!(writer.stats().bytes_added > before);
        before = writer.stats().bytes_added;
    }
    // Who begins anew has added nothing yet.
    let (tree, _) = open(&root);
    tree.state().area().clear().unwrap();
    drop(tree);
    assert_eq!(open(&root).1.stats().bytes_added, 0);
}
