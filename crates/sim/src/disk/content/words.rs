//! Words and names the content is made of. All of them are invented or of no meaning.

use crate::disk::prng::Rng;

/// Common words; a text of them compresses about as well as chat does.
pub(crate) const WORDS: [&str; 160] = [
    "the",
    "and",
    "you",
    "that",
    "was",
    "for",
    "are",
    "with",
    "his",
    "they",
    "this",
    "have",
    "from",
    "one",
    "had",
    "word",
    "but",
    "not",
    "what",
    "all",
    "were",
    "when",
    "your",
    "can",
    "said",
    "there",
    "use",
    "each",
    "which",
    "she",
    "how",
    "their",
    "will",
    "other",
    "about",
    "out",
    "many",
    "then",
    "them",
    "these",
    "some",
    "her",
    "would",
    "make",
    "like",
    "him",
    "into",
    "time",
    "has",
    "look",
    "two",
    "more",
    "write",
    "see",
    "number",
    "way",
    "could",
    "people",
    "than",
    "first",
    "water",
    "been",
    "call",
    "who",
    "oil",
    "its",
    "now",
    "find",
    "long",
    "down",
    "day",
    "did",
    "get",
    "come",
    "made",
    "may",
    "part",
    "train",
    "late",
    "home",
    "tonight",
    "tomorrow",
    "morning",
    "coffee",
    "lunch",
    "dinner",
    "kids",
    "school",
    "doctor",
    "garden",
    "bicycle",
    "harbour",
    "ferry",
    "island",
    "lighthouse",
    "boat",
    "sail",
    "storm",
    "sunny",
    "cold",
    "warm",
    "beach",
    "picture",
    "song",
    "film",
    "book",
    "ticket",
    "airport",
    "hotel",
    "holiday",
    "birthday",
    "party",
    "cake",
    "present",
    "thanks",
    "sorry",
    "please",
    "maybe",
    "sure",
    "great",
    "nice",
    "funny",
    "wait",
    "minute",
    "hour",
    "week",
    "month",
    "year",
    "soon",
    "later",
    "never",
    "always",
    "often",
    "meet",
    "station",
    "street",
    "corner",
    "market",
    "apples",
    "bread",
    "cheese",
    "soup",
    "table",
    "window",
    "door",
    "keys",
    "phone",
    "battery",
    "charger",
    "backup",
    "photo",
    "video",
    "message",
    "address",
    "letter",
    "list",
    "plan",
    "idea",
    "question",
    "answer",
];

pub(crate) const FIRST_NAMES: [&str; 40] = [
    "Ada", "Ben", "Carla", "Dario", "Edda", "Finn", "Greta", "Hugo", "Ines", "Jonas", "Kim",
    "Lena", "Milo", "Nora", "Oskar", "Paula", "Quinn", "Rosa", "Selim", "Tilda", "Umar", "Vera",
    "Wim", "Xenia", "Yusuf", "Zoë", "Åsa", "Björn", "Chloé", "Dmitri", "Élodie", "Fatima",
    "Giulia", "Hana", "Ivo", "Jürgen", "Kenji", "Łukasz", "Mei", "Noël",
];

pub(crate) const LAST_NAMES: [&str; 40] = [
    "Abel",
    "Brandt",
    "Castell",
    "Dorn",
    "Ekman",
    "Falk",
    "Grün",
    "Hansen",
    "Ibsen",
    "Jansen",
    "Keller",
    "Lindqvist",
    "Moreau",
    "Novak",
    "Olsen",
    "Petit",
    "Quist",
    "Rossi",
    "Sato",
    "Tanaka",
    "Ulrich",
    "Vidal",
    "Weber",
    "Ximenes",
    "Yilmaz",
    "Zeller",
    "Müller",
    "Señor",
    "O’Neill",
    "d’Amato",
    "Østergaard",
    "Čapek",
    "Nuñez",
    "Böhm",
    "Fischer",
    "Krüger",
    "Larsen",
    "Meier",
    "Nielsen",
    "Schäfer",
];

pub(crate) const CITIES: [(&str, &str, i32, i32); 12] = [
    ("Hamburg", "DE", 53_551, 9_993),
    ("Bergen", "NO", 60_391, 5_322),
    ("Lisboa", "PT", 38_722, -9_139),
    ("Kyoto", "JP", 35_011, 135_768),
    ("Brest", "FR", 48_390, -4_486),
    ("Galway", "IE", 53_270, -9_056),
    ("Split", "HR", 43_508, 16_440),
    ("Turku", "FI", 60_451, 22_266),
    ("Porto", "PT", 41_157, -8_629),
    ("Halifax", "CA", 44_648, -63_575),
    ("Hobart", "AU", -42_882, 147_327),
    ("Zürich", "CH", 47_376, 8_541),
];

const EMOJI: [&str; 12] = ["😀", "😂", "❤️", "👍", "🎉", "🚲", "⛵️", "🌊", "☕️", "🐟", "👩‍👧‍👦", "🏳️‍🌈"];

/// Returns a sentence of a few words, now and then with an emoji.
pub(crate) fn sentence(rng: &mut Rng, words: usize) -> String {
    let mut text = String::new();
    for index in 0..words.max(1) {
        let word = rng.pick(&WORDS);
        if index == 0 {
            let mut letters = word.chars();
            text.extend(letters.next().into_iter().flat_map(char::to_uppercase));
            text.push_str(letters.as_str());
        } else {
            text.push(' ');
            text.push_str(word);
        }
    }
    if rng.chance(15) {
        text.push(' ');
        text.push_str(rng.pick(&EMOJI));
    } else {
        text.push_str(rng.pick(&[".", "", "!", "?"]));
    }
    text
}

/// Returns two or three words as a title.
pub(crate) fn title(rng: &mut Rng) -> String {
    let words = 2 + rng.index(2);
    sentence(rng, words).trim_end_matches(['.', '!', '?']).to_owned()
}

/// Somebody the owner of the phone knows.
#[derive(Debug, Clone)]
pub(crate) struct Person {
    pub(crate) first: &'static str,
    pub(crate) last: &'static str,
    pub(crate) phone: String,
    pub(crate) mail: String,
    pub(crate) city: usize,
}

impl Person {
    pub(crate) fn name(&self) -> String {
        format!("{} {}", self.first, self.last)
    }
}

/// Returns the people of this phone, the same ones in contacts, messages, calls and chats.
pub(crate) fn people(seed: u64, count: u64) -> Vec<Person> {
    let mut rng = Rng::new(seed, "people");
    (0..count)
        .map(|number| {
            let first = rng.pick(&FIRST_NAMES);
            let last = rng.pick(&LAST_NAMES);
            // 555-01xx and example.com are set aside for fiction.
            let phone = format!("+1{}555{:04}", 201 + number % 700, 100 + number % 100);
            Person {
                first,
                last,
                phone,
                mail: format!("person{number}@example.com"),
                city: rng.index(CITIES.len()),
            }
        })
        .collect()
}
