//! The national language tables, place by place, against `fixtures/national-tables.txt`.
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

use smpp::text::Tables;
use smpp::text::national::Language;

const ESCAPE: u8 = 0x1b;

/// What a place has.
fn shown(cell: &str) -> Option<String> {
    let code = u32::from_str_radix(cell, 16).ok()?;
    char::from_u32(code).map(String::from)
}

#[test]
fn every_place_of_every_table_is_as_in_annex_a() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../fixtures/national-tables.txt");
    let text = std::fs::read_to_string(file).unwrap();
    let mut tables = 0;
    for row in text.lines().filter(|row| !row.starts_with('#')) {
        let cells: Vec<&str> = row.split(' ').collect();
        let [code, kind, ref places @ ..] = cells[..] else { panic!("{row}") };
        let language = Language::named(code).unwrap();
        assert_eq!(places.len(), 128, "{code} {kind}");
        for (place, cell) in places.iter().enumerate().filter(|(place, _)| *place != usize::from(ESCAPE)) {
            let septet = u8::try_from(place).unwrap();
            let (read, otherwise) = if kind == "locking" {
                (Tables { locking: Some(language), single: None }.decode(&[septet]), "\u{fffd}".to_owned())
            } else {
                // What an extension table lacks is shown as the basic character.
                let read = Tables { locking: None, single: Some(language) }.decode(&[ESCAPE, septet]);
                (read, Tables::default().decode(&[septet]))
            };
            assert_eq!(read, shown(cell).unwrap_or(otherwise), "{code} {kind} {place:#04x}");
        }
        tables += 1;
    }
    // Spanish has no locking table.
    assert_eq!(tables, 2 * Language::ALL.len() - 1);
}
