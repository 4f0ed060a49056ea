// What the target `capture` asserts of any file. Included by it and by the test that replays its corpus; whoever includes it
// has `capture` in scope.

use std::io::Cursor;

use capture::{CaptureError, Conversation, Followed};

/// A capture file: reading it ends, gives no more octets than there are, and the same PDUs whether as a whole or as they
/// come; what was read can be counted, anonymised and written.
pub(crate) fn read_capture(data: &[u8]) {
    let file = || Cursor::new(data.to_vec());
    let mut shown = 0;
    let followed = capture::follow::<CaptureError>(file(), |followed| {
        shown += usize::from(matches!(followed, Followed::Pdu { .. }));
        Ok(())
    });
    let Ok(capture) = capture::read_from(file()) else { return assert!(followed.is_err()) };
    assert!(followed.is_ok());
    let pdus = |conversations: &[Conversation]| {
        conversations.iter().flat_map(|conversation| &conversation.pdus).cloned().collect::<Vec<_>>()
    };
    let found = pdus(&capture.conversations);
    assert_eq!(found.len(), shown);
    assert!(found.iter().map(|pdu| 16 + pdu.raw.body.len()).sum::<usize>() <= data.len());
    let counted = capture.conversations.iter().map(|conversation| capture::Statistics::of(conversation).pdus);
    assert_eq!(counted.sum::<u64>(), found.len() as u64);
    let done = capture::anonymise(&capture.conversations, "seed");
    for (other, original) in pdus(&done.conversations).iter().zip(&found) {
        assert_eq!((other.raw.id, other.raw.body.len()), (original.raw.id, original.raw.body.len()));
    }
    let mut written = Vec::new();
    capture::write(&done.conversations, &mut written).unwrap();
    assert!(capture::read_from(Cursor::new(written)).is_ok());
}
