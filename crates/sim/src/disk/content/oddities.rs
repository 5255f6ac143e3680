//! What a backup program stumbles over: every kind of entry and name a phone can have, once.

use std::sync::Arc;

use crate::disk::entry::Content;
use crate::disk::maker::Maker;
use crate::disk::media::Shape;

const DOMAIN: &str = "AppDomain-com.example.odds";

/// Names that are legal on a phone and awkward elsewhere.
const NAMES: [&str; 13] = [
    "Gr\u{f6}\u{df}e NFC.txt",
    "Gro\u{308}\u{df}e NFD.txt",
    "\u{65e5}\u{672c}\u{8a9e}.txt",
    "\u{5e9}\u{5dc}\u{5d5}\u{5dd}.txt",
    "\u{1f469}\u{200d}\u{1f680} \u{2693}\u{fe0f}.txt",
    "line\nfeed.txt",
    "back\\slash.txt",
    "quotes \"double\" 'single' `back`.txt",
    " leading and trailing ",
    "-rf *?[a]{b}$HOME;&|<>.txt",
    "Case.txt",
    "case.txt",
    // Commands to a terminal: clear the screen, write from the right.
    "\u{1b}[2Jcleared \u{202e}txt.exe",
];

/// The longest name that other file systems take, in bytes.
const LONGEST: usize = 255;

pub(crate) fn create(maker: &mut Maker<'_>) {
    for (number, name) in NAMES.iter().enumerate() {
        let text = format!("File {number}, named to be awkward.\n");
        maker.file(DOMAIN, &format!("Documents/Names/{name}"), Content::bytes(text.into_bytes()));
    }
    let long = "n".repeat(LONGEST - 4) + ".txt";
    maker.generated(DOMAIN, &format!("Documents/Names/{long}"), Shape::Text, 100);
    let deep = (1..=12).map(|level| format!("level {level}")).collect::<Vec<_>>().join("/");
    maker.generated(DOMAIN, &format!("Documents/{deep}/deep.bin"), Shape::Noise, 77);

    maker.file(DOMAIN, "Documents/Kinds/empty", Content::Bytes(Arc::from([])));
    maker.directory(DOMAIN, "Documents/Kinds/Empty folder");
    maker.link(DOMAIN, "Documents/Kinds/absolute link", "/var/mobile/Library/SMS");
    maker.link(DOMAIN, "Documents/Kinds/relative link", "../Names/Case.txt");
    maker.link(DOMAIN, "Documents/Kinds/dangling link", "nowhere/at all");
    maker.generated(DOMAIN, "Documents/Kinds/linked one", Shape::Text, 640);
    maker.hard_link(DOMAIN, "Documents/Kinds/linked two", "Documents/Kinds/linked one");
    maker
        .generated(DOMAIN, "Documents/Kinds/attributes.txt", Shape::Text, 64)
        .attribute("com.apple.TextEncoding", b"utf-8;134217984")
        .attribute("com.apple.cscachefs", &[0x81, 0x00, 0xFF]);
    maker.generated(DOMAIN, "Documents/Kinds/read-only", Shape::Noise, 33).permissions(0o400);
    maker.generated(DOMAIN, "Documents/Kinds/no permissions", Shape::Noise, 34).permissions(0);
    maker.generated(DOMAIN, "Documents/Kinds/for everybody", Shape::Noise, 35).permissions(0o666);
    maker.generated(DOMAIN, "Documents/Kinds/nobody", Shape::Noise, 36).owner(501, -2);
    // Exactly on, one below and one above the sizes at which programs cut their buffers.
    for length in [4_095, 4_096, 4_097] {
        maker.generated(DOMAIN, &format!("Documents/Sizes/{length}"), Shape::Noise, length);
    }
    maker.generated(DOMAIN, "Documents/Sizes/old", Shape::Noise, 1).dated(1);
}
