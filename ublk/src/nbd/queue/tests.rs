use super::*;
use crate::memory::SharedMemory;
use crate::request::RequestFlags;

/// A queue on a backing of 1 MiB, and the client's end of its socket.
fn open() -> (Queue, UnixStream, SharedMemory) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let memory = SharedMemory::new(1 << 20).unwrap();
    let wake = nix::sys::eventfd::EventFd::new().unwrap();
    let queue = Queue::open(QueueConfig {
        socket: ours.into(),
        backing: Some(Arc::new(memory.file().try_clone_to_owned().unwrap())),
        wake: Arc::new(wake.into()),
    });
    (queue.unwrap(), theirs, memory)
}

/// Sends a request as the client does.
fn ask(client: &mut UnixStream, kind: u32, handle: u8, offset: u64, len: u32, payload: &[u8]) {
    let mut message = Vec::new();
    message.extend_from_slice(&0x2560_9513_u32.to_be_bytes());
    message.extend_from_slice(&kind.to_be_bytes());
    message.extend_from_slice(&[handle; 8]);
    message.extend_from_slice(&offset.to_be_bytes());
    message.extend_from_slice(&len.to_be_bytes());
    message.extend_from_slice(payload);
    client.write_all(&message).unwrap();
}

/// The error and the handle of the next reply, and `len` bytes of its payload.
fn hear(client: &mut UnixStream, len: usize) -> (u8, u8, Vec<u8>) {
    let mut header = [0; 16];
    client.read_exact(&mut header).unwrap();
    let mut payload = vec![0; len];
    client.read_exact(&mut payload).unwrap();
    (header[7], header[8], payload)
}

fn next(queue: &mut Queue) -> Request {
    queue.wait(None).unwrap();
    match queue.next_completion() {
        Some(Completion::Arrived(request)) => request,
        other => panic!("{other:?}"),
    }
}

#[test]
fn data_goes_through_in_both_directions_and_answers_in_any_order() {
    let (mut queue, mut client, _memory) = open();
    ask(&mut client, 1 | 1 << 16, 7, 4096, 512, &[0xaa; 512]);
    let write = next(&mut queue);
    assert_eq!(
        (write.op(), write.sector(), write.sectors()),
        (Op::Write, 8, 1)
    );
    assert_eq!(write.flags(), RequestFlags::FUA);
    let store = write.source().unwrap().store(4096, 0, 512, true);
    assert_eq!(
        queue.submit(write.tag(), store).unwrap(),
        Submitted::Ended(512)
    );
    ask(&mut client, 0, 8, 4096, 1024, &[]);
    let read = next(&mut queue);
    assert_ne!(read.tag(), write.tag());
    let fill = read.destination().unwrap().fill(4096, 0, 1024);
    assert_eq!(
        queue.submit(read.tag(), fill).unwrap(),
        Submitted::Ended(1024)
    );
    queue.commit(read, Answer::Done).unwrap();
    let (error, handle, payload) = hear(&mut client, 1024);
    assert_eq!((error, handle), (0, 8));
    assert!(payload[..512] == [0xaa; 512] && payload[512..] == [0; 512]);
    queue.commit(write, Answer::failed(libc::ENODATA)).unwrap();
    assert_eq!(hear(&mut client, 0), (5, 7, Vec::new()));
}

#[test]
fn after_the_last_request_the_queue_answers_and_ends() {
    let (mut queue, mut client, _memory) = open();
    ask(&mut client, 0, 1, 0, 512, &[]);
    let read = next(&mut queue);
    ask(&mut client, 2, 2, 0, 0, &[]);
    queue.wait(None).unwrap();
    assert!(queue.next_completion().is_none());
    assert!(queue.is_open(), "a request is not answered");
    queue.commit(read, Answer::failed(libc::EIO)).unwrap();
    assert!(!queue.is_open());
    assert_eq!(hear(&mut client, 0).0, 5);
}

#[test]
fn a_client_that_is_gone_or_talks_nonsense_ends_the_queue() {
    let (mut queue, client, _memory) = open();
    drop(client);
    queue.wait(None).unwrap();
    assert!(queue.next_completion().is_none());
    assert!(!queue.is_open());
    let (mut queue, mut client, _memory) = open();
    client.write_all(&[0x55; REQUEST_BYTES]).unwrap();
    queue.wait(None).unwrap();
    assert!(queue.next_completion().is_none());
    assert!(!queue.is_open());
    // An answer that nobody hears is no error of the server's.
    let (mut queue, mut client, _memory) = open();
    ask(&mut client, 0, 1, 0, 512, &[]);
    let read = next(&mut queue);
    drop(client);
    queue.commit(read, Answer::Done).unwrap();
    assert!(!queue.is_open());
}

#[test]
fn a_wake_is_told_once_until_it_is_armed_again() {
    let (mut queue, _client, _memory) = open();
    nix::unistd::write(&*queue.wake, &1_u64.to_ne_bytes()).unwrap();
    queue.wait(None).unwrap();
    assert!(matches!(queue.next_completion(), Some(Completion::Woken)));
    nix::unistd::write(&*queue.wake, &1_u64.to_ne_bytes()).unwrap();
    queue.wait(Some(Duration::ZERO)).unwrap();
    assert!(queue.next_completion().is_none());
    queue.arm_wake().unwrap();
    queue.wait(None).unwrap();
    assert!(matches!(queue.next_completion(), Some(Completion::Woken)));
}
