//! A puppet that is told what to do without a line.

use super::*;
use crate::puppet::order::{FileId, Job, OpId, RingId};
use std::io::Read;

fn mem(things: &mut Things, memory: Memory, bytes: usize) -> Mem {
    match things.answer(Order::Map(memory, bytes)).unwrap() {
        Answer::Mem(mem) => mem,
        other => panic!("{other:?}"),
    }
}

fn id(answer: io::Result<Answer>) -> usize {
    match answer.unwrap() {
        Answer::Id(id) => id,
        other => panic!("{other:?}"),
    }
}

#[test]
fn orders_survive_the_line() {
    let part = Mem {
        area: 1,
        address: 0,
        bytes: 9,
    }
    .all();
    let order = Order::Submit(Transfer::read(FileId(2), part, 7), How::Fixed(RingId(0), 3));
    let text = serde_json::to_string(&order).unwrap();
    assert_eq!(serde_json::from_str::<Order>(&text).unwrap(), order);
}

#[test]
fn a_file_of_memory_is_written_and_read_in_each_way() {
    let mut things = Things::default();
    let file = FileId(id(things.answer(Order::MemoryFile(8192))));
    let source = mem(&mut things, Memory::Private, 4096);
    things
        .answer(Order::Do(Job::Fill(source.all(), 7)))
        .unwrap();
    let write = Transfer::write(file, source.all(), 4096);
    assert_eq!(
        things.answer(Order::Do(Job::Transfer(write))).unwrap(),
        Answer::Done(4096)
    );
    let ring = RingId(id(things.answer(Order::Ring)));
    for how in [How::Aio, How::Ring(ring)] {
        let page = mem(&mut things, Memory::Private, 4096);
        let operation = OpId(id(
            things.answer(Order::Submit(Transfer::read(file, page.all(), 4096), how))
        ));
        let waited = things.answer(Order::Wait(operation, 10_000)).unwrap();
        assert_eq!(waited, Answer::Done(4096), "{how:?}");
        // Asked again, it says the same.
        assert_eq!(things.answer(Order::Wait(operation, 0)).unwrap(), waited);
        let loaded = things
            .answer(Order::Do(Job::Load(page.part(4095, 1))))
            .unwrap();
        assert_eq!(loaded, Answer::Bytes(api::Hex(vec![7])), "{how:?}");
    }
}

#[test]
fn what_is_beyond_or_unknown_is_refused() {
    let mut things = Things::default();
    let page = mem(&mut things, Memory::Private, 4096);
    for order in [
        Order::Do(Job::Fill(page.part(1, 4096), 0)),
        Order::Do(Job::Load(page.part(usize::MAX, 2))),
        Order::Wait(OpId(3), 0),
        Order::Close(FileId(0)),
        Order::Unregister(RingId(0)),
        Order::Submit(Transfer::read(FileId(0), page.all(), 0), How::Sync),
    ] {
        assert!(things.answer(order.clone()).is_err(), "{order:?}");
    }
}

#[test]
fn a_child_has_a_line_of_its_own() {
    let mut things = Things::default();
    match things.obey(Order::Fork).unwrap() {
        Next::Become(mut line) => {
            line.say(&Ok(Answer::Ready)).unwrap();
            sys::leave();
        }
        Next::Say(Answer::Forked { answers, .. }) => {
            let mut answers = File::open(format!("/proc/self/fd/{answers}")).unwrap();
            let mut said = [0; 10];
            answers.read_exact(&mut said).unwrap();
            assert_eq!(&said, br#"{"Ok":"Rea"#);
        }
        Next::Say(other) => panic!("{other:?}"),
    }
}
