//! The file of a Unix socket.

use super::*;

/// Both ways to create the socket: at its path, and with a mode in a directory beside it.
const WAYS: [fn() -> Builder; 2] = [Server::builder, || Server::builder().socket_mode(0o600)];

/// The names in a directory. The temporary ones of the library may not be left there.
fn names_in(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn a_stale_socket_is_replaced() {
    let place = Place::new();
    for way in WAYS {
        leave_a_stale_socket(&place.socket());
        let (running, _) = serve_with(way(), &place.socket());
        answered(&place.socket());
        assert_eq!(names_in(&place.0), ["socket"]);
        running.destroy();
        assert!(!is_there(&place.socket()));
        drop(UnixDatagram::bind(place.socket()).unwrap()); // stale as well, of another type
        let (_running, _) = serve_with(way(), &place.socket());
        answered(&place.socket());
        assert_eq!(names_in(&place.0), ["socket"]);
    }
}

#[test]
fn a_socket_in_use_is_left_alone() {
    let place = Place::new();
    let (running, facts) = serve(&place.socket());
    for way in WAYS.iter().cycle().take(10) {
        let error = way().bind_unix(place.socket()).map(drop);
        let error = error.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AddrInUse);
        let path = place.socket().display().to_string();
        assert!(error.to_string().contains(&path), "{error}");
        assert!(error.to_string().contains("it has a listener"), "{error}");
    }
    answered(&place.socket());
    running.destroy();
    assert_ends(&running);
    let opened = facts
        .so_far()
        .iter()
        .filter(|fact| matches!(fact, Fact::Opened(_)))
        .count();
    assert_eq!(opened, 1, "only the client");

    // The socket of another program: neither a listener with an empty queue nor a datagram socket
    // is disturbed.
    for way in WAYS {
        let other = UnixListener::bind(place.socket()).unwrap();
        other.set_nonblocking(true).unwrap();
        let error = way().bind_unix(place.socket()).map(drop);
        assert_eq!(error.unwrap_err().kind(), ErrorKind::AddrInUse);
        assert_eq!(other.accept().unwrap_err().kind(), ErrorKind::WouldBlock);
        fs::remove_file(place.socket()).unwrap();
        let other = UnixDatagram::bind(place.socket()).unwrap();
        other.set_nonblocking(true).unwrap();
        let error = way().bind_unix(place.socket()).map(drop);
        assert_eq!(error.unwrap_err().kind(), ErrorKind::AddrInUse);
        assert_eq!(
            other.recv(&mut [0]).unwrap_err().kind(),
            ErrorKind::WouldBlock
        );
        assert_eq!(names_in(&place.0), ["socket"]);
        fs::remove_file(place.socket()).unwrap();
    }
}

#[test]
fn a_file_that_is_not_a_socket_is_never_removed() {
    let place = Place::new();
    let path = place.socket();
    let is_refused = |what: &str| {
        let before = names_in(&place.0);
        for way in WAYS {
            let error = way().bind_unix(&path).map(drop).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::AddrInUse, "{what}: {error}");
            assert!(error.to_string().contains(&path.display().to_string()));
            assert!(is_there(&path), "{what} has gone");
            assert_eq!(names_in(&place.0), before, "{what}");
        }
    };
    fs::write(&path, "precious").unwrap();
    is_refused("a regular file");
    assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    is_refused("a directory");
    fs::remove_dir(&path).unwrap();
    let stale = place.0.join("stale");
    leave_a_stale_socket(&stale);
    symlink(&stale, &path).unwrap();
    is_refused("a symlink to a stale socket");
    assert!(is_there(&stale));
    fs::remove_file(&stale).unwrap();
    is_refused("a symlink to nothing");
}

#[test]
fn the_socket_file_is_removed_at_every_end() {
    let place = Place::new();
    let path = &place.socket();
    let bind = || Server::builder().bind_unix(path).unwrap();
    drop(bind());
    assert!(!is_there(path), "dropped before it ran");
    bind().handle().destroy();
    assert!(!is_there(path), "destroyed before it ran");
    drop(bind().spawn(site).unwrap());
    assert!(!is_there(path), "the owner dropped");
    let running = bind().spawn(site).unwrap();
    running.drain();
    assert!(!is_there(path), "drained");
    assert!(running.join());
    assert!(!is_there(path), "drained and joined");
    let running = bind().spawn(site).unwrap();
    assert_eq!(running.shutdown(SOON), Outcome::Drained);
    assert!(!is_there(path), "shut down");
    let handle = bind().spawn(site).unwrap().detach();
    assert!(is_there(path), "detached, it serves on");
    answered(path);
    handle.destroy();
    assert!(!is_there(path), "destroyed after it was detached");
    assert!(handle.wait_timeout(SOON));
    assert!(Server::builder()
        .max_connections(0)
        .bind_unix(path)
        .is_err());
    assert!(!is_there(path), "never bound");
}

#[test]
fn a_file_that_replaced_the_socket_is_not_removed() {
    let place = Place::new();
    let path = &place.socket();
    let stops: [fn(&Running); 2] = [
        |running| running.drain(),
        |running| {
            running.destroy();
        },
    ];
    for stop in stops {
        let (first, _) = serve(path);
        fs::remove_file(path).unwrap();
        fs::write(path, "precious").unwrap();
        stop(&first);
        assert_ends(&first);
        assert_eq!(fs::read_to_string(path).unwrap(), "precious");
        fs::remove_file(path).unwrap();

        let (first, _) = serve(path);
        fs::remove_file(path).unwrap();
        let (second, _) = serve(path);
        stop(&first);
        assert_ends(&first);
        drop(first);
        answered(path);
        stop(&second);
        assert!(!is_there(path));

        let (first, _) = serve(path);
        let moved = place.0.join("moved");
        fs::rename(path, &moved).unwrap();
        stop(&first);
        assert_ends(&first);
        assert!(is_there(&moved), "a moved file is left alone");
        fs::remove_file(&moved).unwrap();
    }
}

/// A free inode is soon reused, but not while a listener holds it.
#[test]
fn a_new_socket_at_the_path_is_never_taken_for_the_old_one() {
    let place = Place::new();
    let path = &place.socket();
    for _ in 0..100 {
        let first = Server::builder().bind_unix(path).unwrap();
        fs::remove_file(path).unwrap();
        let _second = Server::builder().bind_unix(path).unwrap();
        let inode = fs::symlink_metadata(path).unwrap().ino();
        drop(first);
        assert_eq!(fs::symlink_metadata(path).unwrap().ino(), inode);
    }
}

#[test]
fn the_socket_has_exactly_the_requested_mode() {
    let place = Place::new();
    for mode in [0o600, 0o660, 0o666, 0o777] {
        let builder = Server::builder().socket_mode(mode);
        let (running, _) = serve_with(builder, &place.socket());
        let file = fs::symlink_metadata(place.socket()).unwrap();
        assert!(file.file_type().is_socket());
        assert_eq!(file.permissions().mode() & 0o7777, mode);
        answered(&place.socket());
        assert_eq!(
            names_in(&place.0),
            ["socket"],
            "no name of a moment is left"
        );
        running.destroy();
        assert_eq!(names_in(&place.0), [""; 0]);
    }
}

#[test]
fn a_unix_bind_error_names_the_path() {
    let place = Place::new();
    let missing = place.0.join("missing").join("socket");
    let long = place.0.join("x".repeat(200));
    let file = place.0.join("file");
    File::create(&file).unwrap();
    let wrong = [
        (
            missing,
            ErrorKind::NotFound,
            "a directory that is not there",
        ),
        (long, ErrorKind::InvalidInput, "a path that is too long"),
        (
            file.join("socket"),
            ErrorKind::NotADirectory,
            "a file that is no directory",
        ),
    ];
    let before = names_in(&place.0);
    for way in WAYS {
        for (path, kind, what) in &wrong {
            let error = way().bind_unix(path).map(drop).unwrap_err();
            assert_eq!(error.kind(), *kind, "{what}: {error}");
            let text = error.to_string();
            assert!(text.contains(&path.display().to_string()), "{what}: {text}");
            assert!(!text.contains("it has a listener"), "{what}: {text}");
        }
        for path in ["", "/", "..", "\0abstract"] {
            assert!(way().bind_unix(path).is_err(), "{path:?}");
        }
        // With a mode the socket is created beside the path, and cannot be renamed to that of a
        // directory.
        assert!(way().bind_unix(place.0.join("directory/")).is_err());
        assert_eq!(names_in(&place.0), before);
    }
    let here = names_in(Path::new("."));
    assert!(!here.iter().any(|name| name.starts_with(".hs")), "{here:?}");
}

/// An address has room for about a hundred bytes. If the name is short, the temporary one beside it
/// is longer.
#[test]
fn a_path_too_long_for_a_mode_is_refused_with_advice() {
    let place = Place::new();
    let room = 90_usize.saturating_sub(place.0.as_os_str().len()).max(1);
    let mut refused = 0;
    for length in room..room + 20 {
        let directory = place.0.join("x".repeat(length));
        fs::create_dir(&directory).unwrap();
        let path = directory.join("s");
        if Server::builder().bind_unix(&path).is_err() {
            break; // the path itself is too long for any socket
        }
        match Server::builder().socket_mode(0o600).bind_unix(&path) {
            Ok(server) => drop(server),
            Err(error) => {
                refused += 1;
                assert_eq!(error.kind(), ErrorKind::InvalidInput);
                assert!(error.to_string().contains("use a shorter path"), "{error}");
            }
        }
        assert_eq!(names_in(&directory), [""; 0], "something is left");
    }
    assert!(refused > 0, "none was too long");
}

#[test]
fn one_of_many_concurrent_binds_of_a_path_succeeds() {
    const THREADS: usize = 4;
    let place = Place::new();
    for round in 0..200 {
        let way = WAYS[round % 2];
        let start = Arc::new(Barrier::new(THREADS));
        let binders = (0..THREADS).map(|_| {
            let (start, path) = (Arc::clone(&start), place.socket());
            thread::spawn(move || {
                start.wait();
                way().bind_unix(path)
            })
        });
        let binders: Vec<_> = binders.collect();
        let bound = binders.into_iter().map(|binder| binder.join().unwrap());
        let (bound, failed): (Vec<_>, Vec<_>) = bound.partition(Result::is_ok);
        assert_eq!(bound.len(), 1);
        for error in failed {
            assert_eq!(error.map(drop).unwrap_err().kind(), ErrorKind::AddrInUse);
        }
        UnixStream::connect(place.socket()).unwrap();
        assert_eq!(names_in(&place.0), ["socket"]);
    }
}
