//! Writes of a head, and of what goes out with it.

use std::fs::File;
use std::future::poll_fn;
use std::io::Write as _;

use bytes::Buf as _;
use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::zero_copy::{BodyPiece, Owner};

const HEAD: &[u8] = b"HTTP/1.1 206 Partial Content\r\n\r\n";
const LINES: &str = "x-a: 1\r\nx-b: 2\r\n";
const WHOLE_HEAD: &[u8] = b"HTTP/1.1 206 Partial Content\r\nx-a: 1\r\nx-b: 2\r\n\r\n";
const FILE_BYTES: usize = 5 * PAGE_BYTES;

#[derive(Debug)]
struct Nobody;

impl Owner for Nobody {
    fn note_fault(&self, fault: &io::Error) {
        assert_eq!(fault.kind(), io::ErrorKind::UnexpectedEof);
    }
}

struct Place {
    wire: Wire,
    regions: Regions,
    client: TcpStream,
    file: Arc<File>,
    bytes: Vec<u8>,
}

async fn place() -> Place {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap());
    let (server, client) = tokio::join!(listener.accept(), client);
    let bytes: Vec<u8> = (1..=251).cycle().take(FILE_BYTES).collect();
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&bytes).unwrap();
    let regions = Regions::new();
    let socket = Socket::Tcp(server.unwrap().0);
    Place {
        wire: Wire::new(socket, Bytes::new(), regions.clone()),
        regions,
        client: client.unwrap(),
        file: Arc::new(file),
        bytes,
    }
}

impl Place {
    fn piece(&self, offset: usize, length: usize) -> BodyPiece {
        self.regions
            .add_to_head(Bytes::from_static(LINES.as_bytes()));
        let file = Arc::clone(&self.file);
        self.regions
            .hand_over(file, offset as u64, length, Arc::new(Nobody))
    }

    async fn write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        poll_fn(|context| Pin::new(&mut self.wire).poll_write_vectored(context, slices)).await
    }
}

/// The part of a region before the next page of its file goes out with the head, and no byte of it twice.
#[tokio::test]
async fn a_head_brings_what_is_before_the_next_page() {
    let mut place = place().await;
    for offset in [0, 1, 2, 4_095, 4_096, 4_097, 8_191] {
        for length in [1, 5, 4_095, 4_096, 4_097, 10_000] {
            let mut piece = place.piece(offset, length);
            let both = [IoSlice::new(HEAD), IoSlice::new(piece.chunk())];
            let first = place.write(&both).await.unwrap();
            let before_page = offset.next_multiple_of(PAGE_BYTES) - offset;
            let brought = before_page.min(length);
            assert_eq!(first, HEAD.len() + brought, "{offset} {length}");
            piece.advance(brought);
            while piece.has_remaining() {
                let rest = [IoSlice::new(piece.chunk())];
                let sent = place.write(&rest).await.unwrap();
                piece.advance(sent);
            }
            let mut received = vec![0; WHOLE_HEAD.len() + length];
            place.client.read_exact(&mut received).await.unwrap();
            let expected = [WHOLE_HEAD, &place.bytes[offset..offset + length]].concat();
            assert!(received == expected, "{offset} {length}");
        }
    }
}

/// A file that is shorter than it was brings nothing: the fault is found where it always is.
#[tokio::test]
async fn a_file_that_ended_brings_nothing() {
    let mut place = place().await;
    place.file.set_len(4_100).unwrap();
    let mut piece = place.piece(4_097, 1_000);
    let both = [IoSlice::new(HEAD), IoSlice::new(piece.chunk())];
    assert_eq!(place.write(&both).await.unwrap(), HEAD.len());
    let sent = place.write(&[IoSlice::new(piece.chunk())]).await.unwrap();
    assert_eq!(sent, 3);
    piece.advance(sent);
    let rest = [IoSlice::new(piece.chunk())];
    let ended = place.write(&rest).await.unwrap_err();
    assert_eq!(ended.kind(), io::ErrorKind::UnexpectedEof);
}

/// A head with more slices behind it than go out at once brings no region, and all of it arrives.
#[tokio::test]
async fn any_number_of_slices_goes_out_with_a_head() {
    let mut place = place().await;
    for behind in 0..12 {
        let mut piece = place.piece(4_097, 5_000);
        let (mut slices, mut expected) = (vec![HEAD; 1], WHOLE_HEAD.to_vec());
        slices.extend(vec![b"text".as_slice(); behind]);
        expected.extend(b"text".repeat(behind));
        expected.extend(&place.bytes[4_097..9_097]);
        let mut left: usize = slices.iter().map(|slice| slice.len()).sum();
        let mut skipped = 0;
        while left + piece.remaining() > 0 {
            let mut rest = skipped;
            let mut shown = Vec::new();
            for slice in &slices {
                let from = rest.min(slice.len());
                rest -= from;
                if from < slice.len() {
                    shown.push(IoSlice::new(&slice[from..]));
                }
            }
            if piece.has_remaining() {
                shown.push(IoSlice::new(piece.chunk()));
            }
            let sent = place.write(&shown).await.unwrap();
            let of_slices = sent.min(left);
            skipped += of_slices;
            left -= of_slices;
            piece.advance(sent - of_slices);
        }
        let mut received = vec![0; expected.len()];
        place.client.read_exact(&mut received).await.unwrap();
        assert!(received == expected, "{behind}");
    }
}
