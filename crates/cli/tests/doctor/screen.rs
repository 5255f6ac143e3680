//! What a person sees at a terminal of 80 columns: the words, the colours, and what is being looked at.

use lifeboat_testkit::Terminal;

use crate::scene::Scene;

/// Runs the doctor at a terminal until its end; returns what stood there.
fn seen(scene: &Scene, term: Option<&str>, arguments: &[&str]) -> String {
    let terminal = Terminal::start(&scene.home, term, &scene.typed(arguments));
    terminal.wait().out()
}

/// What is left when the line of what is being looked at was drawn and taken away again.
fn page(screen: &str) -> &str {
    screen.rsplit("\u{1b}[2K").next().unwrap_or(screen).trim_start_matches('\u{1b}')
}

#[test]
fn a_cause_its_evidence_and_the_next_step_fit_into_80_columns() {
    let scene = Scene::paired("");
    scene.ctl(&["fault", "before-first-unlock"]);
    let screen = seen(&scene, Some("xterm-256color"), &["--no-color"]);
    let page = page(&screen);
    let order = [
        "The iPhone was restarted and has not been unlocked since",
        "device/not-unlocked-yet  (measured, keeps a backup from coming about)",
        "seen:",
        "next step",
        "1. Wake the iPhone",
        "`lifeboat doctor --fix`",
        "`lifeboat explain device/not-unlocked-yet`",
        "checked, and fine",
        "could not be checked",
    ];
    let mut rest = page;
    for part in order {
        let Some((_, after)) = rest.split_once(part) else {
            panic!("{part:?} is not next\n{page}")
        };
        rest = after;
    }
    for line in page.lines() {
        assert!(line.chars().count() <= 80, "{line}\n{page}");
    }
    assert!(!page.contains("\u{1b}[1m"), "{page}");
}

#[test]
fn colour_is_for_a_terminal_that_has_it() {
    let scene = Scene::paired("");
    let coloured = seen(&scene, Some("xterm-256color"), &[]);
    assert!(coloured.contains("\u{1b}[32mNothing keeps Robin's iPhone"), "{coloured}");
    let plain = seen(&scene, Some("xterm-256color"), &["--no-color"]);
    assert!(!plain.contains("\u{1b}[32m") && plain.contains("Nothing keeps"), "{plain}");
}

/// What is over at once is not worth a line; a disk that does not answer is.
#[test]
fn what_takes_long_is_told_while_it_lasts() {
    let scene = Scene::paired("");
    let hanging = format!("[[folders]]\nunder = \"{}\"\nhangs = true\n", scene.home.path());
    scene.machine(&hanging);
    let screen = seen(&scene, Some("xterm-256color"), &[]);
    assert!(screen.contains("looking at "), "{screen}");
}

/// Whatever is pressed into the lines, what was seen comes with its unit, and without what only explains a key.
#[test]
fn evidence_is_written_for_people() {
    let scene = Scene::paired("");
    let data = scene.home.path().join("data");
    scene.machine(&format!(
        "[[folders]]\nunder = \"{data}\"\nfree = 5_000_000\n[[usb.devices]]\nspeed = 12\n"
    ));
    let text = scene.doctor(&[]).run().out();
    assert!(text.contains("Speed of the USB connection: 12 Mbit/s"), "{text}");
    assert!(!text.contains("480 is usual"), "{text}");
}

/// Where no phone is there nothing about one is fine, and the next step is the cable; also where usbmuxd cannot say that there is none.
#[test]
fn a_phone_that_is_not_there_is_not_well() {
    let scene = Scene::paired("");
    scene.ctl(&["unplug"]);
    for blind in [&[][..], &["--blind", "P03"]] {
        let run = scene.doctor(blind).run();
        assert!(run.out().starts_with("No iPhone could be looked at"), "{run}");
        assert!(run.out().contains("with a cable"), "{run}");
        assert!(!run.out().contains("Nothing keeps"), "{run}");
        assert!(!run.out().contains("cable, port and hubs"), "{run}");
    }
}
